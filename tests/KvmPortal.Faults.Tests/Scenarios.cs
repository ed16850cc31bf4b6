using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Faults.Tests;

/// <summary>At least one scenario per kind of job; <see cref="CoverageTests"/> fails when a kind has none.</summary>
internal static class Scenarios
{
    public const string Machine = "m";
    /// <summary>Not a job: it ends with its request.</summary>
    public const string Upload = "(upload)";
    private const string Small = "small";
    private const string Disc = "disc";

    public static IReadOnlyList<Scenario> All { get; } =
    [
        new()
        {
            Name = "create, three kinds of disk",
            Kind = "create-vm",
            Prepare = p => RegisterAsync(p, Small, p.Folder.SourceImage),
            Ask = async p => [(await p.Vms.CreateAsync(FaultPortal.Ada, Define() with
            {
                Disks = [Blank("disk0"), new() { Name = "disk1", Image = Small }, new() { Name = "disk2", Image = Small, Copy = DiskSourceMode.Full, SizeGiB = 1 }],
            }, false, default)).Job!.Id],
            After = VmState.Stopped,
        },
        new() { Name = "create and start", Kind = "create-vm", Ask = async p => [(await p.Vms.CreateAsync(FaultPortal.Ada, Define(), true, default)).Job!.Id], After = VmState.Running },
        new()
        {
            Name = "create and start, QEMU refuses",
            Kind = "create-vm",
            Ask = async p => [(await p.Vms.CreateAsync(FaultPortal.Ada, Define() with { Cpu = new() { Model = "no-such-model" } }, true, default)).Job!.Id],
            Undisturbed = JobState.Failed,
            Ends = [JobState.Failed],
        },
        new()
        {
            Name = "create and start, cancelled",
            Kind = "create-vm",
            Ask = async p => [(await p.Vms.CreateAsync(FaultPortal.Ada, Define() with { Disks = [Blank("disk0"), Blank("disk1")] }, true, default)).Job!.Id],
            CancelAtCall = 3,
            After = VmState.Running,
            Undisturbed = JobState.Cancelled,
            Ends = [JobState.Cancelled, JobState.Succeeded],
        },
        Act("start", VmAction.Start, VmState.Running, p => p.CreateAsync(Define())),
        Act("start, UEFI and TPM", VmAction.Start, VmState.Running, p => p.CreateAsync(Define() with { Firmware = new() { Type = FirmwareChoice.Uefi, Tpm = true } })),
        Act("start on cores of its own", VmAction.Start, VmState.Running, p => p.CreateAsync(Define() with
        {
            Profile = "hpc",
            Placement = new() { Knobs = new() { Pages = PageKind.Small, LockMemory = false }, Allow = new(Emulation: true) },
        })),
        Act("start of a suspended machine", VmAction.Start, VmState.Running, async p =>
        {
            await RunAsync(p);
            await p.ActAsync(await p.VmAsync(Machine), VmAction.Suspend);
        }),
        Act("shut down, ended after its time", VmAction.Shutdown, VmState.Stopped, RunAsync, new VmActionOptions(1, true)),
        Act("shut down, guest does not obey", VmAction.Shutdown, VmState.Stopped, RunAsync, new VmActionOptions(1)) with { Undisturbed = JobState.Failed, Ends = [JobState.Failed] },
        Act("stop", VmAction.Stop, VmState.Stopped, RunAsync),
        Act("reset", VmAction.Reset, VmState.Running, RunAsync) with { Ends = [JobState.Succeeded, JobState.Interrupted] },
        Act("reset of a paused machine", VmAction.Reset, VmState.Running, PauseAsync) with { Ends = [JobState.Succeeded, JobState.Interrupted] },
        Act("pause", VmAction.Pause, VmState.Paused, RunAsync),
        Act("resume", VmAction.Resume, VmState.Running, PauseAsync),
        Act("suspend", VmAction.Suspend, VmState.Suspended, RunAsync),
        Act("suspend of a paused machine", VmAction.Suspend, VmState.Suspended, PauseAsync),
        Act("suspend, cancelled", VmAction.Suspend, VmState.Suspended, RunAsync) with { CancelAtCall = 1, Undisturbed = JobState.Cancelled, Ends = [JobState.Cancelled, JobState.Succeeded] },
        new()
        {
            Name = "stop, start and pause in a row",
            Kind = "vm-action/start",
            Prepare = RunAsync,
            Ask = async p =>
            {
                var vm = await p.VmAsync(Machine);
                List<JobId> jobs = [];
                foreach (var action in (VmAction[])[VmAction.Stop, VmAction.Start, VmAction.Pause])
                    jobs.Add((await p.Vms.ActAsync(FaultPortal.Ada, vm, action, new VmActionOptions(), default)).Id);
                return [.. jobs];
            },
            After = VmState.Paused,
            Each = [VmState.Stopped, VmState.Running, VmState.Paused],
        },
        new()
        {
            Name = "start of many",
            Kind = "bulk-vms",
            Prepare = p => p.CreateAsync(Define()),
            Ask = async p => [(await p.Vms.ActOnManyAsync(FaultPortal.Ada, [await p.VmAsync(Machine)], VmAction.Start, new VmActionOptions(), new BulkOptions(), default)).Id],
            After = VmState.Running,
        },
        Change("change of a stopped machine", p => p.CreateAsync(Define() with { Disks = [Blank("disk0"), Blank("disk1")] }),
            d => d with { Disks = [Blank("disk0"), Blank("disk2")] }, VmState.Stopped),
        Change("change of a running machine", async p =>
        {
            await RegisterAsync(p, Disc, p.Folder.SourceIso);
            await p.CreateAsync(Define() with { Disks = [Blank("disk0"), new() { Name = "cd0", Cdrom = true, Bus = DiskBusChoice.Sata }] }, start: true);
        }, d => d with { Disks = [Blank("disk0") with { Limits = new() { Iops = 500 } }, d.Disks[1] with { Image = Disc }, Blank("disk1")] }, VmState.Running),
        Change("more vCPUs and a smaller balloon while it runs", p => p.CreateAsync(Define() with { Cpu = new() { Count = 1, Max = 3 } }, start: true), d => d with { Cpu = d.Cpu with { Count = 2 }, Memory = d.Memory with { BalloonMiB = 24 } }, VmState.Running),
        // Its firmware takes no memory: the step fails after its time, and nothing is left of it.
        Change("more memory while it runs, guest does not take it", p => p.CreateAsync(Define() with { Memory = new() { SizeMiB = 32, MaxMiB = 160 } }, start: true),
            d => d with { Memory = d.Memory with { SizeMiB = 160 } }, VmState.Running) with { Undisturbed = JobState.Failed, Ends = [JobState.Failed] },
        new()
        {
            Name = "a better place for a running machine",
            Kind = "replan-vm",
            // The first machine leaves a better place behind.
            Prepare = async p =>
            {
                var own = Define() with { Profile = "hpc", Placement = new() { Knobs = new() { Pages = PageKind.Small, LockMemory = false }, Allow = new(Emulation: true) } };
                await p.CreateAsync(own with { Name = "first" }, start: true);
                await p.CreateAsync(own, start: true);
                var first = await p.VmAsync("first");
                await p.SucceededAsync((await p.Vms.DeleteAsync(FaultPortal.Ada, first, null, default)).Id);
            },
            Ask = async p => [(await p.Replans.ReplanAsync(FaultPortal.Ada, await p.VmAsync(Machine), default)).Id],
            After = VmState.Running,
        },
        Delete("delete of a stopped machine", p => p.CreateAsync(Define() with { Disks = [Blank("disk0"), Blank("disk1")] })),
        Delete("delete of a running machine", RunAsync),
        new()
        {
            Name = "upload an image",
            Kind = Upload,
            Ask = async p =>
            {
                await using var file = File.OpenRead(p.Folder.SourceImage);
                await p.Images.ReceiveAsync(FaultPortal.Ada, Small, file.Length, null, null, file, default);
                return [];
            },
            Ends = [JobState.Succeeded, JobState.Cancelled],
        },
        new()
        {
            Name = "register an image",
            Kind = "register-image",
            Ask = async p => [(await p.Images.RegisterAsync(FaultPortal.Ada, Small, p.Folder.SourceImage, default)).Job.Id],
        },
        new()
        {
            Name = "register an image, refused",
            Kind = "register-image",
            Prepare = p => File.WriteAllTextAsync(Path.Combine(p.Folder.Source, "bad.img"), "KDMV" + new string('x', 100_000)),
            Ask = async p => [(await p.Images.RegisterAsync(FaultPortal.Ada, Small, Path.Combine(p.Folder.Source, "bad.img"), default)).Job.Id],
            Undisturbed = JobState.Failed,
            Ends = [JobState.Failed],
        },
        new()
        {
            Name = "delete an image",
            Kind = "delete-image",
            Prepare = p => RegisterAsync(p, Small, p.Folder.SourceImage),
            Ask = async p => [(await p.Images.DeleteAsync(FaultPortal.Ada, (await p.ImageAsync(Small)).Id, default)).Id],
        },
        new()
        {
            Name = "set the host up",
            Kind = "prepare-host",
            Ask = p => PrepareAsync(p, KernelTree.HugePages, KernelTree.NoThp, KernelTree.Ban),
            Prepared = 3,
        },
        new()
        {
            Name = "set the host up, refused in the middle",
            Kind = "prepare-host",
            Prepare = p =>
            {
                KernelTree.RefuseKsm(p.Folder.Kernel);
                return Task.CompletedTask;
            },
            Ask = p => PrepareAsync(p, KernelTree.HugePages, KernelTree.Ban, KernelTree.NoKsm),
            Undisturbed = JobState.Failed,
            Ends = [JobState.Failed],
        },
        new()
        {
            Name = "set the host up, cancelled",
            Kind = "prepare-host",
            Ask = p => PrepareAsync(p, KernelTree.NoThp, KernelTree.HugePages),
            CancelAtCall = 2,
            Prepared = 2,
            Undisturbed = JobState.Cancelled,
            Ends = [JobState.Cancelled, JobState.Succeeded],
        },
        new()
        {
            Name = "undo a setting of the host",
            Kind = "restore-host",
            Prepare = async p => await p.SucceededAsync((await PrepareAsync(p, KernelTree.HugePages, KernelTree.NoThp))[0]),
            Ask = async p => [(await p.Preparations.UndoAsync(FaultPortal.Ada, (await p.Preparations.ListAsync(FaultPortal.Ada, default)).Single(v => v.Setting == KernelTree.HugePages).Id, default)).Id],
            Prepared = 1,
        },
        Benchmark("measure what a guest loses"),
        Benchmark("measure what a guest loses, cancelled") with { CancelAtCall = 1, Undisturbed = JobState.Cancelled, Ends = [JobState.Cancelled, JobState.Succeeded] },
        new() { Name = "prove the accelerator", Kind = "prove-accelerator", Ask = async p => [(await p.Hosts.ProveAcceleratorAsync(FaultPortal.Ada, default)).Id] },
    ];

    /// <summary>Idle in its firmware: cheap to run.</summary>
    private static VmDefinition Define() => new()
    {
        Name = Machine,
        Accelerator = AcceleratorChoice.Tcg,
        Memory = new() { SizeMiB = 32 },
        Disks = [Blank("disk0")],
        Consoles = new() { Graphics = GraphicsChoice.None },
    };

    private static DiskDefinition Blank(string name) => new() { Name = name, SizeGiB = 1 };

    private static Task RunAsync(FaultPortal p) => p.CreateAsync(Define(), start: true);

    private static async Task PauseAsync(FaultPortal p)
    {
        await RunAsync(p);
        await p.ActAsync(await p.VmAsync(Machine), VmAction.Pause);
    }

    private static async Task RegisterAsync(FaultPortal p, string name, string path) => await p.SucceededAsync((await p.Images.RegisterAsync(FaultPortal.Ada, name, path, default)).Job.Id);

    private static async Task<JobId[]> PrepareAsync(FaultPortal p, params HostSetting[] settings) => [(await p.Preparations.PrepareAsync(FaultPortal.Ada, settings, true, default)).Id];

    private static Scenario Act(string name, VmAction action, VmState after, Func<FaultPortal, Task> prepare, VmActionOptions? options = null) => new()
    {
        Name = name,
        Kind = $"vm-action/{PortalJson.Text(action)}",
        Prepare = prepare,
        Ask = async p => [(await p.Vms.ActAsync(FaultPortal.Ada, await p.VmAsync(Machine), action, options ?? new VmActionOptions(), default)).Id],
        After = after,
    };

    /// <summary>On cores of its own, so that the ledger is part of it.</summary>
    private static Scenario Benchmark(string name) => new()
    {
        Name = name,
        Kind = "benchmark-vm",
        Prepare = async p =>
        {
            foreach (var file in (string[])["vmlinuz", "initrd.img"])
            {
                File.Copy(Path.Combine(Template.Repository(), ".cache", "guest", file), Path.Combine(p.Folder.Source, file));
                await RegisterAsync(p, file, Path.Combine(p.Folder.Source, file));
            }

            await p.CreateAsync(Define() with
            {
                Memory = new() { SizeMiB = 128 },
                Profile = "hpc",
                Placement = new() { Knobs = new() { Pages = PageKind.Small, LockMemory = false }, Allow = new(Emulation: true) },
            });
        },
        Ask = async p => [(await p.Benchmarks.StartAsync(FaultPortal.Ada, await p.VmAsync(Machine), new() { Rounds = 3, Kernel = "vmlinuz", Initrd = "initrd.img" }, default)).Id],
        After = VmState.Stopped,
    };

    private static Scenario Change(string name, Func<FaultPortal, Task> prepare, Func<VmDefinition, VmDefinition> change, VmState after) => new()
    {
        Name = name,
        Kind = "change-vm",
        Prepare = prepare,
        Ask = async p =>
        {
            var vm = await p.Vms.GetAsync(FaultPortal.Ada, await p.VmAsync(Machine), default);
            return [(await p.Vms.ReplaceAsync(FaultPortal.Ada, vm.Id, change(vm.Definition), null, default)).Job!.Id];
        },
        After = after,
    };

    private static Scenario Delete(string name, Func<FaultPortal, Task> prepare) => new()
    {
        Name = name,
        Kind = "delete-vm",
        Prepare = prepare,
        Ask = async p => [(await p.Vms.DeleteAsync(FaultPortal.Ada, await p.VmAsync(Machine), null, default)).Id],
    };
}
