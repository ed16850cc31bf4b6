using Bunit;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Simulated;
using KvmPortal.Web.Shared;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Web.Tests.Pages;

/// <summary>Pages over a whole engine with the simulated host, as in the product; only the browser is bUnit's.</summary>
public sealed class PagePortal : IAsyncDisposable
{
    public static readonly Caller Ada = new(null, "ada", Door.Browser, "test");
    private readonly string data = Directory.CreateTempSubdirectory("kvmportal-pages-").FullName;

    private PagePortal()
    {
    }

    public BunitContext Browser { get; } = new();

    public T Get<T>() where T : notnull => Browser.Services.GetRequiredService<T>();

    public static async Task<PagePortal> StartAsync()
    {
        var portal = new PagePortal();
        var services = portal.Browser.Services;
        services.AddLogging(log => log.SetMinimumLevel(LogLevel.Critical));
        services.AddPageModels();
        var host = new SimulatedMachineHost(new SimulatedOptions { DataRoot = portal.data, StepDelay = TimeSpan.Zero }, TimeProvider.System);
        services.AddEngine(new EngineOptions { DataRoot = portal.data, ParallelJobs = 8 }, _ => host, "KvmPortal.Migrations.Sqlite");
        portal.Browser.JSInterop.Mode = JSRuntimeMode.Loose;
        await using (var db = await portal.Get<IDbContextFactory<PortalDb>>().CreateDbContextAsync())
            await db.Database.MigrateAsync();
        foreach (var hosted in portal.Browser.Services.GetServices<IHostedService>())
            await hosted.StartAsync(CancellationToken.None);
        return portal;
    }

    public async Task<VmView> MachineAsync(string name, params string[] tags)
    {
        var definition = new VmDefinition { Name = name, Tags = tags, Memory = new MemoryDefinition { SizeMiB = 64 }, Disks = [new DiskDefinition { Name = "disk0", SizeGiB = 1 }] };
        var made = await Get<VmOperations>().CreateAsync(Ada, definition, start: false, default);
        if (made.Job is { } job)
            await EndedAsync(job.Id);
        return made.Vm;
    }

    public async Task<JobView> EndedAsync(JobId id)
    {
        var job = await Get<JobOperations>().WaitAsync(Ada, id, TimeSpan.FromSeconds(30), default);
        Assert.False(job.State is JobState.Queued or JobState.Running, $"{job.Kind} is still {job.State} after 30 s");
        return job;
    }

    /// <summary>An image that the header parser takes for a CD-ROM.</summary>
    public Task<ImageView> IsoAsync(string name)
    {
        var bytes = new byte[64 * 1024];
        "\u0001CD001\u0001"u8.CopyTo(bytes.AsSpan(32768));
        return Get<ImageOperations>().ReceiveAsync(Ada, name, bytes.Length, null, null, new MemoryStream(bytes), default);
    }

    /// <summary>Waits for a condition of something live; fails with what was waited for.</summary>
    public static async Task UntilAsync(Func<bool> met, string what)
    {
        for (var i = 0; i < 300; i++)
        {
            if (met())
                return;
            await Task.Delay(50);
        }

        Assert.Fail($"Not within 15 s: {what}");
    }

    public async ValueTask DisposeAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        foreach (var hosted in Browser.Services.GetServices<IHostedService>().Reverse())
            await hosted.StopAsync(patience.Token);
        await Browser.DisposeAsync();
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        Directory.Delete(data, recursive: true);
    }
}
