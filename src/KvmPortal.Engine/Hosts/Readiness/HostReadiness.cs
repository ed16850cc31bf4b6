using KvmPortal.Engine.Access;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>The report of the host that the portal runs on, made anew each time it is asked for.</summary>
public sealed class HostReadiness
{
    private readonly IMachineHost host;
    private readonly EngineOptions options;

    internal HostReadiness(IMachineHost host, EngineOptions options) => (this.host, this.options) = (host, options);

    /// <summary>What the host is made of, and what that means.</summary>
    public Task<(HostInventory Inventory, ReadinessReport Report)> LookAsync(Caller caller, CancellationToken ct) => LookAsync(host, options.MachineUids, ct);

    /// <summary>The same for a host that no portal manages yet.</summary>
    public static async Task<(HostInventory Inventory, ReadinessReport Report)> LookAsync(IMachineHost host, (int First, int Last)? machineUids, CancellationToken ct)
    {
        var reading = host.ReadInventoryAsync(ct);
        var facts = await host.GetFactsAsync(ct);
        var inventory = await reading;
        return (inventory, Doctor.Examine(new ReadinessInput(inventory, facts, Environment.IsPrivilegedProcess, machineUids)));
    }
}
