using KvmPortal.Engine.Access;
using KvmPortal.Engine.Balloons;
using KvmPortal.Engine.Benchmarks;
using KvmPortal.Engine.Consoles;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Hosts.Inventories;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Scores;
using KvmPortal.Engine.Storage;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

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
        services.AddDbContextFactory<PortalDb>(db => db.UseSqlite($"Data Source={options.DatabasePath};Pooling=True", sqlite => sqlite.MigrationsAssembly(migrationsAssembly)).AddInterceptors(new SqlitePragmas()));
        services.AddSingleton<StorageRoom>();
        services.AddHosted<StorageWatch>();
        services.AddSingleton<DatabaseStart>();
        services.AddSingleton<PortalStore>();
        services.AddSingleton<LiveFeed>();
        services.AddSingleton<LiveStreams>();
        services.AddEvents();
        services.AddHosts();
        services.AddPreparations();
        services.AddJobs();
        services.AddVms();
        if (options.Simulated is not null)
            services.AddHostedService(sp => new SimulatedFleet(sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<VmTracker>(), (sp.GetRequiredService<VmReader>(), sp.GetRequiredService<PlacementLedger>()), sp.GetRequiredService<IMachineHost>(), options));
        services.AddImages();
        services.AddMetrics();
        services.AddAccess();
        services.AddSingleton(sp => new ConsoleOperations(sp.GetRequiredService<IMachineHost>(), sp.GetRequiredService<VmTracker>(), sp.GetRequiredService<VmReader>(), sp.GetRequiredService<TimeProvider>()));
        return services;
    }

    private static void AddAccess(this IServiceCollection services)
    {
        services.AddSingleton(sp => new AccessOperations(sp.GetRequiredService<IServiceScopeFactory>(), sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<EngineOptions>(),
            sp.GetRequiredService<TimeProvider>()));
        services.AddSingleton(sp => new IdempotencyStore(sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<TimeProvider>()));
    }

    private static void AddEvents(this IServiceCollection services) =>
        services.AddSingleton(sp => new PortalEvents(sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<TimeProvider>(), sp.GetRequiredService<ILogger<PortalEvents>>()));

    private static void AddHosts(this IServiceCollection services)
    {
        services.AddSingleton<HostBoot>();
        services.AddHosted<HostLink>();
        services.AddHosted<StrangerWatch>();
        services.AddSingleton(sp => new HostInventories(sp.GetRequiredService<IMachineHost>(), sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<PortalEvents>(), sp.GetRequiredService<TimeProvider>()));
        services.AddHosted<HostInventoryWatch>();
        services.AddSingleton(sp => new HostReadiness(sp.GetRequiredService<IMachineHost>(), sp.GetRequiredService<EngineOptions>(), sp.GetRequiredService<PreparationOperations>()));
        services.AddSingleton(sp => new HostOperations(sp.GetRequiredService<IMachineHost>(), (sp.GetRequiredService<HostLink>(), sp.GetRequiredService<StrangerWatch>()), sp.GetRequiredService<VmTracker>(),
            sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<JobQueue>()));
    }

    private static void AddPreparations(this IServiceCollection services)
    {
        services.AddSingleton<PreparationReader>();
        services.AddSingleton(sp => new PreparationOperations(sp.GetRequiredService<PreparationReader>(), sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<JobQueue>(), sp.GetRequiredService<PortalEvents>(),
            sp.GetRequiredService<TimeProvider>()));
        services.AddSingleton(sp => new BootParameterOperations(sp.GetRequiredService<HostReadiness>(), sp.GetRequiredService<IMachineHost>(), sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<PortalEvents>(),
            sp.GetRequiredService<TimeProvider>()));
        services.AddHostedService(sp => new PreparesAfterBoot(sp.GetRequiredService<PreparationOperations>(), sp.GetRequiredService<BootParameterOperations>(), sp.GetRequiredService<JobOperations>(),
            (sp.GetRequiredService<HostLink>(), sp.GetRequiredService<HostBoot>(), sp.GetRequiredService<EngineOptions>()), sp.GetRequiredService<ILogger<PreparesAfterBoot>>()));
    }

    private static void AddJobs(this IServiceCollection services)
    {
        services.AddSingleton<JobStore>();
        services.AddSingleton<JobAnnouncer>();
        services.AddSingleton(sp => new JobPlanner(sp.GetRequiredService<VmReader>(), sp.GetRequiredService<ImageReader>(), (sp.GetRequiredService<PreparationReader>(), sp.GetRequiredService<PlacementLedger>(), sp.GetRequiredService<Replans>()),
            sp.GetRequiredService<IMachineHost>(), sp.GetRequiredService<HostLink>()));
        services.AddSingleton<PortalSteps>();
        services.AddSingleton<StepRunner>();
        services.AddSingleton<JobExecutionFactory>();
        services.AddSingleton<JobQueue>();
        services.AddHosted<JobRunner>();
        services.AddSingleton(sp => new JobOperations(sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<JobStore>(), sp.GetRequiredService<JobRunner>(),
            sp.GetRequiredService<JobAnnouncer>(), sp.GetRequiredService<TimeProvider>()));
    }

    private static void AddVms(this IServiceCollection services)
    {
        services.AddSingleton<VmTracker>();
        services.AddSingleton<VmReader>();
        services.AddSingleton<PlacementLedger>();
        services.AddSingleton<PlacementReader>();
        services.AddHosted<PlacementRelease>();
        services.AddSingleton<Replans>();
        services.AddSingleton(sp => new ReplanOperations(sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<Replans>(), sp.GetRequiredService<JobQueue>()));
        services.AddSingleton(sp => new ChoreWatch(sp.GetRequiredService<PlacementLedger>(), sp.GetRequiredService<IMachineHost>(), (sp.GetRequiredService<VmTracker>(), sp.GetRequiredService<PortalStore>()),
            (sp.GetRequiredService<PortalEvents>(), sp.GetRequiredService<TimeProvider>()), sp.GetRequiredService<ILogger<ChoreWatch>>()));
        services.AddHostedService(sp => sp.GetRequiredService<ChoreWatch>());
        services.AddSingleton(sp => new ProfileOperations(sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<VmTracker>(), sp.GetRequiredService<PortalEvents>(), sp.GetRequiredService<TimeProvider>()));
        services.AddSingleton(sp => new PlacementOperations(sp.GetRequiredService<PlacementLedger>(), sp.GetRequiredService<PlacementReader>(), sp.GetRequiredService<VmTracker>(), sp.GetRequiredService<IMachineHost>()));
        services.AddHosted<VmStatusWriter>();
        services.AddSingleton<VmOperationsContext>();
        services.AddSingleton(sp => new VmOperations(sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<VmReader>(), sp.GetRequiredService<VmTracker>(),
            sp.GetRequiredService<JobQueue>(), sp.GetRequiredService<VmOperationsContext>()));
        services.AddSingleton(sp => new ScoreOperations(sp.GetRequiredService<VmReader>(), sp.GetRequiredService<PlacementReader>(), sp.GetRequiredService<IMachineHost>()));
        services.AddSingleton(sp => new EvidenceOperations(sp.GetRequiredService<VmTracker>(), sp.GetRequiredService<IMachineHost>(), sp.GetRequiredService<TimeProvider>()));
        services.AddSingleton(sp => new BenchmarkOperations(sp.GetRequiredService<PortalStore>(), new BenchmarkReader(sp.GetRequiredService<VmReader>()), sp.GetRequiredService<JobQueue>()));
        services.AddHosted<AutomaticStarts>();
        services.AddSingleton(sp => new ResumesWhenRoom(sp.GetRequiredService<VmTracker>(), sp.GetRequiredService<VmOperations>(),
            (sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<EngineOptions>()), sp.GetRequiredService<TimeProvider>(), sp.GetRequiredService<ILogger<ResumesWhenRoom>>()));
        services.AddHostedService(sp => sp.GetRequiredService<ResumesWhenRoom>());
    }

    private static void AddImages(this IServiceCollection services)
    {
        services.AddSingleton<ImageReader>();
        services.AddHosted<CutUploads>();
        services.AddSingleton(sp => new ImageOperationsContext(sp.GetRequiredService<IMachineHost>(), sp.GetRequiredService<LiveFeed>(), sp.GetRequiredService<PortalEvents>(),
            sp.GetService<Host.HostOptions>(), sp.GetRequiredService<TimeProvider>()));
        services.AddSingleton(sp => new ImageOperations(sp.GetRequiredService<PortalStore>(), sp.GetRequiredService<ImageReader>(), sp.GetRequiredService<JobQueue>(),
            sp.GetRequiredService<ImageOperationsContext>()));
    }

    private static void AddMetrics(this IServiceCollection services)
    {
        services.AddSingleton<RecentMetrics>();
        services.AddSingleton<RollupStore>();
        services.AddHosted<MetricsRecorder>();
        services.AddHosted<BalloonWatch>();
        services.AddSingleton<PrometheusText>();
        services.AddSingleton(sp => new MetricsQueries(sp.GetRequiredService<RecentMetrics>(), sp.GetRequiredService<RollupStore>(), sp.GetRequiredService<VmTracker>(),
            sp.GetRequiredService<PrometheusText>(), sp.GetRequiredService<TimeProvider>()));
    }

    /// <summary>One object that others can call and that also runs in the background.</summary>
    private static void AddHosted<T>(this IServiceCollection services) where T : class, IHostedService
    {
        services.AddSingleton<T>();
        services.AddHostedService(sp => sp.GetRequiredService<T>());
    }
}
