using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Web.Access;
using KvmPortal.Web.Consoles;
using KvmPortal.Web.Events;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Hosts;
using KvmPortal.Web.Images;
using KvmPortal.Web.Jobs;
using KvmPortal.Web.Metrics;
using KvmPortal.Web.Placements;
using KvmPortal.Web.Scores;
using KvmPortal.Web.Shared;
using KvmPortal.Web.Vms;

try
{
    if (FactsVerb.Asked(args))
        return await FactsVerb.RunAsync(args);
    if (BackupVerbs.Asked(args))
        return await BackupVerbs.RunAsync(args);
    if (DoctorVerb.Asked(args))
        return await DoctorVerb.RunAsync(args);
    var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory });
    builder.WebHost.UseStaticWebAssets();
    builder.WebHost.ConfigureKestrel(PortalStart.Serve);
    builder.AddPortal();
    builder.Services.ConfigureHttpJsonOptions(json => PortalJson.Configure(json.SerializerOptions));
    builder.Services.AddSignalR(hubs => hubs.MaximumReceiveMessageSize = 128 * 1024).AddJsonProtocol(json => PortalJson.Configure(json.PayloadSerializerOptions));
    builder.Services.AddHealthChecks().AddCheck<Readiness>("host", tags: [Readiness.Tag]);
    builder.Services.AddSingleton<Idempotency>();
    builder.Services.AddPortalAccess();
    builder.Services.AddPortalOpenApi();
    builder.Services.AddWebUi();

    var app = builder.Build();
    app.UseSecurityHeaders(app.Services.GetRequiredService<PortalSettings>().Consoles);
    app.UseProblemAnswers();
    app.UseWebUi();
    app.UseRouting();
    app.UseRateLimiter();
    app.UseAuthentication();
    app.UseCookieDefence();
    app.UseAuthorization();
    app.UseAntiforgery();
    app.UseWebSockets();
    app.UseMiddleware<Idempotency>();
    app.MapHealthChecks("/healthz", new() { Predicate = _ => false }).AllowAnonymous();
    app.MapHealthChecks("/readyz", new() { Predicate = check => check.Tags.Contains(Readiness.Tag) }).AllowAnonymous();
    app.MapPortalOpenApi();
    var api = app.MapGroup("/api/v1");
    api.MapAccessApi();
    api.MapVmsApi();
    api.MapProfilesApi();
    api.MapScoresApi();
    api.MapImagesApi();
    api.MapJobsApi();
    api.MapHostsApi();
    api.MapPlacementsApi();
    api.MapMetricsApi();
    api.MapConsolesApi();
    api.MapEventsApi();
    app.MapPrometheus();
    app.MapAccount();
    app.MapConsoles();
    app.MapHub<LiveHub>("/hubs/live");
    app.MapWebUi();
    await app.RunPortalAsync();
    return 0;
}
catch (PortalException e)
{
    // A wrong setting or a taken data directory: one sentence, no stack trace.
    await Console.Error.WriteLineAsync(e.Message);
    return 2;
}
