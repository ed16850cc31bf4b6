using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans.Placement;

/// <summary>The same host with other numbers of CPUs and packages and other addresses. Nodes keep theirs.</summary>
internal static class Renumbered
{
    public static HostInventory Of(HostInventory host, Random random, out Dictionary<int, int> cpus, out Dictionary<string, string> devices)
    {
        var ids = host.Cpus.Select(c => c.Id).ToArray();
        var shuffled = ids.ToArray();
        random.Shuffle(shuffled);
        var cpu = ids.Zip(shuffled).ToDictionary(p => p.First, p => p.Second);
        var addresses = host.PciDevices.Select(d => d.Address).ToArray();
        var buses = addresses.Select(a => a[..^2]).Distinct().ToArray();
        var newBuses = Enumerable.Range(1, 200).Select(i => $"0000:{i:x2}:00").ToArray();
        random.Shuffle(newBuses);
        var bus = buses.Zip(newBuses).ToDictionary(p => p.First, p => p.Second);
        var address = addresses.ToDictionary(a => a, a => bus[a[..^2]] + a[^2..]);
        var packages = host.Cpus.Select(c => c.Package!.Value).Distinct().ToDictionary(p => p, p => (p * 7919 % 10007) + 5);
        (cpus, devices) = (cpu, address);
        return host with
        {
            Cpu = host.Cpu with { Online = Map(host.Cpu.Online), Present = Map(host.Cpu.Present) },
            Cpus = [.. host.Cpus.Select(c => c with { Id = cpu[c.Id], Package = packages[c.Package!.Value], Core = Map(c.Core), Cluster = Map(c.Cluster), L3 = Map(c.L3) }).OrderBy(c => c.Id)],
            NumaNodes = [.. host.NumaNodes.Select(n => n with { Cpus = Map(n.Cpus) })],
            PciDevices = [.. host.PciDevices.Select(d => d with
            {
                Address = address[d.Address],
                LocalCpus = Map(d.LocalCpus),
                PhysicalFunction = d.PhysicalFunction is null ? null : address[d.PhysicalFunction],
                Sriov = d.Sriov is null ? null : d.Sriov with { Functions = [.. d.Sriov.Functions.Select(f => address[f])] },
            })],
            IommuGroups = [.. host.IommuGroups.Select(g => g with { Devices = [.. g.Devices.Select(d => address[d])] })],
            BlockDevices = [.. host.BlockDevices.Select(b => b with { Pci = b.Pci is null ? null : address[b.Pci] })],
            Irqs = [],
        };

        CpuSet Map(CpuSet set) => CpuSet.Of(set.Select(c => cpu[c]));
    }
}
