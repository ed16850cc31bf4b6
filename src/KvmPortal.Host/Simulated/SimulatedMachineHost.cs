using System.Globalization;
using System.Runtime.CompilerServices;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>
/// A whole fleet in memory, for the user interface, scale tests and demos. Nothing runs and no file is written; a machine costs a record.
/// </summary>
/// <remarks>
/// Words in a machine's name make it misbehave (any place in the name, any case):
/// <list type="table">
/// <item><term>fail-start</term><description>the launch fails with exit code 1 and a line of QEMU's stderr</description></item>
/// <item><term>slow-start</term><description>the launch takes five seconds and reports progress</description></item>
/// <item><term>ignore-shutdown</term><description>the guest does not react to the power button</description></item>
/// <item><term>drift</term><description>the thread of its first vCPU is never where its placement says</description></item>
/// <item><term>crash-NNs</term><description>QEMU dies NN seconds after the machine first ran, e.g. <c>web-crash-10s</c></description></item>
/// <item><term>panic-NNs</term><description>the guest's kernel panics NN seconds after the machine first ran</description></item>
/// <item><term>ioerror-NNs</term><description>a disk is full NN seconds after the machine first ran; the machine pauses</description></item>
/// </list>
/// </remarks>
public sealed class SimulatedMachineHost : IMachineHost, IDisposable
{
    private const int CpuCount = 64;
    private const long TotalMemoryMiB = 512 * 1024;
    private readonly CancellationTokenSource _stopping = new();
    private readonly SimulatedOptions _options;
    private readonly TimeProvider _time;
    private readonly Store _store;
    private readonly Fleet _fleet;
    private readonly StepHolds _holds = new();
    private readonly Steps _steps;
    private readonly SimulatedSettings _settings;

    public SimulatedMachineHost(SimulatedOptions options, TimeProvider time)
    {
        (_options, _time) = (options, time);
        _store = new(options, time);
        _fleet = new(time, options.Machines, _stopping.Token);
        _settings = new(BootId, SimulatedInventory.Make());
        _steps = new(_fleet, _store, (_holds, _settings.Steps), options, time);
    }

    /// <inheritdoc/>
    public Task<HostFacts> GetFactsAsync(CancellationToken cancellationToken) => Task.FromResult(new HostFacts
    {
        HostName = "simulated",
        KernelVersion = "6.12.0-simulated",
        OsName = "Simulated host",
        BootId = BootId,
        Cpu = new("Simulated 64-core CPU", "GenuineIntel", CpuCount, "x86_64"),
        Memory = new(TotalMemoryMiB, AvailableMemory() >> 20),
        Kvm = _steps.Kvm,
        Qemu = new()
        {
            Version = "10.0.0 (simulated)",
            Path = "/usr/bin/qemu-system-x86_64",
            Q35Machine = "pc-q35-10.0",
            IoUring = true,
            UefiAvailable = true,
            SecureBootAvailable = true,
            TpmAvailable = true,
            MicrovmAvailable = true,
        },
        Storage = new(Path.GetFullPath(_options.DataRoot), Store.TotalBytes, Math.Max(0, _store.FreeBytes)),
        Folders = _store.Folders,
        Simulated = true,
    });

    /// <inheritdoc/>
    public IAsyncEnumerable<StepReport> ApplyAsync(HostStep step, CancellationToken cancellationToken) =>
        _steps.ApplyAsync(step, cancellationToken);

    /// <inheritdoc/>
    public IAsyncEnumerable<StepReport> UndoAsync(HostStep step, CancellationToken cancellationToken) =>
        _steps.UndoAsync(step, cancellationToken);

    /// <summary>A readable subset of what QEMU would be given; the name ends in "(simulated)".</summary>
    public Task<IReadOnlyList<string>> ComposeAsync(MachineSpec spec, CancellationToken cancellationToken)
    {
        List<string> line =
        [
            "qemu-system-x86_64", "-name", $"{spec.Name} (simulated)", "-uuid", spec.Id.ToString(), "-S", "-nodefaults",
            "-machine", $"{spec.MachineType},accel={spec.Accelerator.ToString().ToLowerInvariant()}", "-cpu", spec.Cpu.Model,
            "-smp", string.Create(CultureInfo.InvariantCulture, $"{spec.Cpu.Count},maxcpus={spec.Cpu.Max},threads={spec.Cpu.ThreadsPerCore}"),
            "-m", string.Create(CultureInfo.InvariantCulture, $"{spec.Memory.SizeMiB}M"),
        ];
        foreach (var disk in spec.Disks)
            line.AddRange(["-blockdev", System.Text.Json.JsonSerializer.Serialize(new Dictionary<string, string?>
            {
                ["node-name"] = disk.Name, ["driver"] = disk.Format.ToString().ToLowerInvariant(), ["filename"] = disk.Path,
            })]);
        foreach (var nic in spec.Nics)
            line.AddRange(["-netdev", $"user,id={nic.Name}", "-device", $"virtio-net-pci,netdev={nic.Name},mac={nic.Mac}"]);
        if (!spec.Vnc)
            line.AddRange(["-display", "none"]);
        return Task.FromResult<IReadOnlyList<string>>(line);
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<HostEvent> WatchAsync(CancellationToken cancellationToken) => _fleet.Events.WatchAsync(cancellationToken);

    /// <inheritdoc/>
    public async IAsyncEnumerable<HostSample> SampleAsync(TimeSpan interval, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(interval, _time);
        do
            yield return Sample();
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<SerialChunk> ReadSerialAsync(
        Guid machineId, long fromOffset, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var machine = WithSerial(machineId);
        var offset = Math.Max(0, fromOffset);
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var (chunk, changed, due) = machine.Serial.Read(offset, machine.Uptime(_time.GetUtcNow()));
            if (chunk is not null)
            {
                offset = chunk.NextOffset;
                yield return chunk;
            }
            else if (changed is null)
                yield break;
            else if (due is { } wait)
                await WaitAsync(changed, wait, cancellationToken);
            else
                await changed.WaitAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public Task WriteSerialAsync(Guid machineId, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        var machine = WithSerial(machineId);
        // A stopped guest reads nothing.
        if (machine.State != MachineRunState.Running)
            return Task.CompletedTask;
        switch (machine.Serial.Type(bytes.Span, machine.Uptime(_time.GetUtcNow())))
        {
            case GuestAct.PowerOff: _fleet.PowerOff(machine); break;
            case GuestAct.Reboot: _fleet.Reset(machine, "The guest rebooted."); break;
            case GuestAct.Panic: _fleet.Panic(machine); break;
            case GuestAct.None: break;
        }
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task<Stream> OpenVncAsync(Guid machineId, CancellationToken cancellationToken)
    {
        var machine = WithDisplay(machineId);
        var (client, server) = DuplexPipe.Create();
        _ = ServeVncAsync(machine, server);
        return Task.FromResult<Stream>(client);
    }

    /// <inheritdoc/>
    public Task<byte[]> TakeScreenshotAsync(Guid machineId, CancellationToken cancellationToken) =>
        Task.FromResult(Png.Encode(Screen.Width, Screen.Height, WithDisplay(machineId).Screen.Draw()));

    /// <summary>Hashes and counts the stream and forgets the bytes.</summary>
    public Task<ReceivedImage> ReceiveImageAsync(ReceiveImage request, Stream content, CancellationToken cancellationToken) =>
        _store.ReceiveAsync(request, content, cancellationToken);

    /// <inheritdoc/>
    public async IAsyncEnumerable<HardwareChange> WatchHardwareAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await Task.Delay(Timeout.InfiniteTimeSpan, _time, cancellationToken);
        yield break;
    }

    /// <summary>Those of a server of 2021.</summary>
    public Task<IReadOnlyList<CpuModelFacts>> ReadCpuModelsAsync(Accelerator accelerator, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<CpuModelFacts>>(
    [
        new("Icelake-Server-v5", [], false), new("Icelake-Server-v6", ["avx512ifma"], false), new("SapphireRapids-v1", ["amx-tile", "avx512-bf16"], false), new("Skylake-Server-v4", [], false),
        new("Skylake-Server-v5", [], false), new("host", [], false), new("max", [], false), new("qemu64-v1", [], false),
    ]);

    /// <inheritdoc/>
    public Task<HostInventory> ReadInventoryAsync(CancellationToken cancellationToken) => Task.FromResult(Inventory);

    /// <summary>What it seems to be made of, and how it was set.</summary>
    public HostInventory Inventory
    {
        get => _settings.Over(field);
        set;
    } = SimulatedInventory.Make();

    /// <inheritdoc/>
    public Task<SettingLook> LookAtSettingAsync(HostSetting setting, Guid? preparationId, CancellationToken cancellationToken) =>
        Task.FromResult(_settings.Steps.Look(setting, preparationId));

    /// <summary>What a kernel file says; writing it is what an operator does behind the portal's back.</summary>
    public string? this[string kernelFile]
    {
        get => _settings.Files.Value(kernelFile);
        set => _settings.Files.Write(kernelFile, value ?? "");
    }

    /// <inheritdoc/>
    public Task<PlacementReport> InspectPlacementAsync(Guid machineId, CancellationToken cancellationToken) =>
        Task.FromResult(SimulatedPlacement.Report(_fleet.Get(machineId), CpuSet.Range(0, CpuCount - 1), _time.GetUtcNow()));

    /// <inheritdoc/>
    public Task<MachineEvidence> MeasureAsync(Guid machineId, CancellationToken cancellationToken) => Task.FromResult(SimulatedPlacement.Evidence(_fleet.Get(machineId), _time.GetUtcNow()));

    /// <summary>Made-up files of the one allowed folder, <c>import</c> below the data directory.</summary>
    public Task<IReadOnlyList<Stranger>> FindStrangersAsync(CancellationToken cancellationToken) => Task.FromResult(Strangers);

    /// <summary>What a look for unknown guests finds.</summary>
    public IReadOnlyList<Stranger> Strangers { get; set; } = [];

    /// <inheritdoc/>
    public Task<IReadOnlyList<HostFile>> ListFilesAsync(string folder, CancellationToken cancellationToken) =>
        Task.FromResult(_store.List(folder));

    /// <summary>QEMU of this machine dies. Throws <see cref="HostError.NotRunning"/>.</summary>
    public void Crash(Guid machineId) => _fleet.Crash(_fleet.Get(machineId));

    /// <summary>The guest powers itself off. Throws <see cref="HostError.NotRunning"/>.</summary>
    public void GuestPowerOff(Guid machineId) => _fleet.PowerOff(_fleet.Get(machineId));

    /// <summary>The guest's kernel panics. Throws <see cref="HostError.NotRunning"/>.</summary>
    public void Panic(Guid machineId) => _fleet.Panic(_fleet.Get(machineId));

    /// <summary>A disk of the machine fails; the machine pauses. Throws <see cref="HostError.NotRunning"/>.</summary>
    public void IoFailure(Guid machineId) => _fleet.IoFailure(_fleet.Get(machineId));

    /// <summary>Publishes a notice of <see cref="MachineNotice.Kind"/> <paramref name="kind"/>.</summary>
    public void EmitNotice(Guid machineId, string kind, string text, bool warning = false) => _fleet.Notice(machineId, kind, text, warning);

    /// <summary>Steps of this kind (<see cref="HostStep.Kind"/>) wait at their start until <see cref="ReleaseStep"/>.</summary>
    public void HoldStep(string kind) => _holds.Hold(kind);

    /// <summary>Lets held steps of this kind go on.</summary>
    public void ReleaseStep(string kind) => _holds.Release(kind);

    /// <summary>Stops timers and open displays.</summary>
    public void Dispose()
    {
        // May be called twice: the host can outlive one portal and be disposed by the next.
        if (!_stopping.IsCancellationRequested)
            _stopping.Cancel();
    }

    private string BootId => new Guid(_options.Seed, 0, 0, new byte[8]).ToString();

    private long AvailableMemory() =>
        Math.Max(8L << 30, (TotalMemoryMiB << 20) - _fleet.All().Sum(machine => (long)machine.BalloonMiB << 20));

    private HostSample Sample()
    {
        var now = _time.GetUtcNow();
        var machines = _fleet.All();
        var busy = machines.Sum(machine => Curves.BusyCpus(machine, _options.Seed, now));
        return new HostSample
        {
            At = now,
            CpuBusy = Math.Min(1, busy / CpuCount),
            CpuBusyEach = [.. Enumerable.Range(0, CpuCount).Select(cpu => (float)Math.Clamp((busy / CpuCount) + (0.2 * Math.Sin((now.ToUnixTimeSeconds() / 7.0) + cpu)), 0, 1))],
            MemoryTotalBytes = TotalMemoryMiB << 20,
            MemoryAvailableBytes = AvailableMemory(),
            Load1 = busy,
            CpuPressure = Math.Clamp((busy - CpuCount) / 10, 0, 100),
            MemoryPressure = 0,
            IoPressure = Math.Min(100, busy / CpuCount),
            Machines = [.. machines.Select(machine => Curves.Sample(machine, _options.Seed, now))],
        };
    }

    private SimulatedMachine WithSerial(Guid id) => _fleet.Get(id) is { Spec.Serial: true } machine
        ? machine : throw new HostException(HostError.NotRunning, "The machine has no serial console.");

    private SimulatedMachine WithDisplay(Guid id) => _fleet.Get(id) is { Spec.Vnc: true } machine
        ? machine : throw new HostException(HostError.WrongState, "The machine has no display.");

    private async Task WaitAsync(Task changed, TimeSpan longest, CancellationToken cancellationToken)
    {
        // A paused guest's next line is never due; looking four times a second is enough to notice that it runs again.
        var wait = TimeSpan.FromMilliseconds(Math.Clamp(longest.TotalMilliseconds, 1, 250));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await Task.WhenAny(changed, Task.Delay(wait, _time, stop.Token));
        await stop.CancelAsync();
        cancellationToken.ThrowIfCancellationRequested();
    }

    private async Task ServeVncAsync(SimulatedMachine machine, Stream server)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
        _fleet.Notice(machine.Id, "vnc-connected", "A viewer opened the display.");
        try
        {
            var serving = new RfbSession(server, machine.Screen, machine.Spec.Name, _time).ServeAsync(stop.Token);
            await Task.WhenAny(serving, machine.Ended);
            await stop.CancelAsync();
            await serving;
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException or InvalidOperationException)
        {
            // The viewer left, the machine ended or the host closes: nobody is there to be told.
        }
        finally
        {
            await server.DisposeAsync();
            _fleet.Notice(machine.Id, "vnc-disconnected", "A viewer closed the display.");
        }
    }
}
