using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Storage;
using KvmPortal.Host;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Simulated;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace KvmPortal.Web.Hosting;

/// <summary>What happens around the start: the data directory, its lock, the database, and the lines that scripts and people wait for.</summary>
public static class PortalStart
{
    /// <summary>Registers settings, engine and host.</summary>
    public static WebApplicationBuilder AddPortal(this WebApplicationBuilder builder)
    {
        var settings = PortalSettings.Read(builder.Configuration);
        Directory.CreateDirectory(settings.Engine.DataRoot, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.SetUnixFileMode(settings.Engine.DataRoot, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        builder.Services.AddSingleton(settings);
        builder.Services.AddSingleton<Goodbye>();
        builder.Services.AddSingleton<IHostLifetime>(services => services.GetRequiredService<Goodbye>());
        // Together, so that one that is slow takes no time from the others.
        builder.Services.Configure<Microsoft.Extensions.Hosting.HostOptions>(stop => (stop.ShutdownTimeout, stop.ServicesStopConcurrently) = (Goodbye.MostTime, true));
        builder.Services.AddSingleton(settings.Host);
        builder.Services.AddSingleton(DataLock.Take(settings.Engine.DataRoot));
        builder.Services.AddEngine(settings.Engine, services => MakeHost(settings, services), "KvmPortal.Migrations.Sqlite");
        builder.Services.AddDataProtection().PersistKeysToFileSystem(new DirectoryInfo(Path.Combine(settings.Engine.DataRoot, "keys"))).SetApplicationName("KvmPortal");
        return builder;
    }

    /// <summary>What the HTTP server does differently here.</summary>
    public static void Serve(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        // A console's next block is read while this much of the last ones is still on its way to the viewer.
        kestrel.Limits.MaxResponseBufferSize = 512 * 1024;
    }

    /// <summary>Migrates, starts, says where it listens, and runs until it is asked to stop.</summary>
    public static async Task RunPortalAsync(this WebApplication app)
    {
        var database = app.Services.GetRequiredService<DatabaseStart>();
        await database.PrepareAsync(CancellationToken.None);
        await app.StartAsync();
        if (await app.Services.GetRequiredService<AccessOperations>().BootstrapTokenAsync(CancellationToken.None) is { } token)
            await Console.Out.WriteLineAsync($"Bootstrap token: {token}");
        foreach (var address in app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses)
            await Console.Out.WriteLineAsync($"Listening on {address}");
        try
        {
            await app.WaitForShutdownAsync();
        }
        catch (Exception e) when (e is OperationCanceledException or AggregateException)
        {
            await Console.Error.WriteLineAsync($"Not everything ended within {Goodbye.MostTime.TotalSeconds} s and was cut off; jobs go on at the next start.");
        }

        database.EndedWell();
    }

    private static IMachineHost MakeHost(PortalSettings settings, IServiceProvider services) => settings.Engine.Simulated is { } machines
        ? new SimulatedMachineHost(new SimulatedOptions { Machines = machines, DataRoot = settings.Engine.DataRoot }, services.GetRequiredService<TimeProvider>())
        : LinuxMachineHost.Create(settings.Host, services.GetRequiredService<TimeProvider>(), services.GetRequiredService<ILoggerFactory>());
}

/// <summary>Holds the data directory for one portal: two on the same database and machines would both lie.</summary>
public sealed class DataLock : IDisposable
{
    private readonly FileStream file;

    private DataLock(FileStream file) => this.file = file;

    /// <summary>Throws <see cref="PortalException"/> (Conflict) when another portal holds it.</summary>
    public static DataLock Take(string folder)
    {
        try
        {
            return new DataLock(new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        }
        catch (IOException e) when (StorageRoom.IsWant(e))
        {
            throw new PortalException(ErrorCode.DiskFull, $"The portal does not start, because nothing can be written in {folder} ({e.Message}): make room on that file system, or make it writable, and start again.", e);
        }
        catch (IOException e)
        {
            throw new PortalException(ErrorCode.Conflict, $"Another portal uses the data directory {folder}: stop it, or give another one with --data.", e);
        }
    }

    public void Dispose() => file.Dispose();
}
