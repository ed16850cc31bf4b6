using System.Diagnostics;
using System.Security.Claims;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using Microsoft.AspNetCore.Components.Authorization;

namespace KvmPortal.Web.Shared;

/// <summary>Makes the <see cref="Caller"/> of the signed-in user of a circuit, for pages to pass to operations.</summary>
public sealed class CallerAccessor(AuthenticationStateProvider authentication)
{
    /// <summary>The caller, with a fresh request id. Throws <see cref="PortalException"/> (NotSignedIn) when nobody is signed in.</summary>
    public async Task<Caller> GetAsync()
    {
        var user = (await authentication.GetAuthenticationStateAsync()).User;
        if (user.Identity?.IsAuthenticated != true)
            throw new PortalException(ErrorCode.NotSignedIn, "Sign in first.");
        UserId? id = UserId.TryParse(user.FindFirstValue(ClaimTypes.NameIdentifier), null, out var parsed) ? parsed : null;
        return new Caller(id, user.Identity.Name ?? "", Door.Browser, ActivityTraceId.CreateRandom().ToHexString());
    }
}
