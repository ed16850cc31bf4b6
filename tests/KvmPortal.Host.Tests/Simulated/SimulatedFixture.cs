using KvmPortal.Host.Contract;
using KvmPortal.Host.Simulated;

namespace KvmPortal.Host.Tests.Simulated;

internal static class SimulatedFixture
{
    public static SimulatedMachineHost NewHost(TimeProvider? time = null) =>
        new(new SimulatedOptions { DataRoot = "/data", StepDelay = TimeSpan.Zero }, time ?? TimeProvider.System);

    public static MachineSpec Spec(string name = "web", Guid? id = null) => new()
    {
        Id = id ?? Guid.NewGuid(),
        Name = name,
        Accelerator = Accelerator.Kvm,
        Family = MachineFamily.Q35,
        MachineType = "pc-q35-10.0",
        Cpu = new(2, 2, "host", 1),
        Memory = new(1024, 4),
        Firmware = new(FirmwareType.Bios, false),
        Disks = [new() { Name = "cd0", Bus = DiskBus.Sata, Format = DiskFormat.Raw, Cdrom = true, ReadOnly = true }],
    };

    public static async Task<List<StepReport>> Apply(this SimulatedMachineHost host, HostStep step)
    {
        var reports = new List<StepReport>();
        await foreach (var report in host.ApplyAsync(step, TestContext.Current.CancellationToken))
            reports.Add(report);
        Assert.Single(reports, report => report is StepDone);
        return reports;
    }

    public static async Task<bool> Changes(this SimulatedMachineHost host, HostStep step) =>
        Assert.IsType<StepDone>((await host.Apply(step))[^1]).Changed;

    public static async Task<bool> Undo(this SimulatedMachineHost host, HostStep step)
    {
        var changed = false;
        await foreach (var report in host.UndoAsync(step, TestContext.Current.CancellationToken))
            changed |= report is StepDone { Changed: true };
        return changed;
    }

    public static async Task<HostException> Refused(this SimulatedMachineHost host, HostStep step, HostError error)
    {
        var refusal = await Assert.ThrowsAsync<HostException>(() => host.Apply(step));
        Assert.Equal(error, refusal.Error);
        return refusal;
    }

    public static async Task<Guid> Start(this SimulatedMachineHost host, MachineSpec spec)
    {
        Assert.True(await host.Changes(new LaunchMachine { MachineId = spec.Id, Spec = spec }));
        Assert.True(await host.Changes(new RunMachine { MachineId = spec.Id }));
        return spec.Id;
    }

    /// <summary>Reads events until one is of the wanted type.</summary>
    public static async Task<T> Next<T>(this IAsyncEnumerator<HostEvent> events) where T : HostEvent
    {
        while (await events.MoveNextAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10)))
            if (events.Current is T wanted)
                return wanted;
        throw new InvalidOperationException("The watch ended.");
    }
}
