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

    /// <summary>Remembers how many vCPUs and how much memory it has now, also over a restart of the portal. Throws NoRoom.</summary>
    public void KeepHardware(CpuSpec cpu, MemorySpec memory)
    {
        if (Run.Spec.Cpu != cpu || Run.Spec.Memory != memory)
            Keep(Run with { Spec = Run.Spec with { Cpu = cpu, Memory = memory } });
    }

    private TaskCompletionSource hardwareMoved = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Waits until something holds, looking at each event about hardware and every half second; false when <paramref name="patience"/> ran out.</summary>
    public async Task<bool> WaitForHardwareAsync(Func<Task<bool>> holds, TimeSpan patience, CancellationToken ct)
    {
        var begun = time.GetTimestamp();
        while (true)
        {
            var moved = Volatile.Read(ref hardwareMoved).Task;
            if (await holds())
                return true;
            if (time.GetElapsedTime(begun) > patience)
                return false;
            await Task.WhenAny(moved, Task.Delay(TimeSpan.FromMilliseconds(500), time, ct));
            ct.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Throws WrongState where the guest stands still: it can neither take nor give anything.</summary>
    public void RequireRunningGuest()
    {
        if (State != MachineRunState.Running)
            throw new HostException(HostError.WrongState, "The guest does not run, so it can neither take nor give anything.") { Hint = "Let it run on first." };
    }

    /// <summary>While a step plugs vCPUs their coming and going is its own.</summary>
    public bool Plugging { get; set; }

    /// <summary>A guest may let go of a vCPU after its time: threads that are gone are nobody's to watch.</summary>
    private async Task DeviceGoneAsync()
    {
        HardwareMoved();
        if (Plugging)
            return;
        await ReadThreadsAsync(Qmp, CancellationToken.None);
        if (VcpuThreads.Count is > 0 and var now && now < Run.Spec.Cpu.Count)
        {
            KeepHardware(Run.Spec.Cpu with { Count = now }, Run.Spec.Memory);
            voice.Notice("vcpu-gone", $"The guest has let go of a vCPU after its time had passed; it has {now} now.", warning: true);
        }
    }

    private void HardwareMoved() => Interlocked.Exchange(ref hardwareMoved, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();

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
            throw new HostException(HostError.NoRoom, $"The machine's record could not be written down: {e.Message}", e);
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
