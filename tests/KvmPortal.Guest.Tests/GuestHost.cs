using System.Collections.Concurrent;
using System.Text;
using KvmPortal.Host;
using KvmPortal.Host.Contract;
using Microsoft.Extensions.Logging.Abstractions;

namespace KvmPortal.Guest.Tests;

/// <summary>A real host in a folder of its own. Its end checks that nothing is left: no process, no run folder, no socket.</summary>
internal sealed class GuestHost : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);
    private readonly CancellationTokenSource stop = new();
    private readonly ConcurrentQueue<HostEvent> events = new();
    private readonly List<int> pids = [];
    private static int lastUid = 62_000 + Environment.ProcessId % 1000;
    private Task watching;

    public GuestHost()
    {
        Root = Directory.CreateTempSubdirectory("kpg-").FullName;
        Host = NewHost();
        watching = WatchAsync(Host);
    }

    public string Root { get; }
    public string RunRoot => Path.Combine(Root, "r");
    public LinuxMachineHost Host { get; private set; }
    public IReadOnlyCollection<HostEvent> Events => events;
    public static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>A file of the test guest, which `./kvmportal test` builds.</summary>
    public static string GuestFile(string name)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "KvmPortal.sln")))
                return Path.Combine(folder.FullName, ".cache", "guest", name);
        throw new InvalidOperationException("The tests run from inside of the repository.");
    }

    /// <summary>The tiny guest by direct boot on TCG.</summary>
    public static MachineSpec Spec(string arguments = "noip") => new()
    {
        Id = Guid.NewGuid(),
        Name = "guest",
        Accelerator = Accelerator.Tcg,
        Family = MachineFamily.Q35,
        MachineType = "q35",
        Cpu = new(1, 1, "max", 1),
        Memory = new(192, 4),
        Firmware = new(FirmwareType.Bios, false),
        GuestAgent = false,
        Confinement = new() { Uid = Interlocked.Increment(ref lastUid) },
        DirectBoot = new(GuestFile("vmlinuz"), GuestFile("initrd.img"), $"console=ttyS0 quiet {arguments}"),
    };

    /// <summary>Whatever a test starts, a guest that broke out would have nothing: by the report, and by what the kernel says itself.</summary>
    private static void AssertConfined(StepDone done, MachineSpec spec)
    {
        Assert.DoesNotContain(done.Confinement!.Measures, m => m.State == MeasureState.Failed);
        if (!Environment.IsPrivilegedProcess)
            return;
        var status = File.ReadLines($"/proc/{done.Pid}/status").Select(l => l.Split(':')).ToDictionary(f => f[0], f => f[1].Trim());
        Assert.Equal($"{spec.Confinement.Uid}", Assert.Single(status["Uid"].Split('\t').Distinct()));
        Assert.Equal("0000000000000000", status["CapEff"]);
        Assert.Equal("0000000000000000", status["CapBnd"]);
        Assert.Equal("1", status["NoNewPrivs"]);
        Assert.Equal("2", status["Seccomp"]);
        foreach (var name in (string[])[Measures.Identity, Measures.Capabilities, Measures.Seccomp, Measures.MountView, Measures.Namespaces, Measures.Descriptors, Measures.RunDirectory])
            Assert.Equal(MeasureState.InForce, done.Confinement.Measures.Single(m => m.Name == name).State);
    }

    public async Task<StepDone> ApplyAsync(HostStep step)
    {
        StepDone? done = null;
        await foreach (var report in Host.ApplyAsync(step, Ct))
            done = report as StepDone ?? done;
        if (done?.Pid is { } pid)
            pids.Add(pid);
        if (step is LaunchMachine { Spec: var spec })
            AssertConfined(done!, spec);
        return done!;
    }

    public async Task UndoAsync(HostStep step)
    {
        await foreach (var _ in Host.UndoAsync(step, Ct))
        {
        }
    }

    /// <summary>A file in the machine's own folder.</summary>
    public string StateFile(Guid id, string name) => Path.Combine(Root, "d", "machines", id.ToString("N"), name);

    /// <summary>Whether an event came after the first one of a state.</summary>
    public bool After(HostEvent later, MachineRunState state) =>
        events.SkipWhile(e => e is not MachineStateChanged changed || changed.State != state).Contains(later);

    /// <summary>Prepares, launches and runs.</summary>
    public async Task<int> StartAsync(MachineSpec spec)
    {
        await ApplyAsync(new PrepareMachine { MachineId = spec.Id, Firmware = spec.Firmware });
        var done = await ApplyAsync(new LaunchMachine { MachineId = spec.Id, Spec = spec });
        await ApplyAsync(new RunMachine { MachineId = spec.Id });
        return done.Pid!.Value;
    }

    public Task TypeAsync(Guid id, string line) => Host.WriteSerialAsync(id, Encoding.ASCII.GetBytes(line + "\n"), Ct);

    /// <summary>Everything that the console said up to a text; fails with what it said instead.</summary>
    public async Task<string> ReadUntilAsync(Guid id, string text, long from = 0)
    {
        var said = new StringBuilder();
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        deadline.CancelAfter(Patience);
        try
        {
            await foreach (var chunk in Host.ReadSerialAsync(id, from, deadline.Token))
                if (said.Append(Encoding.ASCII.GetString(chunk.Bytes)).ToString().Contains(text, StringComparison.Ordinal))
                    return said.ToString();
        }
        catch (OperationCanceledException) when (!Ct.IsCancellationRequested)
        {
        }

        throw new InvalidOperationException($"The console never said \"{text}\" but: {said.ToString()[Math.Max(0, said.Length - 2000)..]}");
    }

    /// <summary>The first event of its kind; waits for it.</summary>
    public async Task<T> EventAsync<T>(Guid? id = null, Func<T, bool>? wanted = null) where T : HostEvent
    {
        for (var end = Environment.TickCount64 + (long)Patience.TotalMilliseconds; Environment.TickCount64 < end; await Task.Delay(20, Ct))
            if (events.OfType<T>().FirstOrDefault(e => IdOf(e) == id && (wanted?.Invoke(e) ?? true)) is { } found)
                return found;
        throw new InvalidOperationException($"No {typeof(T).Name}; there were: {string.Join(", ", events)}");
    }

    /// <summary>Ends a QEMU of ours behind the portal's back.</summary>
    public static async Task KillAsync(int pid)
    {
        using (var process = System.Diagnostics.Process.GetProcessById(pid))
            process.Kill();
        for (var i = 0; i < 100 && Alive(pid); i++)
            await Task.Delay(50, Ct);
    }

    /// <summary>The portal goes and comes back; machines run on.</summary>
    public async Task RestartAsync(TimeSpan away = default)
    {
        await Host.DisposeAsync();
        await watching;
        events.Clear();
        await Task.Delay(away, Ct);
        Host = NewHost();
        watching = WatchAsync(Host);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var folder in Directory.Exists(RunRoot) ? Directory.GetDirectories(RunRoot) : [])
            if (Guid.TryParseExact(Path.GetFileName(folder), "N", out var id))
                await ApplyAsync(new EndMachine { MachineId = id });
        for (var i = 0; i < 200 && !Clean(); i++)
            await Task.Delay(50, CancellationToken.None);
        var left = pids.Where(Alive).ToList();
        var files = Directory.Exists(RunRoot) ? Directory.GetFileSystemEntries(RunRoot) : [];
        await stop.CancelAsync();
        await Host.DisposeAsync();
        await watching;
        stop.Dispose();
        Directory.Delete(Root, recursive: true);
        Assert.Empty(left);
        Assert.Empty(files);
    }

    public static bool Alive(int pid) => File.Exists($"/proc/{pid}/stat") && !File.ReadAllText($"/proc/{pid}/stat").Contains(") Z ", StringComparison.Ordinal);

    private bool Clean() => !pids.Any(Alive) && (!Directory.Exists(RunRoot) || Directory.GetFileSystemEntries(RunRoot).Length == 0);

    private LinuxMachineHost NewHost() => LinuxMachineHost.Create(new HostOptions { DataRoot = Path.Combine(Root, "d"), RunRoot = RunRoot }, TimeProvider.System, NullLoggerFactory.Instance);

    private async Task WatchAsync(LinuxMachineHost host)
    {
        try
        {
            await foreach (var happened in host.WatchAsync(stop.Token))
                events.Enqueue(happened);
        }
        catch (OperationCanceledException)
        {
            // The test is over.
        }
    }

    private static Guid? IdOf(HostEvent e) => e switch
    {
        MachineObserved m => m.MachineId,
        MachineEnded m => m.MachineId,
        MachineNotice m => m.MachineId,
        MachineStateChanged m => m.MachineId,
        _ => null,
    };
}
