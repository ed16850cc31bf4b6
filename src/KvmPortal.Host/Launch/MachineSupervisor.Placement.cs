using KvmPortal.Host.Contract;
using KvmPortal.Host.Pinning;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Launch;

// Which threads the machine has, and where they are to stay.
internal sealed partial class MachineSupervisor
{
    private const int MostThreads = 4096;

    /// <summary>Held while threads are moved: the watch must not put back what a step is about to change.</summary>
    public Lock Moving { get; } = new();

    /// <summary>Host thread ids of the vCPUs, in vCPU order.</summary>
    public IReadOnlyList<int> VcpuThreads { get; private set; } = [];

    private IReadOnlyList<(string Id, int ThreadId)> ioThreads = [];

    public bool IsAlive => !gone.Task.IsCompleted && !process.HasEnded;

    /// <summary>As QEMU last named them.</summary>
    public MachineThreads Threads => new(Pid, VcpuThreads, ioThreads, Run.TpmPid is { } tpm && QemuProcess.Find(tpm, Run.TpmStartTicks) is not null ? tpm : null);

    /// <summary>Asks QEMU again: vCPUs may have been plugged.</summary>
    public Task RefreshThreadsAsync(CancellationToken ct) => ReadThreadsAsync(Qmp, true, ct);

    /// <summary>Remembers where the threads are to stay, also over a restart of the portal. Throws NoRoom when that cannot be written down.</summary>
    /// <param name="isolation">What keeps others off its CPUs, for the report of its confinement.</param>
    public void Keep(MachinePlacement? placement, IReadOnlyList<Measure>? isolation = null)
    {
        var measures = Run.Confinement?.Measures.Where(m => m.Name is not (Measures.Exclusivity or Measures.CoreScheduling)).Concat(isolation ?? []).ToList() ?? [];
        Keep(Run with { Placement = placement, Confinement = Run.Confinement is { } report ? report with { Measures = measures } : null });
    }

    /// <summary>Remembers which CPUs are left to a machine without a placement; null: all of them. Throws NoRoom.</summary>
    public void KeepPool(CpuSet? pool) => Keep(Run with { Pool = pool });

    private void Keep(RunRecord run)
    {
        try
        {
            run.Write(paths.RecordFile);
        }
        catch (IOException e)
        {
            throw new HostException(HostError.NoRoom, $"The placement could not be written down: {e.Message}", e);
        }

        Run = run;
    }

    private Task ReadThreadsAsync(QmpClient connection, CancellationToken ct) =>
        // Only who may be placed is asked for more.
        ReadThreadsAsync(connection, Run.Spec.Placement is not null || Run.Placement is not null, ct);

    private async Task ReadThreadsAsync(QmpClient connection, bool all, CancellationToken ct)
    {
        VcpuThreads = [.. (await connection.QueryCpusFastAsync(ct)).Take(MostThreads).OrderBy(c => c.CpuIndex).Select(c => c.ThreadId)];
        if (all)
            ioThreads = [.. (await connection.QueryIoThreadsAsync(ct)).Take(MostThreads).Select(t => (t.Id, t.ThreadId))];
    }
}
