using System.Diagnostics.CodeAnalysis;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Host;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Simulated;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace KvmPortal.Web.Hosting;

/// <summary>What happens before and just after the portal listens.</summary>
internal static class Startup
{
    /// <summary>Largest body of a request that is not a file.</summary>
    public const int MostJsonBytes = 1 << 20;

    /// <summary>Settings, the data directory, logging, the engine with its host.</summary>
    [SuppressMessage("Reliability", "CA2000", Justification = "The container disposes the folder.")]
    public static PortalSettings AddPortal(this WebApplicationBuilder builder)
    {
        var settings = PortalSettings.Read(builder.Configuration);
        var folder = DataFolder.Open(settings.Engine.DataRoot);
        builder.Services.AddSingleton(_ => folder);
        builder.Services.AddSingleton(settings);
        builder.Services.AddSingleton(settings.Host);
        builder.Services.AddEngine(settings.Engine, sp => HostOf(settings, sp), "KvmPortal.Migrations.Sqlite");
        builder.Services.AddDataProtection().SetApplicationName("KvmPortal").PersistKeysToFileSystem(new DirectoryInfo(Path.Combine(settings.Engine.DataRoot, "keys")));
        builder.Services.Configure<Microsoft.Extensions.Hosting.HostOptions>(options => options.ShutdownTimeout = TimeSpan.FromSeconds(5));
        builder.WebHost.UseStaticWebAssets();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MostJsonBytes;
            kestrel.Limits.MaxRequestHeadersTotalSize = 32 * 1024;
        });
        Quiet(builder.Logging);
        return settings;
    }

    /// <summary>Migrates, listens, says so on standard output, and runs until it is told to stop.</summary>
    public static async Task<int> RunPortalAsync(this WebApplication app)
    {
        await app.StartPortalAsync();
        foreach (var url in app.Urls)
            Console.WriteLine($"Listening on {url}");
        if (await app.Services.GetRequiredService<AccessOperations>().BootstrapTokenAsync(CancellationToken.None) is { } token)
            Console.WriteLine($"Bootstrap token: {token}");
        await app.WaitForShutdownAsync();
        return 0;
    }

    /// <summary>Migrates and listens.</summary>
    public static async Task StartPortalAsync(this WebApplication app)
    {
        _ = app.Services.GetRequiredService<DataFolder>();
        await app.Services.GetRequiredService<PortalSchema>().MigrateAsync(CancellationToken.None);
        await app.StartAsync();
    }

    private static IMachineHost HostOf(PortalSettings settings, IServiceProvider services) => settings.Engine.Simulated is { } machines
        ? new SimulatedMachineHost(new SimulatedOptions { DataRoot = settings.Engine.DataRoot, Machines = machines }, services.GetRequiredService<TimeProvider>())
        : LinuxMachineHost.Create(settings.Host, services.GetRequiredService<TimeProvider>(), services.GetRequiredService<ILoggerFactory>());

    private static void Quiet(ILoggingBuilder logging)
    {
        logging.AddFilter("Microsoft", LogLevel.Warning).AddFilter("System", LogLevel.Warning);
        // Keys lie in the data directory, which only the portal's account can read; bad requests are the client's business and answered.
        logging.AddFilter("Microsoft.AspNetCore.DataProtection", LogLevel.Error);
        logging.AddFilter("Microsoft.AspNetCore.Antiforgery", LogLevel.None);
        logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.Error);
        logging.AddFilter("Microsoft.AspNetCore.StaticAssets", LogLevel.Error);
        logging.AddFilter("Microsoft.EntityFrameworkCore", LogLevel.Error);
    }
}
