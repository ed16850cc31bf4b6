using KvmPortal.Engine.Access;
using KvmPortal.Engine.Consoles;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace KvmPortal.Engine;

/// <summary>Registers the engine: one line per feature folder.</summary>
public static class EngineRegistration
{
    /// <param name="options">Where the data is.</param>
    /// <param name="host">Makes the one host that this portal drives.</param>
    /// <param name="migrationsAssembly">Name of the assembly with the migrations of the provider in use.</param>
    public static IServiceCollection AddEngine(this IServiceCollection services, EngineOptions options, Func<IServiceProvider, IMachineHost> host, string migrationsAssembly)
    {
        services.AddSingleton(options);
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton(host);
        services.AddDbContextFactory<PortalDb>(db => db.UseSqlite($"Data Source={options.DatabasePath};Pooling=True", sqlite => sqlite.MigrationsAssembly(migrationsAssembly)));
        services.AddSingleton<LiveFeed>();
        services.AddSingleton<PortalEvents>();
        services.AddSingleton<VmOperations>();
        services.AddSingleton<JobOperations>();
        services.AddSingleton<ImageOperations>();
        services.AddSingleton<HostOperations>();
        services.AddSingleton<ConsoleOperations>();
        services.AddSingleton<MetricsQueries>();
        services.AddSingleton<AccessOperations>();
        return services;
    }
}
