using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Events;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Mvc;

namespace KvmPortal.Web.Access;

/// <summary>What the plain forms of the account pages post to; each goes back to a page, with `error` when it failed.</summary>
internal static class AccountEndpoints
{
    /// <summary>A refused sign-in is answered no sooner than this.</summary>
    internal static readonly TimeSpan RefusalTime = TimeSpan.FromMilliseconds(300);
    private static readonly PortalUser Nobody = new();
    private static readonly string NobodysHash = new PasswordHasher<PortalUser>().HashPassword(Nobody, Guid.NewGuid().ToString());

    public static void MapAccount(this IEndpointRouteBuilder app)
    {
        var account = app.MapGroup("/account").ExcludeFromDescription();
        account.MapPost("/setup", SetUpAsync).AllowAnonymous().RequireRateLimiting(PortalAccess.SignInLimit);
        account.MapPost("/sign-in", SignInAsync).AllowAnonymous().RequireRateLimiting(PortalAccess.SignInLimit);
        account.MapPost("/sign-out", SignOutAsync);
    }

    private static async Task<IResult> SetUpAsync([FromForm] string? token, [FromForm] string? userName, [FromForm] string? password, AccessOperations access, SignInManager<PortalUser> signIn, CancellationToken ct)
    {
        try
        {
            await access.SetupAsync(token ?? "", userName ?? "", password ?? "", ct);
        }
        catch (PortalException e)
        {
            var field = e.Code == ErrorCode.Forbidden ? "token" : e.Code == ErrorCode.Conflict ? "done" : e.Problems.Any(p => p.Pointer == "/password") ? "password" : "name";
            return Results.LocalRedirect($"/setup?error={field}&userName={Uri.EscapeDataString(userName ?? "")}");
        }

        await signIn.PasswordSignInAsync(userName!, password!, isPersistent: false, lockoutOnFailure: true);
        return Results.LocalRedirect("/");
    }

    private static async Task<IResult> SignInAsync([FromForm] string? userName, [FromForm] string? password, [FromForm] string? remember, [FromForm] string? returnUrl, SignInManager<PortalUser> signIn, PortalEvents events, TimeProvider time)
    {
        var begun = time.GetTimestamp();
        var name = userName ?? "";
        var result = await signIn.PasswordSignInAsync(name, password ?? "", isPersistent: remember == "true", lockoutOnFailure: true);
        if (result.Succeeded)
        {
            await events.AppendAsync("user.signed-in", null, name, $"{name} signed in.");
            return Results.LocalRedirect(Local(returnUrl));
        }

        // The same words and the same time for an unknown name and a wrong password: the hash that was not computed is made up for, and what the
        // count of failures costs drowns in the pause.
        if (result.IsLockedOut || await signIn.UserManager.FindByNameAsync(name) is null)
            signIn.UserManager.PasswordHasher.VerifyHashedPassword(Nobody, NobodysHash, password ?? "");
        var error = result.IsLockedOut ? "locked" : "wrong";
        await events.AppendAsync("user.refused", null, name.Length > 64 ? name[..64] : name, "A sign-in was refused.", warning: true);
        var pause = RefusalTime - time.GetElapsedTime(begun);
        if (pause > TimeSpan.Zero)
            await Task.Delay(pause, time);
        return Results.LocalRedirect($"/sign-in?error={error}&userName={Uri.EscapeDataString(name.Length > 64 ? name[..64] : name)}&returnUrl={Uri.EscapeDataString(Local(returnUrl))}");
    }

    private static async Task<IResult> SignOutAsync([FromForm] string? unused, SignInManager<PortalUser> signIn)
    {
        await signIn.SignOutAsync();
        return Results.LocalRedirect("/sign-in");
    }

    /// <summary>Only addresses on this portal: an open redirect would lend our name to others.</summary>
    private static string Local(string? url) => url is { Length: > 0 and < 2048 } && url[0] == '/' && (url.Length == 1 || url[1] is not ('/' or '\\')) && !url.Any(char.IsControl) ? url : "/";
}
