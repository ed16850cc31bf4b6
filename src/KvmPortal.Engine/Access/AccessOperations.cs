using System.Security.Cryptography;
using System.Text;
using KvmPortal.Engine.Data;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace KvmPortal.Engine.Access;

/// <param name="ApiToken">Shown once.</param>
public sealed record SetupResult(UserId UserId, string ApiToken);

public sealed record TokenView(TokenId Id, string Name, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, DateTimeOffset? LastUsedAt);

/// <param name="Text">Shown once.</param>
public sealed record IssuedToken(TokenView Token, string Text);

public sealed record UserView(UserId Id, string UserName, DateTimeOffset CreatedAt, bool LockedOut);

/// <summary>Accounts and tokens: first set-up, sign-in checks, personal access tokens.</summary>
public sealed class AccessOperations
{
    private const string Prefix = "kvp_";
    private const int MostTokens = 100;
    private static readonly TimeSpan FirstTokenLife = TimeSpan.FromDays(90);
    private readonly IServiceScopeFactory scopes;
    private readonly PortalStore store;
    private readonly EngineOptions options;
    private readonly TimeProvider time;
    private readonly SemaphoreSlim settingUp = new(1, 1);
    private volatile bool done;

    internal AccessOperations(IServiceScopeFactory scopes, PortalStore store, EngineOptions options, TimeProvider time)
    {
        (this.scopes, this.store, this.options, this.time) = (scopes, store, options, time);
    }

    /// <summary>True while no account exists.</summary>
    public async Task<bool> NeedsSetupAsync(CancellationToken ct)
    {
        if (!done)
            done = await store.ReadAsync(db => db.Users.AnyAsync(ct), ct);
        return !done;
    }

    /// <summary>Makes the bootstrap token, kept in a file of mode 0600; null when an account exists.</summary>
    public async Task<string?> BootstrapTokenAsync(CancellationToken ct)
    {
        if (!await NeedsSetupAsync(ct))
        {
            File.Delete(options.BootstrapTokenPath);
            return null;
        }

        if (File.Exists(options.BootstrapTokenPath))
            return (await File.ReadAllTextAsync(options.BootstrapTokenPath, ct)).Trim();
        var token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(20));
        await using var file = new FileStream(options.BootstrapTokenPath, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        await file.WriteAsync(Encoding.ASCII.GetBytes(token + "\n"), ct);
        return token;
    }

    /// <summary>Makes the first administrator, once. Throws Forbidden for a wrong token, Conflict when done already, Invalid for a weak password.</summary>
    public async Task<SetupResult> SetupAsync(string token, string userName, string password, CancellationToken ct)
    {
        await settingUp.WaitAsync(ct);
        try
        {
            if (await BootstrapTokenAsync(ct) is not { } expected)
                throw new PortalException(ErrorCode.Conflict, Say.SetUpAlready);
            if (!CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(expected), Encoding.UTF8.GetBytes(token.Trim())))
                throw new PortalException(ErrorCode.Forbidden, Say.WrongBootstrapToken) { Problems = [new Problem("/token", "wrong-token", Say.BootstrapTokenWhere)] };
            if (userName.Length > 64)
                throw PortalException.Invalid([new Problem("/userName", "invalid-user-name", Say.UserNameRule)]);
            await using var scope = scopes.CreateAsyncScope();
            var users = scope.ServiceProvider.GetRequiredService<UserManager<PortalUser>>();
            var user = new PortalUser { Id = Guid.CreateVersion7(time.GetUtcNow()), UserName = userName, CreatedAt = time.GetUtcNow(), LockoutEnabled = true };
            Require(await users.CreateAsync(user, password));
            done = true;
            File.Delete(options.BootstrapTokenPath);
            var id = new UserId(user.Id);
            var issued = await IssueTokenAsync(new Caller(id, userName, Door.System, "setup"), "first token", FirstTokenLife, ct);
            return new SetupResult(id, issued.Text);
        }
        finally
        {
            settingUp.Release();
        }
    }

    /// <summary>The caller behind a bearer token; null when it is unknown or expired.</summary>
    public async Task<Caller?> AuthenticateAsync(string bearerToken, string requestId, CancellationToken ct)
    {
        if (!bearerToken.StartsWith(Prefix, StringComparison.Ordinal) || bearerToken.Length > 128)
            return null;
        var hash = HashOf(bearerToken);
        var now = time.GetUtcNow();
        var found = await store.ReadAsync(db => db.AccessTokens.FirstOrDefaultAsync(t => t.Hash == hash, ct), ct);
        if (found is null || found.ExpiresAt <= now)
            return null;
        // Written at most once a minute, so that reads by token stay reads.
        if (found.LastUsedAt is null || now - found.LastUsedAt > TimeSpan.FromMinutes(1))
            await NoteUseAsync(found.Id, now, ct);
        var owner = found.UserId.Value;
        return await store.ReadAsync(db => db.Users.Where(u => u.Id == owner).Select(u => u.UserName).FirstOrDefaultAsync(ct), ct) is { } name ? new Caller(found.UserId, name, Door.Token, requestId) : null;
    }

    private async Task NoteUseAsync(TokenId id, DateTimeOffset now, CancellationToken ct)
    {
        try
        {
            await store.WriteAsync(db => db.AccessTokens.Where(t => t.Id == id).ExecuteUpdateAsync(set => set.SetProperty(t => t.LastUsedAt, now), ct), ct);
        }
        catch (PortalException e) when (e.Code == ErrorCode.DiskFull)
        {
            // Who reads must be able to on a full disk, too.
        }
    }

    public Task<IReadOnlyList<TokenView>> ListTokensAsync(Caller caller, CancellationToken ct) => store.ReadAsync<IReadOnlyList<TokenView>>(async db =>
        await db.AccessTokens.Where(t => t.UserId == Owner(caller)).OrderByDescending(t => t.CreatedAt).Select(t => new TokenView(t.Id, t.Name, t.CreatedAt, t.ExpiresAt, t.LastUsedAt)).ToListAsync(ct), ct);

    /// <param name="lifetime">1 hour to 366 days.</param>
    public async Task<IssuedToken> IssueTokenAsync(Caller caller, string name, TimeSpan lifetime, CancellationToken ct)
    {
        var problems = new List<Problem>();
        if (string.IsNullOrWhiteSpace(name) || name.Length > 64 || name.Any(char.IsControl))
            problems.Add(new Problem("/name", "invalid-name", Say.TokenNameRule));
        if (lifetime < TimeSpan.FromHours(1) || lifetime > TimeSpan.FromDays(366))
            problems.Add(new Problem("/expiresInDays", "out-of-range", Say.TokenLife));
        if (problems.Count > 0)
            throw PortalException.Invalid(problems);
        var text = Prefix + Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)).TrimEnd('=').Replace('+', '-').Replace('/', '_');
        var now = time.GetUtcNow();
        var token = new AccessToken { Id = TokenId.New(time), UserId = Owner(caller), Name = name.Trim(), Hash = HashOf(text), CreatedAt = now, ExpiresAt = now + lifetime };
        await store.WriteAsync(async db =>
        {
            if (await db.AccessTokens.CountAsync(t => t.UserId == token.UserId, ct) >= MostTokens)
                throw new PortalException(ErrorCode.Conflict, Say.TooManyTokens(MostTokens));
            db.AccessTokens.Add(token);
        }, ct);
        return new IssuedToken(new TokenView(token.Id, token.Name, token.CreatedAt, token.ExpiresAt, null), text);
    }

    public async Task RevokeTokenAsync(Caller caller, TokenId id, CancellationToken ct)
    {
        var rows = await store.WriteAsync(db => db.AccessTokens.Where(t => t.Id == id && t.UserId == Owner(caller)).ExecuteDeleteAsync(ct), ct);
        if (rows == 0)
            throw PortalException.NotFound("token", id.ToString());
    }

    public Task<IReadOnlyList<UserView>> ListUsersAsync(Caller caller, CancellationToken ct) => store.ReadAsync<IReadOnlyList<UserView>>(async db =>
    {
        var now = time.GetUtcNow();
        var users = await db.Users.OrderBy(u => u.UserName).ToListAsync(ct);
        return [.. users.Select(u => new UserView(new UserId(u.Id), u.UserName ?? "", u.CreatedAt, u.LockoutEnd > now))];
    }, ct);

    public async Task ChangePasswordAsync(Caller caller, string currentPassword, string newPassword, CancellationToken ct)
    {
        await using var scope = scopes.CreateAsyncScope();
        var users = scope.ServiceProvider.GetRequiredService<UserManager<PortalUser>>();
        var user = await users.FindByIdAsync(Owner(caller).ToString()) ?? throw PortalException.NotFound("user", caller.Name);
        if (!await users.CheckPasswordAsync(user, currentPassword))
            throw PortalException.Invalid([new Problem("/currentPassword", "wrong-password", Say.WrongCurrentPassword)]);
        Require(await users.ChangePasswordAsync(user, currentPassword, newPassword));
    }

    private static UserId Owner(Caller caller) => caller.UserId ?? throw new PortalException(ErrorCode.Forbidden, Say.OnlyUsersHaveTokens);

    private static string HashOf(string token) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)));

    private static void Require(IdentityResult result)
    {
        if (!result.Succeeded)
            throw PortalException.Invalid([.. result.Errors.Select(e => new Problem(e.Code.Contains("Password", StringComparison.Ordinal) ? "/password" : "/userName", Kebab(e.Code), e.Description))]);
    }

    private static string Kebab(string code) => System.Text.Json.JsonNamingPolicy.KebabCaseLower.ConvertName(code);
}
