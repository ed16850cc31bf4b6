using System.Runtime.CompilerServices;
using KvmPortal.Host.Benchmarks;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Linux.Inventory;
using KvmPortal.Host.Linux.Settings;
using KvmPortal.Host.Metrics;
using KvmPortal.Host.Pinning;
using KvmPortal.Host.Qemu;
using KvmPortal.Host.Qmp;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Host;

/// <summary>The real host: QEMU over QMP, files, and what the kernel says. Disposing it detaches; machines run on.</summary>
public sealed class LinuxMachineHost : IMachineHost, IAsyncDisposable
{
    private const long MostScreenshot = 64 << 20;
    private readonly HostOptions options;
    private readonly TimeProvider time;
    private readonly HostFolders folders;
    private readonly HostPaths paths = new();
    private readonly HostFactsReader facts;
    private readonly QemuProbe probe;
    private readonly KvmProof proof;
    private readonly RunningMachines machines;
    private readonly MachineSteps steps;
    private readonly ImageStore images;
    private readonly DiskFiles disks;
    private readonly SettingSteps settings;
    private readonly SharedPool pool;
    private readonly PlacementWatch placements;
    private readonly BenchmarkSteps benchmarks;
    private readonly SharedReading<HostInventory> inventory;
    private readonly Lazy<Task> found;
    private CpuFacts? cpu;

    private LinuxMachineHost(HostOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        (this.options, this.time) = (options, time);
        folders = new HostFolders(options.RunRoot, Path.Combine(options.DataRoot, "machines"), Path.Combine(options.DataRoot, "disks"), Path.Combine(options.DataRoot, "images"));
        facts = new HostFactsReader(paths);
        probe = new QemuProbe(options.QemuBinary, Path.Combine(options.DataRoot, "host"), loggers.CreateLogger<QemuProbe>());
        proof = new KvmProof(Path.Combine(options.DataRoot, "host"), TimeSpan.FromSeconds(options.KvmProofSeconds), time);
        machines = new RunningMachines(folders, new MachineLauncher(folders, paths, options, time), time, loggers.CreateLogger<RunningMachines>());
        var threads = new ThreadTree(paths);
        var pins = new Pins(threads, new KernelAffinity());
        pool = new SharedPool(machines, threads, pins, loggers.CreateLogger<SharedPool>());
        steps = new MachineSteps(machines, folders, ComposeAsync, facts.BootId, new MachinePinning(machines, pins, pool, new RealtimeVcpus(paths)));
        placements = new PlacementWatch(machines, pool, threads, time, loggers.CreateLogger<PlacementWatch>());
        benchmarks = new BenchmarkSteps(Path.Combine(options.DataRoot, "host", "benchmark"), paths, BuildAsync, time);
        images = new ImageStore(options, folders);
        disks = new DiskFiles(folders);
        settings = new SettingSteps(KernelFiles.Of(options.KernelRoot), SettingJournals.In(JournalFolder), () => facts.BootId,
            options.KernelRoot == "/" && SystemdUnits.Available ? ct => SystemdUnits.TryRestartAsync("irqbalance.service", ct) : null);
        inventory = new SharedReading<HostInventory>(() => HardwareUevents.WithGap(ReadInventory(options.KernelRoot)));
        found = new Lazy<Task>(FindAsync);
    }

    /// <summary>Makes the host; nothing on it is touched before the first call.</summary>
    public static LinuxMachineHost Create(HostOptions options, TimeProvider time, ILoggerFactory loggers) => new(options, time, loggers);

    /// <inheritdoc/>
    public async Task<HostFacts> GetFactsAsync(CancellationToken cancellationToken)
    {
        var capabilities = await probe.ProbeAsync(cancellationToken);
        return Facts(capabilities);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StepReport> ApplyAsync(HostStep step, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await found.Value.WaitAsync(cancellationToken);
        var reports = step switch
        {
            ProveAccelerator e => ProveAsync(e, cancellationToken),
            CreateDisk e => disks.CreateAsync(e, cancellationToken),
            DeleteDisk e => Once(() => disks.Delete(e.DiskId, e.Path)),
            RegisterImage e => images.RegisterAsync(e, cancellationToken),
            DeleteImageFile e => Once(() => images.Delete(e.ImageId, e.Path)),
            PrepareMachine e => PrepareAsync(e, cancellationToken),
            ApplyHostSetting { Optional: true } e => settings.TryApplyAsync(e.PreparationId, e.Setting, cancellationToken),
            ApplyHostSetting e => settings.ApplyAsync(e.PreparationId, e.Setting, cancellationToken),
            RestoreHostSetting e => settings.RestoreAsync(e.PreparationId, e.Setting, cancellationToken),
            MeasureLoss e => MeasureLossAsync(e, cancellationToken),
            MachineStep e => steps.ApplyAsync(e, cancellationToken),
            _ => throw new InvalidOperationException($"No step {step.Kind}."),
        };
        await foreach (var report in reports)
            yield return report;
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StepReport> UndoAsync(HostStep step, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await found.Value.WaitAsync(cancellationToken);
        switch (step)
        {
            case CreateDisk e:
                disks.Delete(e.DiskId, e.Path);
                break;
            case RegisterImage e:
                images.Discard(e.ImageId);
                break;
            case ApplyHostSetting e:
                await foreach (var report in settings.RestoreAsync(e.PreparationId, e.Setting, cancellationToken))
                    if (report is StepLog)
                        yield return report;
                break;
            case RestoreHostSetting e:
                await foreach (var report in settings.ApplyAsync(e.PreparationId, e.Setting, cancellationToken))
                    if (report is StepLog)
                        yield return report;
                break;
            case MeasureLoss e:
                benchmarks.Clean(e.MachineId);
                break;
            case MachineStep e:
                await steps.UndoAsync(e, cancellationToken);
                break;
        }

        yield return new StepDone(true);
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<string>> ComposeAsync(MachineSpec spec, CancellationToken cancellationToken)
    {
        var build = await BuildAsync(spec, cancellationToken);
        return QemuCommandLine.Build(spec, build.Facts, build.Capabilities);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<HostEvent> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await found.Value.WaitAsync(cancellationToken);
        await foreach (var happened in machines.WatchAsync(cancellationToken))
            yield return happened;
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<HostSample> SampleAsync(TimeSpan interval, CancellationToken cancellationToken) =>
        new MachineSampler(machines, new HostMeter(paths, time), time).RunAsync(interval, cancellationToken);

    /// <inheritdoc/>
    public IAsyncEnumerable<SerialChunk> ReadSerialAsync(Guid machineId, long fromOffset, CancellationToken cancellationToken) =>
        machines.Console(machineId)?.ReadAsync(fromOffset, cancellationToken) ?? throw new HostException(HostError.NotRunning, "The machine has not run since the portal started, or has no serial console.");

    /// <inheritdoc/>
    public Task WriteSerialAsync(Guid machineId, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken) =>
        (machines.Get(machineId).Serial ?? throw new HostException(HostError.NotFound, "The machine has no serial console.")).WriteAsync(bytes, cancellationToken);

    /// <inheritdoc/>
    public async Task<Stream> OpenVncAsync(Guid machineId, CancellationToken cancellationToken)
    {
        if (!machines.Get(machineId).Run.Spec.Vnc)
            throw new HostException(HostError.NotFound, "The machine has no display.");
        return await Consoles.UnixStream.ConnectAsync(MachinePaths.For(folders, machineId).VncSocket, machines.Get(machineId).Pid, cancellationToken);
    }

    /// <inheritdoc/>
    public async Task<byte[]> TakeScreenshotAsync(Guid machineId, CancellationToken cancellationToken)
    {
        var machine = machines.Get(machineId);
        var file = Path.Combine(MachinePaths.For(folders, machineId).RunDirectory, $"screen-{Guid.NewGuid():N}.png");
        try
        {
            await machine.Qmp.ScreendumpAsync(file, cancellationToken);
            // QEMU's user owns the folder: what lies there need not be what was asked for.
            using var picture = LinuxFiles.OpenRegular(file);
            if (picture.Length > MostScreenshot)
                throw new HostException(HostError.QmpFailed, "The screenshot is larger than a screen can be.");
            var bytes = new byte[picture.Length];
            await picture.ReadExactlyAsync(bytes, cancellationToken);
            return bytes;
        }
        finally
        {
            if (Directory.Exists(Path.GetDirectoryName(file)))
                File.Delete(file);
        }
    }

    /// <inheritdoc/>
    public async Task<ReceivedImage> ReceiveImageAsync(ReceiveImage request, Stream content, CancellationToken cancellationToken)
    {
        // The first look sweeps the quarantine: an upload must not begin before it.
        await found.Value.WaitAsync(cancellationToken);
        return await images.ReceiveAsync(request, content, cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<CpuModelFacts>> ReadCpuModelsAsync(Accelerator accelerator, CancellationToken cancellationToken) => probe.CpuModelsAsync(accelerator, cancellationToken);

    /// <inheritdoc/>
    public Task<HostInventory> ReadInventoryAsync(CancellationToken cancellationToken) => inventory.ReadAsync(cancellationToken);

    /// <inheritdoc/>
    public Task<SettingLook> LookAtSettingAsync(HostSetting setting, Guid? preparationId, CancellationToken cancellationToken) =>
        Task.Run(() => settings.Look(setting, preparationId), cancellationToken);

    /// <inheritdoc/>
    public IAsyncEnumerable<HardwareChange> WatchHardwareAsync(CancellationToken cancellationToken) => HardwareUevents.WatchAsync(time, cancellationToken);

    /// <summary>The inventory of a tree of kernel files that was captured, on this host or another; `/` is this host.</summary>
    public static HostInventory ReadInventory(string root) => InventoryReader.Read(new HostTree(root));

    /// <summary>Writes a gzipped tar of just the kernel files that <see cref="ReadInventory"/> reads, without serial numbers, addresses and names of the host; returns how many files.</summary>
    public static int CaptureInventory(string root, Stream output) => HostCapture.Write(root, output);

    /// <inheritdoc/>
    public async Task<PlacementReport> InspectPlacementAsync(Guid machineId, CancellationToken cancellationToken)
    {
        await found.Value.WaitAsync(cancellationToken);
        var machine = machines.Get(machineId);
        return await Task.Run(() => machines.InspectPlacement(machine, pool.Now(), new PlacementReader(paths, time)), cancellationToken);
    }

    /// <inheritdoc/>
    public async Task<MachineEvidence> MeasureAsync(Guid machineId, CancellationToken cancellationToken)
    {
        await found.Value.WaitAsync(cancellationToken);
        var machine = machines.Get(machineId);
        var (state, counters) = await QmpStatistics.ReadAsync(machine.Qmp, machine.Run.Spec.Accelerator, cancellationToken);
        return await Task.Run(() => new EvidenceReader(paths, time).Read(machine.Threads), cancellationToken) with { Kvm = state, KvmCounters = counters };
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<Stranger>> FindStrangersAsync(CancellationToken cancellationToken) =>
        Task.Run(() => new StrangerReader(paths).Read(Environment.ProcessId, machines.All.Select(m => m.Pid).ToHashSet()), cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyList<HostFile>> ListFilesAsync(string folder, CancellationToken cancellationToken) => Task.FromResult(images.List(folder));

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await placements.DisposeAsync();
        await machines.DisposeAsync();
    }

    private async Task<BuildContext> BuildAsync(MachineSpec spec, CancellationToken ct)
    {
        var capabilities = await probe.ProbeAsync(ct) ?? throw new HostException(HostError.Missing, "QEMU is not installed on this host, or older than 7.2.") { Hint = "Install the package qemu-system-x86." };
        return new BuildContext(spec, MachinePaths.For(folders, spec.Id), Facts(capabilities), capabilities, new ArgumentList());
    }

    private IAsyncEnumerable<StepReport> MeasureLossAsync(MeasureLoss step, CancellationToken ct) => machines.Find(step.MachineId) is null ? benchmarks.ApplyAsync(step, ct)
        : throw new HostException(HostError.WrongState, "The machine runs: its CPUs cannot be measured.");

    private string JournalFolder => Path.Combine(options.DataRoot, "host", "settings");

    private async Task FindAsync()
    {
        const UnixFileMode mine = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        foreach (var folder in (string[])[folders.Run, folders.State, folders.Disks, folders.Images])
            Directory.CreateDirectory(folder, mine);
        await Leftovers.EndAsync(argument => disks.IsPart(argument) || argument == proof.GuestFile || argument == probe.PidFile || benchmarks.IsOurs(argument));
        benchmarks.Sweep();
        SettingJournals.Sweep(JournalFolder, facts.BootId);
        disks.Sweep();
        images.Sweep();
        await machines.FindAsync(facts.BootId, CancellationToken.None);
        placements.Begin();
    }

    private HostFacts Facts(QemuCapabilities? q) => new()
    {
        HostName = facts.HostName,
        KernelVersion = facts.KernelVersion,
        OsName = facts.OsName,
        BootId = facts.BootId,
        Cpu = cpu ??= facts.Cpu(),
        Memory = facts.Memory(),
        Kvm = proof.Known(facts.BootId),
        Storage = HostFactsReader.Storage(options.DataRoot),
        Folders = folders,
        Qemu = q is null ? new QemuFacts() : new QemuFacts
        {
            Version = q.Version.ToString(),
            Path = q.Binary,
            Q35Machine = q.Q35Machine,
            IoUring = q.IoUring,
            UefiAvailable = q.Uefi is not null,
            SecureBootAvailable = q.SecureBoot is not null,
            TpmAvailable = q.Tpm,
            MicrovmAvailable = q.Microvm,
            QueueMapping = q.QueueMapping,
        },
    };

    private async IAsyncEnumerable<StepReport> ProveAsync(ProveAccelerator step, [EnumeratorCancellation] CancellationToken ct)
    {
        var capabilities = await probe.ProbeAsync(ct) ?? throw new HostException(HostError.Missing, "QEMU is not installed on this host, or older than 7.2.") { Hint = "Install the package qemu-system-x86." };
        var before = proof.Known(facts.BootId);
        var verdict = await proof.ProveAsync(capabilities.Binary, facts.BootId, step.Again, ct);
        yield return new StepLog(verdict.Evidence, verdict.Verdict != KvmVerdict.Works);
        yield return new StepDone(verdict != before) { Kvm = verdict };
    }

    private async IAsyncEnumerable<StepReport> PrepareAsync(PrepareMachine step, [EnumeratorCancellation] CancellationToken ct)
    {
        var at = MachinePaths.For(folders, step.MachineId);
        Directory.CreateDirectory(at.StateDirectory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        if (step.Firmware.Type != FirmwareType.Uefi || File.Exists(at.FirmwareVariables))
        {
            yield return new StepDone(false);
            yield break;
        }

        var capabilities = await probe.ProbeAsync(ct);
        var template = (step.Firmware.SecureBoot ? capabilities?.SecureBoot : capabilities?.Uefi)?.Variables
            ?? throw new HostException(HostError.Missing, "The UEFI firmware is not installed on this host.") { Hint = "Install the package ovmf." };
        File.Copy(template, at.FirmwareVariables + ".part", overwrite: true);
        File.SetUnixFileMode(at.FirmwareVariables + ".part", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.Move(at.FirmwareVariables + ".part", at.FirmwareVariables);
        yield return new StepDone(true);
    }

    private static async IAsyncEnumerable<StepReport> Once(Func<bool> act)
    {
        await Task.CompletedTask;
        yield return new StepDone(act());
    }
}
