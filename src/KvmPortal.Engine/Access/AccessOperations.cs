using System.Security.Cryptography;
using System.Text;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Access;

/// <summary>Accounts and tokens: first set-up, sign-in checks, personal access tokens.</summary>
public sealed class AccessOperations
{
    private const string TokenPrefix = "kvp_";
    private const int LongestPassword = 256;
    private static readonly TimeSpan SetupTokenLifetime = TimeSpan.FromDays(90);
    private readonly PortalStore store;
    private readonly Accounts accounts;
    private readonly BootstrapToken bootstrap;
    private readonly PortalEvents events;
    private readonly TimeProvider time;
    private volatile bool hasAccounts;

    internal AccessOperations(PortalStore store, Accounts accounts, BootstrapToken bootstrap, PortalEvents events, TimeProvider time)
    {
        this.store = store;
        this.accounts = accounts;
        this.bootstrap = bootstrap;
        this.events = events;
        this.time = time;
    }

    /// <summary>True while no account exists.</summary>
    public async Task<bool> NeedsSetupAsync(CancellationToken ct)
    {
        if (!hasAccounts)
            hasAccounts = await store.ReadAsync(db => db.Users.AnyAsync(ct), ct);
        return !hasAccounts;
    }

    /// <summary>The one-time token while no account exists (made when there is none yet); null afterwards.</summary>
    public async Task<string?> BootstrapTokenAsync(CancellationToken ct)
    {
        if (await NeedsSetupAsync(ct))
            return await bootstrap.GetAsync(ct);
        bootstrap.Forget();
        return null;
    }

    /// <summary>Makes the first administrator, once. Throws Forbidden for a wrong token, Conflict when done already, Invalid for a weak password.</summary>
    public async Task<SetupResult> SetupAsync(string token, string userName, string password, CancellationToken ct)
    {
        if (!await NeedsSetupAsync(ct))
            throw Done();
        if (!Same(token, await bootstrap.GetAsync(ct)))
            throw new PortalException(ErrorCode.Forbidden, "The bootstrap token is wrong.") { Problems = [new Problem("/token", "wrong-token", "Give the token that the portal printed at its start; it is also in the file bootstrap-token of the data directory.")] };
        RequireShort(password, "/password");
        var (row, text) = NewToken("first token", SetupTokenLifetime);
        var user = await store.WriteAsync(async db =>
        {
            if (await db.Users.AnyAsync(ct))
                throw Done();
            using var manager = accounts.On(db);
            var made = new PortalUser { Id = Guid.CreateVersion7(time.GetUtcNow()), UserName = userName, CreatedAt = time.GetUtcNow() };
            Accounts.Require(await manager.CreateAsync(made, password));
            row.UserId = new UserId(made.Id);
            db.AccessTokens.Add(row);
            return made;
        }, ct);
        hasAccounts = true;
        bootstrap.Forget();
        await events.AppendAsync("user.created", null, userName, $"The first administrator {userName} was created.", ct: CancellationToken.None);
        return new SetupResult(new UserId(user.Id), text);
    }

    /// <summary>Checks name and password and counts wrong ones; too many lock the account for five minutes.</summary>
    public async Task<SignInResult> SignInAsync(string userName, string password, CancellationToken ct)
    {
        if (userName.Length > 256 || password.Length > LongestPassword)
            return new SignInResult(SignInOutcome.Wrong);
        var normal = userName.ToUpperInvariant();
        var user = await store.ReadAsync(db => db.Users.FirstOrDefaultAsync(u => u.NormalizedUserName == normal, ct), ct);
        var right = Accounts.Verify(user, password);
        if (user is null)
            return new SignInResult(SignInOutcome.Wrong);
        var outcome = await store.WriteAsync(async db =>
        {
            using var manager = accounts.On(db);
            var row = await db.Users.FirstAsync(u => u.Id == user.Id, ct);
            if (await manager.IsLockedOutAsync(row))
                return SignInOutcome.Locked;
            if (right)
            {
                if (row.AccessFailedCount > 0)
                    await manager.ResetAccessFailedCountAsync(row);
                return SignInOutcome.SignedIn;
            }

            await manager.AccessFailedAsync(row);
            return await manager.IsLockedOutAsync(row) ? SignInOutcome.Locked : SignInOutcome.Wrong;
        }, ct);
        await events.AppendAsync(outcome == SignInOutcome.SignedIn ? "user.signed-in" : "user.refused", null, user.UserName!,
            outcome switch { SignInOutcome.SignedIn => $"{user.UserName} signed in.", SignInOutcome.Wrong => $"A sign-in as {user.UserName} failed.", SignInOutcome.Locked => $"A sign-in as {user.UserName} was refused: the account is locked." },
            outcome != SignInOutcome.SignedIn, ct: ct);
        return outcome == SignInOutcome.SignedIn ? new SignInResult(outcome, new UserId(user.Id), user.UserName, user.SecurityStamp) : new SignInResult(outcome);
    }

    /// <summary>Whether a cookie's stamp is still the account's: false after a password change.</summary>
    public Task<bool> IsCurrentAsync(UserId id, string stamp, CancellationToken ct) => store.ReadAsync(db => db.Users.AnyAsync(u => u.Id == id.Value && u.SecurityStamp == stamp, ct), ct);

    /// <summary>The caller behind a bearer token; null when it is unknown or expired.</summary>
    public async Task<Caller?> AuthenticateAsync(string bearerToken, string requestId, CancellationToken ct)
    {
        if (bearerToken.Length > 128 || !bearerToken.StartsWith(TokenPrefix, StringComparison.Ordinal))
            return null;
        var (hash, now) = (Hash(bearerToken), time.GetUtcNow());
        var found = await store.ReadAsync(async db =>
        {
            var token = await db.AccessTokens.FirstOrDefaultAsync(t => t.Hash == hash && t.ExpiresAt > now, ct);
            var owner = token?.UserId.Value;
            var userName = owner is null ? null : await db.Users.Where(u => u.Id == owner).Select(u => u.UserName).FirstOrDefaultAsync(ct);
            return userName is null ? null : new { token!.Id, token.LastUsedAt, token.UserId, UserName = userName };
        }, ct);
        if (found is null)
            return null;
        // Once a minute is exact enough, and spares the one writer.
        if (found.LastUsedAt is not { } used || now - used > TimeSpan.FromMinutes(1))
            await store.WriteAsync(db => db.AccessTokens.Where(t => t.Id == found.Id).ExecuteUpdateAsync(set => set.SetProperty(t => t.LastUsedAt, now), ct), ct);
        return new Caller(found.UserId, found.UserName, Door.Token, requestId);
    }

    /// <summary>The caller's own tokens, newest first.</summary>
    public Task<IReadOnlyList<TokenView>> ListTokensAsync(Caller caller, CancellationToken ct)
    {
        var user = Required(caller);
        return store.ReadAsync<IReadOnlyList<TokenView>>(async db => await db.AccessTokens.Where(t => t.UserId == user).OrderByDescending(t => t.CreatedAt)
            .Select(t => new TokenView(t.Id, t.Name, t.CreatedAt, t.ExpiresAt, t.LastUsedAt)).ToListAsync(ct), ct);
    }

    /// <param name="lifetime">1 hour to 366 days.</param>
    public async Task<IssuedToken> IssueTokenAsync(Caller caller, string name, TimeSpan lifetime, CancellationToken ct)
    {
        var user = Required(caller);
        var problems = new List<Problem>();
        if (name.Length is < 1 or > 64 || name.Any(char.IsControl))
            problems.Add(new Problem("/name", "invalid-name", "Give a name of 1 to 64 characters."));
        if (lifetime < TimeSpan.FromHours(1) || lifetime > TimeSpan.FromDays(366))
            problems.Add(new Problem("/expiresInDays", "out-of-range", "A token lives from one hour to 366 days."));
        if (problems.Count > 0)
            throw PortalException.Invalid(problems);
        var (row, text) = NewToken(name, lifetime);
        row.UserId = user;
        await store.WriteAsync(async db =>
        {
            if (await db.AccessTokens.CountAsync(t => t.UserId == user, ct) >= 100)
                throw new PortalException(ErrorCode.Conflict, "You have 100 tokens already.") { Hint = "Revoke one that is no longer used." };
            db.AccessTokens.Add(row);
        }, ct);
        await events.AppendAsync("token.issued", null, caller.Name, $"{caller.Name} issued the token {name}.", ct: ct);
        return new IssuedToken(new TokenView(row.Id, row.Name, row.CreatedAt, row.ExpiresAt, null), text);
    }

    /// <summary>Takes effect at once. Throws NotFound for what is not the caller's.</summary>
    public async Task RevokeTokenAsync(Caller caller, TokenId id, CancellationToken ct)
    {
        var user = Required(caller);
        if (await store.WriteAsync(db => db.AccessTokens.Where(t => t.Id == id && t.UserId == user).ExecuteDeleteAsync(ct), ct) == 0)
            throw PortalException.NotFound("token", id.ToString());
        await events.AppendAsync("token.revoked", null, caller.Name, $"{caller.Name} revoked a token.", ct: ct);
    }

    public Task<IReadOnlyList<UserView>> ListUsersAsync(Caller caller, CancellationToken ct)
    {
        var now = time.GetUtcNow();
        return store.ReadAsync<IReadOnlyList<UserView>>(async db => [.. (await db.Users.OrderBy(u => u.NormalizedUserName).ToListAsync(ct))
            .Select(u => new UserView(new UserId(u.Id), u.UserName!, u.CreatedAt, u.LockoutEnd > now))], ct);
    }

    /// <summary>Ends every other browser session of the account. Throws Invalid for a wrong or weak password.</summary>
    public async Task ChangePasswordAsync(Caller caller, string currentPassword, string newPassword, CancellationToken ct)
    {
        var user = Required(caller);
        RequireShort(currentPassword, "/currentPassword");
        RequireShort(newPassword, "/newPassword");
        var row = await store.ReadAsync(db => db.Users.FirstOrDefaultAsync(u => u.Id == user.Value, ct), ct);
        if ((await SignInAsync(row?.UserName ?? "", currentPassword, ct)).Outcome != SignInOutcome.SignedIn)
            throw PortalException.Invalid([new Problem("/currentPassword", "wrong-password", "The current password is wrong.")]);
        await store.WriteAsync(async db =>
        {
            using var manager = accounts.On(db);
            Accounts.Require(await manager.ChangePasswordAsync(await db.Users.FirstAsync(u => u.Id == user.Value, ct), currentPassword, newPassword), "/newPassword");
        }, ct);
        await events.AppendAsync("user.password-changed", null, caller.Name, $"{caller.Name} changed the password.", ct: ct);
    }

    private (AccessToken Row, string Text) NewToken(string name, TimeSpan lifetime)
    {
        var text = TokenPrefix + Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)).TrimEnd('=').Replace('+', '-').Replace('/', '_');
        var now = time.GetUtcNow();
        return (new AccessToken { Id = TokenId.New(time), Name = name, Hash = Hash(text), CreatedAt = now, ExpiresAt = now + lifetime }, text);
    }

    private static UserId Required(Caller caller) => caller.UserId ?? throw new PortalException(ErrorCode.Forbidden, "Only a user account has this.");

    private static void RequireShort(string password, string pointer)
    {
        if (password.Length > LongestPassword)
            throw PortalException.Invalid([new Problem(pointer, "too-long", $"A password has at most {LongestPassword} characters.")]);
    }

    private static bool Same(string given, string right) => CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(given)), SHA256.HashData(Encoding.UTF8.GetBytes(right)));

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    private static PortalException Done() => new(ErrorCode.Conflict, "The portal is set up already.") { Hint = "Sign in." };
}
