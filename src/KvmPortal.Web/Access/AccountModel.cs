using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Access;

/// <summary>The account page: personal access tokens and the password.</summary>
public sealed class AccountModel(AccessOperations access)
{
    public IReadOnlyList<TokenView> Tokens { get; private set; } = [];
    public ProblemInfo? TokenProblem { get; private set; }
    public ProblemInfo? PasswordProblem { get; private set; }

    /// <summary>The token just issued: shown once, forgotten when the page is left.</summary>
    public IssuedToken? Issued { get; private set; }

    public bool PasswordChanged { get; private set; }

    public async Task ReadAsync(Caller caller, CancellationToken ct)
    {
        try
        {
            Tokens = await access.ListTokensAsync(caller, ct);
        }
        catch (PortalException e)
        {
            TokenProblem = Failures.From(e);
        }
    }

    public async Task IssueAsync(Caller caller, string name, int days, CancellationToken ct)
    {
        (TokenProblem, Issued) = (null, null);
        try
        {
            Issued = await access.IssueTokenAsync(caller, name.Trim(), TimeSpan.FromDays(days), ct);
            await ReadAsync(caller, ct);
        }
        catch (PortalException e)
        {
            TokenProblem = Failures.From(e);
        }
    }

    public async Task RevokeAsync(Caller caller, TokenView token, CancellationToken ct)
    {
        TokenProblem = null;
        try
        {
            await access.RevokeTokenAsync(caller, token.Id, ct);
            if (Issued?.Token.Id == token.Id)
                Issued = null;
            await ReadAsync(caller, ct);
        }
        catch (PortalException e)
        {
            TokenProblem = Failures.From(e);
        }
    }

    public async Task ChangePasswordAsync(Caller caller, string current, string wanted, CancellationToken ct)
    {
        (PasswordProblem, PasswordChanged) = (null, false);
        try
        {
            await access.ChangePasswordAsync(caller, current, wanted, ct);
            PasswordChanged = true;
        }
        catch (PortalException e)
        {
            PasswordProblem = Failures.From(e);
        }
    }
}
