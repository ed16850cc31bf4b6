using KvmPortal.Engine.Data;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Identity.EntityFrameworkCore;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace KvmPortal.Engine.Access;

/// <summary>
/// ASP.NET Core Identity's user manager on one context. Made per operation, because the portal has no context that lives as long as a request.
/// Rules: passwords of 12 characters of which 5 differ; 8 wrong ones lock an account for 5 minutes.
/// </summary>
internal sealed class Accounts(ILoggerFactory loggers)
{
    private static readonly PasswordHasher<PortalUser> Hasher = new();
    /// <summary>Compared with when there is no such account, so that the time of an answer does not tell whether there is one.</summary>
    private static readonly string NobodysHash = Hasher.HashPassword(new PortalUser(), Guid.NewGuid().ToString());

    private static readonly IdentityOptions Rules = new()
    {
        Password = { RequiredLength = 12, RequiredUniqueChars = 5, RequireDigit = false, RequireLowercase = false, RequireUppercase = false, RequireNonAlphanumeric = false },
        Lockout = { AllowedForNewUsers = true, MaxFailedAccessAttempts = 8, DefaultLockoutTimeSpan = TimeSpan.FromMinutes(5) },
        User = { AllowedUserNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-" },
    };

    public UserManager<PortalUser> On(PortalDb db) => new(new UserStore<PortalUser, IdentityRole<Guid>, PortalDb, Guid>(db), Options.Create(Rules), Hasher,
        [new UserValidator<PortalUser>()], [new PasswordValidator<PortalUser>()], new UpperInvariantLookupNormalizer(), new IdentityErrorDescriber(), null!, loggers.CreateLogger<UserManager<PortalUser>>());

    /// <summary>Slow on purpose; never called while the database is held.</summary>
    public static bool Verify(PortalUser? user, string password) =>
        Hasher.VerifyHashedPassword(user ?? new PortalUser(), user?.PasswordHash ?? NobodysHash, password) != PasswordVerificationResult.Failed && user is not null;

    /// <summary>Throws Invalid that names every rule that is broken.</summary>
    public static void Require(IdentityResult result, string passwordPointer = "/password")
    {
        if (result.Succeeded)
            return;
        throw PortalException.Invalid([.. result.Errors.Select(e => e.Code.StartsWith("Password", StringComparison.Ordinal)
            ? new Problem(passwordPointer, "weak-password", e.Description)
            : new Problem("/userName", e.Code == "DuplicateUserName" ? "taken" : "invalid-name", e.Description))]);
    }
}
