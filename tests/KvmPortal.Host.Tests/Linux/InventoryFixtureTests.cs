using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux.Inventory;
using KvmPortal.Host.Tests.Linux.Fixtures;

namespace KvmPortal.Host.Tests.Linux;

/// <summary>The made-up hosts give exactly the inventories in Golden/inventory.</summary>
public sealed class InventoryFixtureTests
{
    private static readonly string Golden = Path.Combine(KvmPortal.Host.Tests.Golden.GoldenMachine.Folder, "inventory");

    public static TheoryData<string> Hosts => [.. FixtureHosts.All.Keys];

    [Theory]
    [MemberData(nameof(Hosts))]
    public void The_inventory_is_the_golden_one(string name)
    {
        var text = InventoryJson.Of(Read(FixtureHosts.Build(name)));
        var file = Path.Combine(Golden, $"{name}.json");
        if (Environment.GetEnvironmentVariable("KVMPORTAL_REWRITE_GOLDEN") == "1")
        {
            Directory.CreateDirectory(Golden);
            File.WriteAllText(file, text);
        }

        Assert.True(File.Exists(file), $"{name}.json is missing: run ./kvmportal golden, read what it wrote, commit it.");
        Assert.Equal(File.ReadAllText(file), text);
        Assert.All(Secrets.All, secret => Assert.DoesNotContain(secret, text));
    }

    [Fact]
    public void Every_golden_inventory_has_its_host() =>
        Assert.Empty(Directory.CreateDirectory(Golden).GetFiles().Select(f => f.Name).Select(f => Path.GetFileNameWithoutExtension(f)!).Except(FixtureHosts.All.Keys));

    [Theory]
    [MemberData(nameof(Hosts))]
    public void What_a_host_is_does_not_depend_on_ids(string name)
    {
        var before = Read(FixtureHosts.Build(name));
        for (var seed = 1; seed <= 3; seed++)
        {
            var host = FixtureHosts.All[name](Renaming.ByChance(seed));
            var after = Read(host.Files);
            var there = host.Cpus.ToDictionary(c => c.Before, c => c.Now);
            CpuSet Now(CpuSet set) => CpuSet.Of(set.Where(there.ContainsKey).Select(id => there[id]));
            var now = after.Cpus.ToDictionary(c => c.Id);
            Assert.Equal(before.Cpus.Count, after.Cpus.Count);
            foreach (var was in before.Cpus)
            {
                var cpu = now[there[was.Id]];
                Assert.Equal((Now(was.Core), Now(was.Cluster), Now(was.L2), Now(was.L3)), (cpu.Core, cpu.Cluster, cpu.L2, cpu.L3));
                Assert.Equal((was.Online, was.Node, was.Kind, was.MaxMHz), (cpu.Online, cpu.Node, cpu.Kind, cpu.MaxMHz));
            }

            Assert.Equal(before.NumaNodes.Select(n => (n.Id, Now(n.Cpus), n.MemoryMiB)), after.NumaNodes.Select(n => (n.Id, n.Cpus, n.MemoryMiB)));
            Assert.Equal(before.PciDevices.Select(d => (d.Address, d.Node, Now(d.LocalCpus))), after.PciDevices.Select(d => (d.Address, d.Node, d.LocalCpus)));
            Assert.Equal(before.Irqs.Select(i => (i.Number, Now(i.Affinity))), after.Irqs.Select(i => (i.Number, i.Affinity)));
        }
    }

    [Theory]
    [MemberData(nameof(Hosts))]
    public void Missing_files_are_no_failure(string name)
    {
        var random = new Random(4711);
        foreach (var share in (double[])[0.02, 0.3, 0.9])
        {
            var files = FixtureHosts.Build(name);
            Sound(Read(files.RemoveAll([.. files.Paths.Where(_ => random.NextDouble() < share)])));
        }
    }

    [Theory]
    [InlineData("f3-laptop-no-iommu")]
    [InlineData("f4a-cloud-kvm-unusable")]
    [InlineData("f6d-e5-nvme-no-node")]
    public void Odd_contents_are_no_failure(string name)
    {
        string[] odd = ["", "(null)", "-1", "99999999999999999999", "0-4294967295", "0-1-2", ",,,", "\0\0\0", "0x", "ffffffff,ffffffff", "1 2 3", new('7', 10_000), "[", "]", "é\ud83d"];
        var random = new Random(42);
        for (var round = 0; round < 10; round++)
        {
            var files = FixtureHosts.Build(name);
            foreach (var path in files.Paths.Where(_ => random.NextDouble() < 0.2).Where(files.IsFile))
                files.File(path, odd[random.Next(odd.Length)]);
            Sound(Read(files));
        }
    }

    [Fact]
    public void Nothing_at_all_is_a_host_without_anything()
    {
        var host = Read(new HostTreeFiles().Folder("/nothing"));
        Assert.Empty(host.Cpus);
        Assert.Empty(host.PciDevices);
        Assert.NotEmpty(host.Gaps);
        Assert.Equal([0], host.NumaNodes.Select(n => n.Id));
    }

    internal static HostInventory Read(HostTreeFiles files)
    {
        using var written = files.WriteOut();
        return InventoryReader.Read(new HostTree(written.Root));
    }

    /// <summary>What holds for every inventory, whatever was missing.</summary>
    internal static void Sound(HostInventory host)
    {
        Assert.Equal(host.Cpus.Select(c => c.Id).Distinct().Order(), host.Cpus.Select(c => c.Id));
        Assert.Equal(host.Cpu.Present, CpuSet.Of(host.Cpus.Select(c => c.Id)));
        Assert.True(host.Cpu.Online.IsSubsetOf(host.Cpu.Present));
        var cpus = host.Cpus.ToDictionary(c => c.Id);
        foreach (var cpu in host.Cpus)
        {
            Assert.Contains(cpu.Id, cpu.Core);
            Assert.True(cpu.Core.IsSubsetOf(host.Cpu.Present));
            Assert.All(cpu.Core, sibling => Assert.Equal(cpu.Core, cpus[sibling].Core));
            Assert.True(cpu.L3.IsEmpty || cpu.L3.Contains(cpu.Id));
            Assert.True(cpu.Node == -1 || !cpu.Online || host.NumaNodes.Single(n => n.Id == cpu.Node).Cpus.Contains(cpu.Id));
        }

        Assert.True(CpuSet.Union(host.NumaNodes.Select(n => n.Cpus)).IsSubsetOf(host.Cpu.Online));
        Assert.Equal(host.NumaNodes.Sum(n => n.Cpus.Count), CpuSet.Union(host.NumaNodes.Select(n => n.Cpus)).Count);
        Assert.NotEmpty(host.NumaNodes);
        Assert.All(host.NumaNodes, n => Assert.Contains(n.Id, n.Distances.Keys));
        Assert.NotEmpty(InventoryJson.Of(host));
    }
}
