namespace KvmPortal.Host.Contract;

/// <summary>
/// The one seam between the Engine and a Linux host. Everything that crosses it is a serialisable record, a byte stream or an
/// <see cref="IAsyncEnumerable{T}"/> of records: no delegates, no live objects. The same contract can therefore be served in process,
/// over a unix socket to a privileged agent, or by agents on other hosts.
/// </summary>
/// <remarks>
/// Implementations: <c>LinuxMachineHost</c> (QEMU over QMP) and <c>SimulatedMachineHost</c> (a fleet in memory).
/// Members throw <see cref="HostException"/> for failures that have a public explanation; anything else is a bug.
/// </remarks>
public interface IMachineHost
{
    /// <summary>
    /// The CPU models that machines can have with an accelerator (QMP `query-cpu-definitions`). Asked of QEMU once for each binary and accelerator. Throws Missing without QEMU.
    /// </summary>
    Task<IReadOnlyList<CpuModelFacts>> ReadCpuModelsAsync(Accelerator accelerator, CancellationToken cancellationToken);

    /// <summary>What this host is and can do now. Cheap after the first call: static parts are cached, see <see cref="HostFacts"/>.</summary>
    Task<HostFacts> GetFactsAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Runs one step. Looks before it acts: applying a step whose aim is already so succeeds and changes nothing.
    /// Yields any number of <see cref="StepProgress"/> and <see cref="StepLog"/>, then exactly one <see cref="StepDone"/>.
    /// Fails by throwing <see cref="HostException"/> after it has undone its own partial effect.
    /// </summary>
    IAsyncEnumerable<StepReport> ApplyAsync(HostStep step, CancellationToken cancellationToken);

    /// <summary>Reverts what <see cref="ApplyAsync"/> of the same step did, as far as it was done; safe to repeat.</summary>
    IAsyncEnumerable<StepReport> UndoAsync(HostStep step, CancellationToken cancellationToken);

    /// <summary>The exact QEMU command line that <see cref="LaunchMachine"/> would run for this spec, one argument per element, program first.</summary>
    Task<IReadOnlyList<string>> ComposeAsync(MachineSpec spec, CancellationToken cancellationToken);

    /// <summary>
    /// First one <see cref="MachineObserved"/> for each machine that this host runs, then <see cref="SnapshotEnd"/>, then everything that happens,
    /// in order per machine. Never ends by itself. Several readers may watch at once.
    /// </summary>
    IAsyncEnumerable<HostEvent> WatchAsync(CancellationToken cancellationToken);

    /// <summary>Samples of the host and of all running machines, one per <paramref name="interval"/>, until cancelled.</summary>
    IAsyncEnumerable<HostSample> SampleAsync(TimeSpan interval, CancellationToken cancellationToken);

    /// <summary>
    /// Serial output from absolute offset <paramref name="fromOffset"/> (0 = the first byte since the machine's start): history first, then live
    /// until the machine ends. A range that is no longer kept is skipped: the next chunk's <see cref="SerialChunk.Offset"/> says where it goes on.
    /// </summary>
    IAsyncEnumerable<SerialChunk> ReadSerialAsync(Guid machineId, long fromOffset, CancellationToken cancellationToken);

    /// <summary>Types bytes on the serial console. Throws <see cref="HostException"/> <see cref="HostError.NotRunning"/> when there is none.</summary>
    Task WriteSerialAsync(Guid machineId, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);

    /// <summary>Opens one RFB (VNC) connection to the machine's display: a duplex byte stream that the caller disposes.</summary>
    Task<Stream> OpenVncAsync(Guid machineId, CancellationToken cancellationToken);

    /// <summary>The machine's display now, as PNG bytes.</summary>
    Task<byte[]> TakeScreenshotAsync(Guid machineId, CancellationToken cancellationToken);

    /// <summary>
    /// Streams a file into the image store under <paramref name="request"/>, hashing as it writes, and inspects it with our own header parser before
    /// anything else may open it. A refused or truncated file is removed; the exception says why.
    /// </summary>
    Task<ReceivedImage> ReceiveImageAsync(ReceiveImage request, Stream content, CancellationToken cancellationToken);

    /// <summary>Reads what the host is made of and how its kernel is set; takes up to 200 ms of its own thread.</summary>
    Task<HostInventory> ReadInventoryAsync(CancellationToken cancellationToken);

    /// <summary>What a setting would write on this host now; and, for a preparation, whether what it wrote is still so. Changes nothing.</summary>
    Task<SettingLook> LookAtSettingAsync(HostSetting setting, Guid? preparationId, CancellationToken cancellationToken);

    /// <summary>Tells, from the call on, when hardware came, went or changed; many announcements at once are one. Never ends by itself, and tells nothing where the host cannot know.</summary>
    IAsyncEnumerable<HardwareChange> WatchHardwareAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Where the threads and the memory of a running machine are, as the kernel says, beside where they are to be. Walks the machine's page tables: for a look now and then.
    /// Throws <see cref="HostError.NotRunning"/>.
    /// </summary>
    Task<PlacementReport> InspectPlacementAsync(Guid machineId, CancellationToken cancellationToken);

    /// <summary>What the kernel and KVM have counted of a running machine: for a look on demand, not for a sampler. Answers within seconds. Throws <see cref="HostError.NotRunning"/>.</summary>
    Task<MachineEvidence> MeasureAsync(Guid machineId, CancellationToken cancellationToken);

    /// <summary>Guests on this host that are none of ours. Reads every process; for a look now and then.</summary>
    Task<IReadOnlyList<Stranger>> FindStrangersAsync(CancellationToken cancellationToken);

    /// <summary>Files of an allowed host folder that could be registered as images. Throws <see cref="HostError.NotAllowed"/> for other folders.</summary>
    Task<IReadOnlyList<HostFile>> ListFilesAsync(string folder, CancellationToken cancellationToken);
}
