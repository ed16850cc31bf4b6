using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Pinning;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Pinning;

/// <summary>A pretended /proc with a QEMU in it, and a pretended scheduler of CPUs 0 to 7.</summary>
internal sealed class ThreadScene : TimeProvider, IAffinity, IDisposable
{
    public const int Qemu = 100, Tpm = 90;
    private const string KernelFlags = "2129984", UserFlags = "4194560", WorkerFlags = "71303168";
    private readonly ScratchFolder folder = new();
    private readonly SortedDictionary<int, ulong[]> masks = [];
    private long now;

    public ThreadScene()
    {
        Online = CpuSet.Range(0, 7);
        Add(Qemu, Qemu, "qemu-system-x86");
        Add(Qemu, 101, "call_rcu");
        Add(Qemu, 102, "IO disk0-io");
        Add(Qemu, 103, "CPU 0/KVM");
        Add(Qemu, 104, "CPU 1/KVM");
        Add(Tpm, Tpm, "swtpm");
    }

    public static MachineThreads Machine { get; } = new(Qemu, [103, 104], [("disk0-io", 102)], Tpm);

    public static MachinePlacement Placement { get; } = new()
    {
        Vcpus = [CpuSet.Of(4), CpuSet.Of(5)],
        Emulator = CpuSet.Parse("0-1"),
        IoThreads = new Dictionary<string, CpuSet> { ["disk0-io"] = CpuSet.Of(2) },
        Vhost = CpuSet.Of(3),
        Sockets = 1,
        CoresPerSocket = 2,
        ThreadsPerCore = 1,
        Nodes = [new(CpuSet.Range(0, 1), 256, 0, MemoryPolicy.Bind, 2048, 2, [])],
    };

    public HostPaths Paths => new(folder.Path);
    public ThreadTree Tree => new(Paths);
    public Pins Pins => new(Tree, this);

    /// <summary>In the order in which they were moved.</summary>
    public List<int> Moved { get; } = [];

    /// <summary>Called when a thread is moved.</summary>
    public Action<int>? Moving { get; set; }

    public CpuSet Online
    {
        get => Tree.Online();
        set => Write("sys/devices/system/cpu/online", value + "\n");
    }

    public CpuSet this[int thread]
    {
        get => CpuMask.SetOf(masks[thread]);
        set
        {
            masks[thread] = CpuMask.Of(value);
            foreach (var status in Directory.GetFiles(folder.In("proc"), "status", SearchOption.AllDirectories).Where(f => f.EndsWith($"/task/{thread}/status", StringComparison.Ordinal)))
                File.WriteAllText(status, $"Name:\tx\nCpus_allowed_list:\t{value}\nnonvoluntary_ctxt_switches:\t7\n");
        }
    }

    public void Add(int pid, int thread, string name, bool worker = false)
    {
        Write($"proc/{pid}/task/{thread}/comm", name + "\n");
        Write($"proc/{pid}/task/{thread}/stat", $"{thread} ({name}) S 1 1 1 0 -1 {(worker ? WorkerFlags : UserFlags)} 0 0\n");
        Write($"proc/{pid}/task/{thread}/status", "");
        Write($"proc/{pid}/task/{thread}/schedstat", "5000 300 12\n");
        if (pid == thread)
            AddProcess(pid, name, kernel: false);
        this[thread] = CpuSet.Range(0, 7);
    }

    /// <summary>A process of its own, e.g. a kernel thread.</summary>
    public void AddProcess(int pid, string name, bool kernel)
    {
        Write($"proc/{pid}/comm", name + "\n");
        Write($"proc/{pid}/stat", $"{pid} ({name}) S 2 0 0 0 -1 {(kernel ? KernelFlags : UserFlags)} 0 0\n");
        masks.TryAdd(pid, CpuMask.Of(CpuSet.Range(0, 7)));
    }

    public void End(int thread)
    {
        masks.Remove(thread);
        Directory.Delete(folder.In($"proc/{Qemu}/task/{thread}"), recursive: true);
    }

    public void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(folder.In(path))!);
        File.WriteAllText(folder.In(path), text);
    }

    public void Pass(TimeSpan time) => now += (long)(time.TotalSeconds * TimestampFrequency);

    public override long GetTimestamp() => now;

    public WatchedMachine Watch(MachinePlacement placement) => new(Tree, this, this, (Machine, () => true), placement);

    public bool TryGet(int threadId, Span<ulong> mask)
    {
        if (!masks.TryGetValue(threadId, out var is_))
            return false;
        is_.CopyTo(mask);
        return true;
    }

    public int Set(int threadId, ReadOnlySpan<ulong> mask)
    {
        if (!masks.ContainsKey(threadId))
            return CpuMask.NoSuchThread;
        var set = CpuMask.SetOf(mask) & Online;
        if (set.IsEmpty || !Tree.Movable(Qemu, threadId))
            return CpuMask.Invalid;
        Moved.Add(threadId);
        this[threadId] = set;
        Moving?.Invoke(threadId);
        return 0;
    }

    public void Dispose() => folder.Dispose();

    public override string ToString() => string.Join("; ", masks.Select(m => string.Create(CultureInfo.InvariantCulture, $"{m.Key}: {CpuMask.SetOf(m.Value)}")));
}
