using System.Text.Json;
using System.Text.Json.Serialization;
using KvmPortal.Host.Contract;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Qmp;

/// <summary>The closed list of QMP commands that the portal uses; nothing else is ever sent.</summary>
internal static class QmpCommands
{
    public static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.KebabCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        NumberHandling = JsonNumberHandling.Strict,
    };

    private static readonly TimeSpan Quick = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Slow = TimeSpan.FromSeconds(60);

    public sealed record StatusInfo(string Status);

    public sealed record UuidInfo([property: JsonPropertyName("UUID")] Guid Uuid);

    public sealed record CpuInfoFast(int CpuIndex, int ThreadId);

    public sealed record BalloonInfo(long Actual);

    public sealed record MigrationInfo(string? Status = null, string? ErrorDesc = null);

    public sealed record BlockDeviceStats(long RdBytes, long WrBytes, long RdOperations, long WrOperations);

    public sealed record BlockStats(BlockDeviceStats Stats, string? Qdev = null);

    public static Task<StatusInfo> QueryStatusAsync(this QmpClient qmp, CancellationToken ct) => AskAsync<StatusInfo>(qmp, "query-status", null, Quick, ct);

    public static Task<UuidInfo> QueryUuidAsync(this QmpClient qmp, CancellationToken ct) => AskAsync<UuidInfo>(qmp, "query-uuid", null, Quick, ct);

    public static Task<IReadOnlyList<CpuInfoFast>> QueryCpusFastAsync(this QmpClient qmp, CancellationToken ct) => AskAsync<IReadOnlyList<CpuInfoFast>>(qmp, "query-cpus-fast", null, Quick, ct);

    public sealed record IoThreadInfo(string Id, int ThreadId);

    public static Task<IReadOnlyList<IoThreadInfo>> QueryIoThreadsAsync(this QmpClient qmp, CancellationToken ct) => AskAsync<IReadOnlyList<IoThreadInfo>>(qmp, "query-iothreads", null, Quick, ct);

    public static Task<IReadOnlyList<BlockStats>> QueryBlockStatsAsync(this QmpClient qmp, CancellationToken ct) => AskAsync<IReadOnlyList<BlockStats>>(qmp, "query-blockstats", null, Quick, ct);

    public sealed record BlockNode(string? NodeName = null);

    /// <param name="IoStatus">`ok`, `failed` or `nospace`.</param>
    public sealed record BlockInfo(string? IoStatus = null, BlockNode? Inserted = null);

    public static Task<IReadOnlyList<BlockInfo>> QueryBlockAsync(this QmpClient qmp, CancellationToken ct) => AskAsync<IReadOnlyList<BlockInfo>>(qmp, "query-block", null, Quick, ct);

    /// <summary>KVM's counters of every vCPU that matter for how near a guest is to bare metal; names that the kernel does not have are left out by QEMU.</summary>
    public static Task<JsonElement> QueryStatsAsync(this QmpClient qmp, CancellationToken ct) => qmp.ExecuteAsync("query-stats", new { Target = "vcpu", Providers = new[] { new { Provider = "kvm", Names = KvmCounters } } }, Quick, ct);

    private static readonly string[] KvmCounters =
        ["exits", "halt_exits", "io_exits", "mmio_exits", "irq_exits", "irq_window_exits", "signal_exits", "halt_attempted_poll", "halt_successful_poll", "halt_poll_success_ns", "halt_poll_fail_ns", "halt_wakeup"];

    public static Task<BalloonInfo> QueryBalloonAsync(this QmpClient qmp, CancellationToken ct) => AskAsync<BalloonInfo>(qmp, "query-balloon", null, Quick, ct);

    public static Task<MigrationInfo> QueryMigrateAsync(this QmpClient qmp, CancellationToken ct) => AskAsync<MigrationInfo>(qmp, "query-migrate", null, Quick, ct);

    public static Task ContAsync(this QmpClient qmp, CancellationToken ct) => qmp.ExecuteAsync("cont", null, Slow, ct);

    public static Task StopAsync(this QmpClient qmp, CancellationToken ct) => qmp.ExecuteAsync("stop", null, Slow, ct);

    public static Task SystemResetAsync(this QmpClient qmp, CancellationToken ct) => qmp.ExecuteAsync("system_reset", null, Quick, ct);

    public static Task SystemPowerdownAsync(this QmpClient qmp, CancellationToken ct) => qmp.ExecuteAsync("system_powerdown", null, Quick, ct);

    public static Task QuitAsync(this QmpClient qmp, CancellationToken ct) => qmp.ExecuteAsync("quit", null, TimeSpan.FromSeconds(5), ct);

    public static Task ScreendumpAsync(this QmpClient qmp, string filename, CancellationToken ct) => qmp.ExecuteAsync("screendump", new { Filename = filename, Format = "png" }, Quick, ct);

    public static Task BalloonAsync(this QmpClient qmp, long bytes, CancellationToken ct) => qmp.ExecuteAsync("balloon", new { Value = bytes }, Quick, ct);

    /// <summary>Sets the limits of a throttle group object (qapi/block-core.json, ThrottleLimits).</summary>
    public static Task SetThrottleAsync(this QmpClient qmp, string group, DiskLimitsSpec limits, CancellationToken ct) => qmp.ExecuteAsync("qom-set", new
    {
        Path = $"/objects/{group}",
        Property = "limits",
        Value = new Dictionary<string, long> { ["iops-total"] = limits.Iops, ["bps-total"] = limits.BytesPerSecond },
    }, Quick, ct);

    public static Task EjectAsync(this QmpClient qmp, string device, CancellationToken ct) => qmp.ExecuteAsync("eject", new { Id = device, Force = true }, Quick, ct);

    /// <summary>Puts a file into a drive; the format is said, never probed.</summary>
    public static Task ChangeMediumAsync(this QmpClient qmp, string device, string filename, CancellationToken ct) =>
        qmp.ExecuteAsync("blockdev-change-medium", new { Id = device, Filename = filename, Format = "raw", ReadOnlyMode = "read-only", Force = true }, Quick, ct);

    /// <summary>Hands a file to QEMU that it cannot reach by a path; it is then called `/dev/fdset/N`.</summary>
    public static async Task<string> AddFdAsync(this QmpClient qmp, SafeFileHandle handle, CancellationToken ct) =>
        $"/dev/fdset/{(await AskAsync<AddFdInfo>(qmp, "add-fd", new { Opaque = "medium" }, Quick, ct, handle)).FdsetId}";

    public sealed record AddFdInfo(long FdsetId);

    public static Task GetFdAsync(this QmpClient qmp, string name, SafeFileHandle handle, CancellationToken ct) => qmp.ExecuteAsync("getfd", new { Fdname = name }, Quick, ct, handle);

    public static Task MigrateEventsAsync(this QmpClient qmp, CancellationToken ct) =>
        qmp.ExecuteAsync("migrate-set-capabilities", new { Capabilities = new[] { new { Capability = "events", State = true } } }, Quick, ct);

    /// <summary>Without a limit: the target is a local file.</summary>
    public static Task MigrateSpeedAsync(this QmpClient qmp, CancellationToken ct) => qmp.ExecuteAsync("migrate-set-parameters", new { MaxBandwidth = 0L }, Quick, ct);

    public static Task MigrateAsync(this QmpClient qmp, string uri, CancellationToken ct) => qmp.ExecuteAsync("migrate", new { Uri = uri }, Quick, ct);

    public static Task MigrateIncomingAsync(this QmpClient qmp, string uri, CancellationToken ct) => qmp.ExecuteAsync("migrate-incoming", new { Uri = uri }, Quick, ct);

    public static Task MigrateCancelAsync(this QmpClient qmp, CancellationToken ct) => qmp.ExecuteAsync("migrate_cancel", null, Quick, ct);

    private static async Task<T> AskAsync<T>(QmpClient qmp, string command, object? arguments, TimeSpan timeout, CancellationToken ct, SafeFileHandle? handle = null)
    {
        var answer = await qmp.ExecuteAsync(command, arguments, timeout, ct, handle);
        try
        {
            return answer.Deserialize<T>(ReplyJson) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new HostException(HostError.QmpFailed, $"QEMU's answer to {command} is not of the expected shape.", e);
        }
    }

    // Block statistics use snake case, everything else kebab case: names are matched by both.
    private static readonly JsonSerializerOptions ReplyJson = new(Json) { PropertyNamingPolicy = new KebabOrSnake(), RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    private sealed class KebabOrSnake : JsonNamingPolicy
    {
        public override string ConvertName(string name) => name is "RdBytes" or "WrBytes" or "RdOperations" or "WrOperations" ? SnakeCaseLower.ConvertName(name) : KebabCaseLower.ConvertName(name);
    }
}
