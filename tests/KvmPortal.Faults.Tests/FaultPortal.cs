using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Host;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using HostOptions = KvmPortal.Host.HostOptions;

namespace KvmPortal.Faults.Tests;

/// <summary>Where one run keeps everything; short, because of the sockets below it.</summary>
internal sealed record RunFolder(string Root)
{
    public string Data => Path.Combine(Root, "d");
    public string Run => Path.Combine(Root, "r");
    /// <summary>The folder from which images may be registered.</summary>
    public string Source => Path.Combine(Root, "s");
    /// <summary>The kernel's files that host settings are about.</summary>
    public string Kernel => Path.Combine(Root, "k");
    public string SourceImage => Path.Combine(Source, "small.img");
    public string SourceIso => Path.Combine(Source, "disc.iso");
    public string TraceFile => Path.Combine(Root, "trace.json");
    public string LogFile => Path.Combine(Root, "log");
}

/// <summary>The whole engine with its real database and the real host: QEMU runs in it.</summary>
internal sealed class FaultPortal : IAsyncDisposable
{
    public static readonly Caller Ada = new(null, "ada", Door.Token, "faults");
    private readonly ServiceProvider services;
    private readonly LinuxMachineHost host;

    private FaultPortal(RunFolder folder, ServiceProvider services, LinuxMachineHost host) => (Folder, this.services, this.host) = (folder, services, host);

    public RunFolder Folder { get; }
    public VmOperations Vms => services.GetRequiredService<VmOperations>();
    public JobOperations Jobs => services.GetRequiredService<JobOperations>();
    public ImageOperations Images => services.GetRequiredService<ImageOperations>();
    public KvmPortal.Engine.Placements.ReplanOperations Replans => services.GetRequiredService<KvmPortal.Engine.Placements.ReplanOperations>();
    public PreparationOperations Preparations => services.GetRequiredService<PreparationOperations>();
    public KvmPortal.Engine.Benchmarks.BenchmarkOperations Benchmarks => services.GetRequiredService<KvmPortal.Engine.Benchmarks.BenchmarkOperations>();
    public HostOperations Hosts => services.GetRequiredService<HostOperations>();
    public KvmPortal.Engine.Metrics.MetricsQueries Metrics => services.GetRequiredService<KvmPortal.Engine.Metrics.MetricsQueries>();
    public VmTracker Tracker => services.GetRequiredService<VmTracker>();
    public PortalStore Store => services.GetRequiredService<PortalStore>();
    public IMachineHost Host => host;

    public static async Task<FaultPortal> StartAsync(RunFolder folder, Trigger trigger)
    {
        var host = LinuxMachineHost.Create(new HostOptions { DataRoot = folder.Data, RunRoot = folder.Run, ImageFolders = [folder.Source], KvmProofSeconds = 1, KernelRoot = folder.Kernel }, TimeProvider.System,
            LoggerFactory.Create(log => log.AddProvider(new FileLog(folder.LogFile))));
        var collection = new ServiceCollection();
        collection.AddLogging(log => log.SetMinimumLevel(LogLevel.Warning).AddFilter("Microsoft.EntityFrameworkCore", LogLevel.Error).AddProvider(new FileLog(folder.LogFile)));
        var options = new HostOptions { DataRoot = folder.Data, RunRoot = folder.Run, ImageFolders = [folder.Source] };
        collection.AddSingleton(options);
        collection.AddEngine(new EngineOptions { DataRoot = folder.Data, ParallelJobs = 4 }, _ => new FaultyHost(host, trigger), "KvmPortal.Migrations.Sqlite");
        collection.ConfigureDbContext<PortalDb>(db => db.AddInterceptors(new CommitCounter(trigger), new QueueWatch(trigger)));
        var services = collection.BuildServiceProvider();
        if (!File.Exists(Path.Combine(folder.Data, "kvmportal.db")))
        {
            await using var db = await services.GetRequiredService<IDbContextFactory<PortalDb>>().CreateDbContextAsync();
            await db.Database.MigrateAsync();
            await db.Database.ExecuteSqlRawAsync("PRAGMA journal_mode=WAL;");
        }

        foreach (var hosted in services.GetServices<IHostedService>())
            await hosted.StartAsync(CancellationToken.None);
        return new FaultPortal(folder, services, host);
    }

    public async Task<VmView> CreateAsync(VmDefinition definition, bool start = false)
    {
        var made = await Vms.CreateAsync(Ada, definition, start, default);
        if (made.Job is { } job)
            await SucceededAsync(job.Id);
        return made.Vm;
    }

    public async Task ActAsync(VmId id, VmAction action) => await SucceededAsync((await Vms.ActAsync(Ada, id, action, new VmActionOptions(), default)).Id);

    public async Task SucceededAsync(JobId id)
    {
        var job = await EndedAsync(id);
        if (job.State != JobState.Succeeded)
            throw new InvalidOperationException($"{job.Kind} should have succeeded but is {job.State}: {job.Error?.Detail?.Text} {string.Join(" | ", job.Error?.StderrTail ?? [])}");
    }

    public async Task<JobView> EndedAsync(JobId id)
    {
        var job = await Jobs.WaitAsync(Ada, id, TimeSpan.FromSeconds(40), default);
        return job.State is not (JobState.Queued or JobState.Running) ? job : throw new TimeoutException($"{job.Kind} is still {job.State} at \"{job.Progress.Step?.Text}\".");
    }

    public async Task<Image> ImageAsync(string name) => await Store.ReadAsync(db => db.Images.FirstAsync(i => i.Name == name), default);

    /// <summary>A VM by its name.</summary>
    public async Task<VmId> VmAsync(string name) => await Vms.ResolveAsync(Ada, name, default);

    public async ValueTask DisposeAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        foreach (var hosted in services.GetServices<IHostedService>().Reverse())
            await hosted.StopAsync(patience.Token);
        await services.DisposeAsync();
        await host.DisposeAsync();
    }
}

/// <summary>Warnings of the engine, for the report of a run that went wrong.</summary>
internal sealed class FileLog(string path) : ILoggerProvider, ILogger
{
    private static readonly Lock Writing = new();

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel))
            return;
        lock (Writing)
            File.AppendAllText(path, $"{Environment.ProcessId} {logLevel}: {formatter(state, exception)} {exception}\n");
    }

    public void Dispose()
    {
    }
}
