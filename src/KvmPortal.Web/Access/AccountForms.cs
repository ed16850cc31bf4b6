using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Authentication;

namespace KvmPortal.Web.Access;

/// <summary>Where the plain HTML forms of set-up and sign-in go. They set cookies, which a circuit cannot, and come back by redirect.</summary>
internal static class AccountForms
{
    public static void MapAccountForms(this IEndpointRouteBuilder routes)
    {
        var account = routes.MapGroup("/account").ExcludeFromDescription();
        account.MapPost("/setup", SetupAsync).AllowAnonymous().RequireRateLimiting(SignInSetup.AccountLimit);
        account.MapPost("/sign-in", SignInAsync).AllowAnonymous().RequireRateLimiting(SignInSetup.AccountLimit);
        account.MapPost("/sign-out", SignOutAsync);
    }

    private static async Task SetupAsync(HttpContext http, AccessOperations access, IAntiforgery antiforgery)
    {
        if (await ReadAsync(http, antiforgery) is not { } form)
        {
            http.Response.Redirect("/setup?error=other");
            return;
        }

        var (userName, password) = (form["userName"].ToString().Trim(), form["password"].ToString());
        try
        {
            await access.SetupAsync(form["token"].ToString().Trim(), userName, password, http.RequestAborted);
        }
        catch (PortalException e)
        {
            var error = e.Code switch
            {
                ErrorCode.Forbidden => "token",
                ErrorCode.Conflict => "done",
                _ => e.Problems.Any(p => p.Pointer == "/password") ? "password" : e.Problems.Any(p => p.Pointer == "/userName") ? "name" : "other",
            };
            http.Response.Redirect($"/setup?error={error}&userName={Uri.EscapeDataString(userName)}");
            return;
        }

        await EnterAsync(http, await access.SignInAsync(userName, password, http.RequestAborted), false);
        http.Response.Redirect("/");
    }

    private static async Task SignInAsync(HttpContext http, AccessOperations access, IAntiforgery antiforgery)
    {
        if (await ReadAsync(http, antiforgery) is not { } form)
        {
            http.Response.Redirect("/sign-in?error=expired");
            return;
        }

        var (userName, back) = (form["userName"].ToString().Trim(), Local(form["returnUrl"].ToString()));
        var answer = await access.SignInAsync(userName, form["password"].ToString(), http.RequestAborted);
        if (answer.Outcome == SignInOutcome.SignedIn)
        {
            await EnterAsync(http, answer, form["remember"] == "true");
            http.Response.Redirect(back);
            return;
        }

        http.Response.Redirect($"/sign-in?error={(answer.Outcome == SignInOutcome.Locked ? "locked" : "wrong")}&userName={Uri.EscapeDataString(userName)}&returnUrl={Uri.EscapeDataString(back)}");
    }

    private static async Task SignOutAsync(HttpContext http, IAntiforgery antiforgery)
    {
        // A forged sign-out is answered like an expired one: nothing happens.
        if (await ReadAsync(http, antiforgery) is not null)
            await http.SignOutAsync(SignInSetup.CookieScheme);
        http.Response.Redirect("/sign-in");
    }

    private static Task EnterAsync(HttpContext http, SignInResult answer, bool remember) =>
        http.SignInAsync(SignInSetup.CookieScheme, SignInSetup.Principal(answer), new AuthenticationProperties { IsPersistent = remember });

    private static async Task<IFormCollection?> ReadAsync(HttpContext http, IAntiforgery antiforgery) =>
        http.Request.HasFormContentType && await antiforgery.IsRequestValidAsync(http) ? await http.Request.ReadFormAsync(http.RequestAborted) : null;

    /// <summary>Only paths of this portal: an open redirect helps phishing.</summary>
    private static string Local(string url) => url.StartsWith('/') && !url.StartsWith("//", StringComparison.Ordinal) && !url.Contains('\\') && !url.Any(char.IsControl) ? url : "/";
}
