using KvmPortal.Web.Access;
using KvmPortal.Web.Dashboard;
using KvmPortal.Web.Hosts;
using KvmPortal.Web.Images;
using KvmPortal.Web.Jobs;
using KvmPortal.Web.Vms;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Localization;
using MudBlazor.Services;

namespace KvmPortal.Web.Shared;

/// <summary>Registers and maps the pages: Blazor Server, MudBlazor, languages. The executable calls it once each.</summary>
public static class WebUi
{
    /// <summary>The languages of the console, the default first.</summary>
    public static IReadOnlyList<string> Cultures { get; } = ["en", "zh-CN"];

    /// <summary>Services of the pages.</summary>
    public static IServiceCollection AddWebUi(this IServiceCollection services)
    {
        services.Configure<RequestLocalizationOptions>(options =>
        {
            options.SetDefaultCulture(Cultures[0]).AddSupportedCultures([.. Cultures]).AddSupportedUICultures([.. Cultures]);
            options.RequestCultureProviders = [new CookieRequestCultureProvider(), new AcceptLanguageHeaderRequestCultureProvider()];
        });
        services.AddRazorComponents().AddInteractiveServerComponents();
        services.AddCascadingAuthenticationState();
        services.AddHttpContextAccessor();
        services.AddPageModels();
        return services;
    }

    /// <summary>What pages inject: scoped is one per circuit, transient one per page.</summary>
    internal static IServiceCollection AddPageModels(this IServiceCollection services)
    {
        services.AddLocalization();
        services.AddMudServices();
        services.AddScoped<CallerAccessor>();
        services.AddScoped<BrowserClock>();
        services.AddScoped<RunningJobs>();
        services.AddTransient<GlobalSearchModel>();
        services.AddTransient<VmSet>();
        services.AddTransient<VmListModel>();
        services.AddTransient<VmModel>();
        services.AddTransient<KvmPortal.Web.Scores.ScoreModel>();
        services.AddTransient<KvmPortal.Web.Scores.LossModel>();
        services.AddScoped<CreateModel>();
        services.AddTransient<JobListModel>();
        services.AddTransient<JobModel>();
        services.AddTransient<ImageListModel>();
        services.AddTransient<HostModel>();
        services.AddTransient<HostPreparationsModel>();
        services.AddTransient<AccountModel>();
        services.AddTransient<DashboardReads>();
        services.AddTransient<DashboardModel>();
        return services;
    }

    /// <summary>Middleware that pages need before they are rendered: the language of the request.</summary>
    public static WebApplication UseWebUi(this WebApplication app)
    {
        app.UseRequestLocalization();
        // People get a page with what to do; programs keep the problem details of the REST door.
        app.UseStatusCodePagesWithReExecute("/not-found", createScopeForStatusCodePages: true);
        app.Use((context, next) =>
        {
            var page = HttpMethods.IsGet(context.Request.Method) && !context.Request.Path.StartsWithSegments("/api") && context.Request.Headers.Accept.ToString().Contains("text/html", StringComparison.Ordinal);
            if (!page && context.Features.Get<IStatusCodePagesFeature>() is { } pages)
                pages.Enabled = false;
            return next(context);
        });
        return app;
    }

    /// <summary>Static files for everybody; pages for who is signed in, except the ones that say otherwise.</summary>
    public static WebApplication MapWebUi(this WebApplication app)
    {
        app.MapStaticAssets().AllowAnonymous();
        // Who may frame a page is decided in one place, with the rest of the Content-Security-Policy: the console's embed page has its own answer.
        app.MapRazorComponents<App>().AddInteractiveServerRenderMode(options => options.ContentSecurityFrameAncestorsPolicy = null).RequireAuthorization();
        return app;
    }
}
