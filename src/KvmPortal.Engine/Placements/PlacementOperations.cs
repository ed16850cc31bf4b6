using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Placements;

/// <summary>One line of the ledger.</summary>
/// <param name="Name">Of the machine; null for one that is no more.</param>
public sealed record LedgerLine(VmId VmId, string? Name, Reservation Held);

/// <summary>What is free on one NUMA node.</summary>
/// <param name="FreeCores">Whole cores that nobody holds, the host's own left out.</param>
/// <param name="Housekeeping">CPUs that stay the host's.</param>
public sealed record LedgerNode(int Id, CpuSet Cpus, int Cores, int FreeCores, CpuSet Dedicated, CpuSet Housekeeping);

/// <summary>Who holds what of the host, and what is free.</summary>
/// <param name="SharedCpus">CPUs that ordinary machines run on.</param>
/// <param name="SharedVcpus">vCPUs of ordinary machines that run now.</param>
public sealed record LedgerView(long Generation, IReadOnlyList<LedgerLine> Lines, IReadOnlyList<LedgerNode> Nodes, CpuSet SharedCpus, int SharedVcpus);

/// <summary>The verbs on places that both doors call.</summary>
public sealed class PlacementOperations
{
    private readonly PlacementLedger ledger;
    private readonly PlacementReader reader;
    private readonly VmTracker tracker;

    internal PlacementOperations(PlacementLedger ledger, PlacementReader reader, VmTracker tracker) => (this.ledger, this.reader, this.tracker) = (ledger, reader, tracker);

    public async Task<LedgerView> LedgerAsync(Caller caller, CancellationToken ct)
    {
        var topology = await reader.TopologyAsync(ct);
        var now = await ledger.ReadAsync(ct);
        var machines = await tracker.AllAsync(ct);
        var names = machines.ToDictionary(v => v.Id, v => v.Name);
        var held = now.Reservations.Select(r => VmId.Parse(r.Vm, null)).ToHashSet();
        var dedicated = CpuSet.Union(now.Reservations.Select(r => r.Cpus));
        var nodes = topology.CpuNodes.Select(node =>
        {
            var cores = topology.Cores.Where(c => c.Cpus.IsSubsetOf(node.Cpus)).ToList();
            var host = cores.FirstOrDefault(c => c.Cpus.Contains(node.Cpus.First))?.Cpus ?? default;
            return new LedgerNode(node.Id, node.Cpus, cores.Count, cores.Count(c => !c.Cpus.Overlaps(dedicated | host)), dedicated & node.Cpus, host);
        }).ToList();
        return new LedgerView(now.Generation, [.. now.Reservations.Select(r => new LedgerLine(VmId.Parse(r.Vm, null), names.GetValueOrDefault(VmId.Parse(r.Vm, null)), r))], nodes, topology.Online - dedicated,
            machines.Where(v => v.Status.Pid is not null && !held.Contains(v.Id)).Sum(v => v.CpuCount));
    }
}
