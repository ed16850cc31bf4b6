using KvmPortal.Host.Contract;

namespace KvmPortal.Web.Hosts;

/// <summary>What a host is to be set to: all of it or nothing.</summary>
/// <param name="Settings">1 to 64; each with its `kind`, as the readiness report offers them.</param>
/// <param name="Persistent">Again after each boot of the host, before machines start by themselves.</param>
public sealed record PrepareRequest(IReadOnlyList<HostSetting> Settings, bool Persistent = false);

/// <param name="Parameters">What the kernel's command line will have after the next boot; empty: nothing is expected any more.</param>
public sealed record BootParametersRequest(IReadOnlyList<string> Parameters);
