using KvmPortal.Web.Access;
using KvmPortal.Web.Consoles;
using KvmPortal.Web.Events;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Hosts;
using KvmPortal.Web.Images;
using KvmPortal.Web.Jobs;
using KvmPortal.Web.Metrics;
using KvmPortal.Web.Shared;
using KvmPortal.Web.Vms;

namespace KvmPortal.Web;

/// <summary>The executable: one line per feature.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args)
    {
        try
        {
            await using var app = Build(args);
            return await app.RunPortalAsync();
        }
        catch (SettingsException e)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return 2;
        }
    }

    /// <summary>Puts the portal together; nothing listens yet.</summary>
    public static WebApplication Build(string[] args, Action<WebApplicationBuilder>? adjust = null)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ApplicationName = "KvmPortal.Web", ContentRootPath = AppContext.BaseDirectory });
        builder.AddPortal();
        builder.Services.AddApi();
        builder.Services.AddSignIn();
        builder.Services.AddApiDocument();
        builder.Services.AddWebUi();
        builder.Services.AddLive();
        builder.Services.AddSingleton<JobAnswers>();
        adjust?.Invoke(builder);

        var app = builder.Build();
        app.UseSecureHeaders();
        app.UseFaults();
        app.UseWebUi();
        app.UseRouting();
        app.UseRateLimiter();
        app.UseAuthentication();
        app.UseAuthorization();
        app.UseBrowserGuard();
        app.UseSocketGuard();
        app.UseAntiforgery();
        app.UseWebSockets(new WebSocketOptions { KeepAliveInterval = TimeSpan.FromSeconds(20), KeepAliveTimeout = TimeSpan.FromSeconds(20) });
        app.UseIdempotentPosts();

        app.MapHealth();
        app.MapApiDocument();
        app.MapAccountForms();
        app.MapAccess();
        app.MapVms();
        app.MapVmConsoles();
        app.MapImages();
        app.MapJobs();
        app.MapHosts();
        app.MapEvents();
        app.MapMetrics();
        app.MapConsoles();
        app.MapWebUi();
        return app;
    }
}
