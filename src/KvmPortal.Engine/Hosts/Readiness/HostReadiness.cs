using KvmPortal.Engine.Access;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>The report of the host that the portal runs on, made anew each time it is asked for.</summary>
public sealed class HostReadiness
{
    private readonly IMachineHost host;
    private readonly EngineOptions options;
    private readonly PreparationOperations preparations;

    internal HostReadiness(IMachineHost host, EngineOptions options, PreparationOperations preparations) => (this.host, this.options, this.preparations) = (host, options, preparations);

    /// <summary>What the host is made of, and what that means. On the way it is seen whether what the portal has set is still so.</summary>
    public async Task<(HostInventory Inventory, ReadinessReport Report)> LookAsync(Caller caller, CancellationToken ct)
    {
        var looking = LookAsync(host, options.MachineUids, ct);
        await preparations.ListAsync(caller, ct);
        return await looking;
    }

    /// <summary>The same for a host that no portal manages yet.</summary>
    public static async Task<(HostInventory Inventory, ReadinessReport Report)> LookAsync(IMachineHost host, (int First, int Last)? machineUids, CancellationToken ct)
    {
        var reading = host.ReadInventoryAsync(ct);
        var facts = await host.GetFactsAsync(ct);
        var inventory = await reading;
        return (inventory, Doctor.Examine(new ReadinessInput(inventory, facts, Environment.IsPrivilegedProcess, machineUids)));
    }
}
