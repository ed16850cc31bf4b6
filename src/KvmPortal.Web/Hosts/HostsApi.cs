using KvmPortal.Engine;
using KvmPortal.Engine.Hosts;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;

namespace KvmPortal.Web.Hosts;

/// <summary>/api/v1/hosts: one host, called local.</summary>
internal static class HostsApi
{
    public static void MapHosts(this IEndpointRouteBuilder routes)
    {
        var hosts = routes.MapApi("hosts");
        hosts.MapGet("", ListAsync).WithName("listHosts").Produces<ListPage<HostView>>();
        hosts.MapGet("/{id}", GetAsync).WithName("getHost").Produces<HostView>();
        hosts.MapPost("/{id}/actions/prove-accelerator", ProveAsync).WithName("proveAccelerator").Produces<JobAnswer>(202);
    }

    /// <summary>Throws NotFound for any host but the one there is.</summary>
    public static void Require(string id)
    {
        if (id != "local" && !(Guid.TryParseExact(id, "D", out var guid) && guid == HostOperations.LocalHostId))
            throw PortalException.NotFound("host", id.Length > 64 ? id[..64] : id);
    }

    /// <summary>All hosts.</summary>
    private static async Task<IResult> ListAsync(HttpContext http, HostOperations hosts, CancellationToken ct) => Results.Ok(new ListPage<HostView>([await hosts.GetAsync(http.Caller(), ct)], null));

    /// <summary>A host: what it is and can do.</summary>
    private static async Task<IResult> GetAsync(HttpContext http, string id, HostOperations hosts, CancellationToken ct)
    {
        Require(id);
        return Results.Ok(await hosts.GetAsync(http.Caller(), ct));
    }

    /// <summary>Proves (again) with a tiny guest whether KVM works, as a job.</summary>
    private static async Task<IResult> ProveAsync(HttpContext http, string id, HostOperations hosts, JobAnswers answers, CancellationToken ct)
    {
        Require(id);
        return await answers.SendAsync(http, await hosts.ProveAcceleratorAsync(http.Caller(), ct));
    }
}
