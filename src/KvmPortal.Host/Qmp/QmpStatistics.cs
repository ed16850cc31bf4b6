using System.Text.Json;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Qmp;

/// <summary>What KVM counts, asked through QEMU (qapi/stats.json; since QEMU 7.1).</summary>
internal static class QmpStatistics
{
    private const int MostCounters = 64;

    /// <summary>Sums over the vCPUs. Numbers only: histograms are left out.</summary>
    public static async Task<(KvmCounterState State, IReadOnlyDictionary<string, long> Counters)> ReadAsync(QmpClient qmp, Accelerator accelerator, CancellationToken ct)
    {
        if (accelerator == Accelerator.Tcg)
            return (KvmCounterState.Emulated, new Dictionary<string, long>());
        try
        {
            var sums = Sum(await qmp.QueryStatsAsync(ct));
            return (sums.Count == 0 ? KvmCounterState.NotOffered : KvmCounterState.There, sums);
        }
        catch (HostException e) when (e.Error is HostError.QmpFailed or HostError.Timeout)
        {
            return (e.Error == HostError.Timeout ? KvmCounterState.NoAnswer : KvmCounterState.NotOffered, new Dictionary<string, long>());
        }
    }

    internal static SortedDictionary<string, long> Sum(JsonElement answer)
    {
        var sums = new SortedDictionary<string, long>(StringComparer.Ordinal);
        if (answer.ValueKind != JsonValueKind.Array)
            return sums;
        foreach (var of in answer.EnumerateArray())
        {
            if (of.ValueKind != JsonValueKind.Object || !of.TryGetProperty("stats", out var stats) || stats.ValueKind != JsonValueKind.Array)
                continue;
            foreach (var counter in stats.EnumerateArray())
                if (counter.ValueKind == JsonValueKind.Object && counter.TryGetProperty("name", out var name) && name.ValueKind == JsonValueKind.String && counter.TryGetProperty("value", out var value)
                    && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) && number >= 0)
                {
                    var clean = PeerText.Clean(name.GetString()!, 60);
                    if (sums.Count < MostCounters || sums.ContainsKey(clean))
                        sums[clean] = unchecked(sums.GetValueOrDefault(clean) + number) is var sum and >= 0 ? sum : long.MaxValue;
                }
        }

        return sums;
    }
}
