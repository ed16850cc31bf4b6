using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts.Inventories;
using KvmPortal.Host;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Tests.Linux.Fixtures;

namespace KvmPortal.Engine.Tests.Hosts;

/// <summary>Versions of the inventory, and what is a difference.</summary>
public sealed class InventoryTests
{
    [Fact]
    public void A_card_that_is_gone_is_told_with_its_address()
    {
        var files = FixtureHosts.Build("f1-xeon-2s-a100");
        var before = Read(files);
        var pci = "/sys/devices/pci0000:4a/0000:4a:02.0/0000:4b:00.1";
        var now = Read(files.Remove(pci).Remove("/sys/bus/pci/devices/0000:4b:00.1").Remove("/sys/class/net/ens5f1np1"));
        var changes = InventoryDiff.Compare(before, now);
        Assert.Equal(["PCI device MT2892 Family [ConnectX-6 Dx] (0000:4b:00.1) disappeared.", "Network card ens5f1np1 (0000:4b:00.1) disappeared."], changes.Select(c => c.Text.Text));
        Assert.Equal(["PCI device MT2892 Family [ConnectX-6 Dx] (0000:4b:00.1) appeared.", "Network card ens5f1np1 (0000:4b:00.1) appeared."], InventoryDiff.Compare(now, before).Select(c => c.Text.Text));
    }

    [Fact]
    public void What_matters_changes_in_words_and_what_moves_by_itself_does_not()
    {
        var host = Read(FixtureHosts.Build("f1-xeon-2s-a100"));
        var moved = host with
        {
            NumaNodes = [.. host.NumaNodes.Select(n => n with { FreeMiB = 1, HugePages = [.. n.HugePages.Select(p => p with { Free = 0, Total = p.Total + 8 })] })],
            Memory = host.Memory with { CorrectedErrors = 77 },
            Nics = [.. host.Nics.Select(n => n with { State = "down", SpeedMbps = null }), new NetworkCard("tap0", null, "tun", true, "up", null, 1, 1)],
            PciDevices = [.. host.PciDevices.Select(d => d with { Link = d.Link is { } link ? link with { Speed = 2.5 } : null })],
            Irqs = [],
            BlockDevices = [.. host.BlockDevices, new BlockDeviceFacts("loop0", BlockKind.Loop, null, 4096, false, null, null, null, [])],
        };
        Assert.Empty(InventoryDiff.Compare(host, moved));
        Assert.Equal(InventoryDiff.Digest(host), InventoryDiff.Digest(moved));
        var other = host with { Kernel = host.Kernel with { Version = "6.9.0" }, Cpu = host.Cpu with { Online = CpuSet.Range(0, 63) } };
        Assert.Equal(["Processor: online was 0-127 and is 0-63 now.", "Kernel: version was 6.8.0-45-generic and is 6.9.0 now."], InventoryDiff.Compare(host, other).Select(c => c.Text.Text));
        Assert.NotEqual(InventoryDiff.Digest(host), InventoryDiff.Digest(other));
    }

    [Fact]
    public async Task A_look_makes_a_version_only_when_something_changed_and_tells_it()
    {
        await using var portal = await TestPortal.StartAsync();
        var inventories = portal.Get<HostInventories>();
        var first = await inventories.RefreshAsync(TestPortal.Ada, default);
        Assert.Equal(1, first.Version);
        Assert.Equal(1, (await inventories.RefreshAsync(TestPortal.Ada, default)).Version);

        var was = portal.SimulatedHost.Inventory;
        portal.SimulatedHost.Inventory = was with { Nics = [.. was.Nics.Where(n => n.Virtual)] };
        Assert.Equal(2, (await inventories.RefreshAsync(TestPortal.Ada, default)).Version);
        var summary = (await inventories.ListAsync(TestPortal.Ada, new ListQuery(), default)).Items;
        Assert.Equal([2, 1], summary.Select(s => s.Version));
        var change = Assert.Single(summary[0].Changes);
        Assert.Equal((InventorySubject.NetworkCard, "ens5f0np0", InventoryChangeKind.Disappeared), (change.Subject, change.Key, change.Kind));
        var told = Assert.Single((await portal.Get<PortalEvents>().ListAsync(TestPortal.Ada, new ListQuery(Filter: "type = host.hardware-changed"), null, default)).Items);
        Assert.Equal("Network card ens5f0np0 (0000:4b:00.0) disappeared.", told.Text);
        Assert.True(told.Warning);

        var old = await inventories.GetAsync(TestPortal.Ada, 1, default);
        Assert.Equal(InventoryDiff.Digest(was), InventoryDiff.Digest(old.Inventory));
        Assert.Equal(was.Cpus.Select(c => c.Core), old.Inventory.Cpus.Select(c => c.Core));
        Assert.Equal(2, (await inventories.GetAsync(TestPortal.Ada, null, default)).Version);
        await Assert.ThrowsAsync<PortalException>(() => inventories.GetAsync(TestPortal.Ada, 99, default));
    }

    [Fact]
    public async Task The_newest_versions_are_kept()
    {
        await using var portal = await TestPortal.StartAsync();
        var inventories = portal.Get<HostInventories>();
        for (var i = 0; i < HostInventories.Kept + 3; i++)
        {
            portal.SimulatedHost.Inventory = portal.SimulatedHost.Inventory with { Software = [new SoftwareVersion("qemu", $"{i}")] };
            await inventories.RefreshAsync(TestPortal.Ada, default);
        }

        var kept = (await inventories.ListAsync(TestPortal.Ada, new ListQuery(500), default)).Items;
        Assert.Equal(HostInventories.Kept, kept.Count);
        var page = await inventories.ListAsync(TestPortal.Ada, new ListQuery(10), default);
        Assert.Equal(kept[10].Version, (await inventories.ListAsync(TestPortal.Ada, new ListQuery(10, page.NextCursor), default)).Items[0].Version);
    }

    private static HostInventory Read(HostTreeFiles files)
    {
        using var written = files.WriteOut();
        return LinuxMachineHost.ReadInventory(written.Root);
    }
}
