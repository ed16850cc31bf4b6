using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Simulated;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Tests;

/// <summary>A whole engine on a real SQLite file and the simulated host, in a folder of its own that goes away with it.</summary>
public sealed class TestPortal : IAsyncDisposable
{
    public static readonly Caller Ada = new(null, "ada", Door.Token, "test");
    private readonly ServiceProvider services;
    private readonly bool ownsData;

    private TestPortal(string data, SimulatedMachineHost host, ServiceProvider services, bool ownsData)
    {
        (Data, SimulatedHost, this.services, this.ownsData) = (data, host, services, ownsData);
    }

    public string Data { get; }
    public SimulatedMachineHost SimulatedHost { get; }
    public VmOperations Vms => services.GetRequiredService<VmOperations>();
    public JobOperations Jobs => services.GetRequiredService<JobOperations>();
    public ImageOperations Images => services.GetRequiredService<ImageOperations>();
    internal PortalStore Store => services.GetRequiredService<PortalStore>();
    public T Get<T>() where T : notnull => services.GetRequiredService<T>();

    /// <param name="data">An existing data directory (a restart); null makes a new one.</param>
    /// <param name="host">The host that lives on while portals come and go; null makes one.</param>
    public static async Task<TestPortal> StartAsync(string? data = null, SimulatedMachineHost? host = null, int parallelJobs = 8, TimeProvider? time = null)
    {
        var folder = data ?? Directory.CreateTempSubdirectory("kvmportal-test-").FullName;
        host ??= new SimulatedMachineHost(new SimulatedOptions { DataRoot = folder, StepDelay = TimeSpan.Zero }, TimeProvider.System);
        var collection = new ServiceCollection();
        collection.AddLogging(log => log.SetMinimumLevel(LogLevel.Critical));
        collection.AddEngine(new EngineOptions { DataRoot = folder, ParallelJobs = parallelJobs }, _ => host, "KvmPortal.Migrations.Sqlite");
        if (time is not null)
            collection.AddSingleton(time);
        var services = collection.BuildServiceProvider();
        await using (var db = await services.GetRequiredService<IDbContextFactory<PortalDb>>().CreateDbContextAsync())
            await db.Database.MigrateAsync();
        foreach (var hosted in services.GetServices<IHostedService>())
            await hosted.StartAsync(CancellationToken.None);
        return new TestPortal(folder, host, services, data is null);
    }

    public static VmDefinition Machine(string name) => new()
    {
        Name = name,
        Memory = new MemoryDefinition { SizeMiB = 64 },
        Disks = [new DiskDefinition { Name = "disk0", SizeGiB = 1 }],
        Nics = [new NicDefinition { Name = "net0" }],
    };

    /// <summary>Makes a VM and waits for its disks.</summary>
    public async Task<VmView> CreateAsync(VmDefinition definition, bool start = false)
    {
        var made = await Vms.CreateAsync(Ada, definition, start, default);
        if (made.Job is { } job)
            await EndedAsync(job.Id);
        return await Vms.GetAsync(Ada, made.Vm.Id, default);
    }

    public async Task<JobView> ActAsync(VmId id, VmAction action, VmActionOptions? options = null) =>
        await EndedAsync((await Vms.ActAsync(Ada, id, action, options ?? new VmActionOptions(), default)).Id);

    public async Task<JobView> EndedAsync(JobId id)
    {
        var job = await Jobs.WaitAsync(Ada, id, TimeSpan.FromSeconds(30), default);
        Assert.False(job.State is JobState.Queued or JobState.Running, $"{job.Kind} still {job.State} after 30 s at step \"{job.Progress.Step}\"");
        return job;
    }

    /// <summary>Ends the portal but keeps its data and the host.</summary>
    public async Task StopAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        foreach (var hosted in services.GetServices<IHostedService>().Reverse())
            await hosted.StopAsync(patience.Token);
        await services.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        if (ownsData)
        {
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(Data, recursive: true);
        }
    }
}
