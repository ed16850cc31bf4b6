using KvmPortal.Engine.Access;
using KvmPortal.Engine.Hosts;
using KvmPortal.Engine.Storage;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace KvmPortal.Web.Hosting;

/// <summary>Ready: the database answers and the host is connected. Degraded: it can be read, but nothing can be written for want of room.</summary>
internal sealed class Readiness(AccessOperations access, HostOperations hosts, StorageRoom room) : IHealthCheck
{
    /// <summary>Checks with this tag decide /readyz; /healthz only says that the process answers.</summary>
    public const string Tag = "ready";

    /// <inheritdoc/>
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var caller = Caller.System("readyz");
        await access.ListUsersAsync(caller, cancellationToken);
        return !(await hosts.GetAsync(caller, cancellationToken)).Connected ? HealthCheckResult.Unhealthy()
            : room.State == StorageState.Full ? HealthCheckResult.Degraded() : HealthCheckResult.Healthy();
    }
}
