using System.Text.Json;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Qmp;

/// <summary>Commands that change a running machine's vCPUs and memory; part of the closed list of <see cref="QmpCommands"/>.</summary>
internal static class QmpPlugging
{
    private const int MostSlots = 4096;
    private static readonly TimeSpan Quick = TimeSpan.FromSeconds(10);
    private static readonly string[] Order = ["socket-id", "die-id", "cluster-id", "module-id", "core-id", "thread-id"];

    /// <summary>The device id of the memory that grows and shrinks.</summary>
    public const string MemoryDevice = "mem0";

    /// <param name="Driver">The device type that fits the machine's CPU model.</param>
    /// <param name="Place">Socket, core, thread … of the slot; goes back to QEMU as it came.</param>
    /// <param name="QomPath">Null: the slot is free.</param>
    public sealed record VcpuSlot(string Driver, IReadOnlyDictionary<string, long> Place, string? QomPath);

    /// <summary>All places for vCPUs, in vCPU order.</summary>
    public static async Task<IReadOnlyList<VcpuSlot>> QueryVcpuSlotsAsync(this QmpClient qmp, CancellationToken ct)
    {
        var answer = await qmp.ExecuteAsync("query-hotpluggable-cpus", null, Quick, ct);
        try
        {
            return [.. answer.EnumerateArray().Take(MostSlots).Select(Slot)
                .OrderBy(s => Order.Select(o => s.Place.GetValueOrDefault(o)).ToArray(), Comparer<long[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b)))];
        }
        catch (Exception e) when (e is InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new HostException(HostError.QmpFailed, "QEMU's answer to query-hotpluggable-cpus is not of the expected shape.", e);
        }
    }

    private static VcpuSlot Slot(JsonElement slot) => new(slot.GetProperty("type").GetString()!,
        slot.GetProperty("props").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetInt64()), slot.TryGetProperty("qom-path", out var path) ? path.GetString() : null);

    public static Task PlugVcpuAsync(this QmpClient qmp, VcpuSlot slot, string id, CancellationToken ct)
    {
        var arguments = new Dictionary<string, object> { ["driver"] = slot.Driver, ["id"] = id };
        foreach (var (name, number) in slot.Place)
            arguments[name] = number;
        return qmp.ExecuteAsync("device_add", arguments, Quick, ct);
    }

    /// <summary>Asks the guest to let go of a device; DEVICE_DELETED comes when it has.</summary>
    /// <param name="path">Id or QOM path: vCPUs of the start have no id.</param>
    public static Task UnplugAsync(this QmpClient qmp, string path, CancellationToken ct) => qmp.ExecuteAsync("device_del", new { Id = path }, Quick, ct);

    public static Task RequestMemoryAsync(this QmpClient qmp, int mib, CancellationToken ct) =>
        qmp.ExecuteAsync("qom-set", new { Path = $"/machine/peripheral/{MemoryDevice}", Property = "requested-size", Value = (long)mib << 20 }, Quick, ct);

    /// <summary>How much the guest was asked to use, in MiB.</summary>
    public static Task<int> RequestedMemoryAsync(this QmpClient qmp, CancellationToken ct) => MemoryAsync(qmp, "requested-size", ct);

    /// <summary>How much of it the guest uses, in MiB.</summary>
    public static Task<int> PluggedMemoryAsync(this QmpClient qmp, CancellationToken ct) => MemoryAsync(qmp, "size", ct);

    private static async Task<int> MemoryAsync(QmpClient qmp, string property, CancellationToken ct)
    {
        var answer = await qmp.ExecuteAsync("qom-get", new { Path = $"/machine/peripheral/{MemoryDevice}", Property = property }, Quick, ct);
        return answer.ValueKind == JsonValueKind.Number && answer.TryGetInt64(out var bytes) && bytes >> 20 is >= 0 and <= int.MaxValue and var mib ? (int)mib
            : throw new HostException(HostError.QmpFailed, "QEMU's answer to qom-get is not of the expected shape.");
    }
}
