using System.Text;
using System.Threading.Channels;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux.Inventory;

namespace KvmPortal.Host.Tests.Linux;

public sealed class HardwareUeventsTests
{
    [Theory]
    [InlineData("add@/devices/pci0000:4a/0000:4a:02.0/0000:4b:00.1\0ACTION=add\0SUBSYSTEM=pci\0SEQNUM=1\0", "pci")]
    [InlineData("remove@/devices/pci0000:00/0000:00:03.0/net/eth0\0ACTION=remove\0SUBSYSTEM=net\0", "net")]
    [InlineData("add@/devices/virtual/net/tap7\0ACTION=add\0SUBSYSTEM=net\0", null)]
    [InlineData("change@/devices/platform/thermal\0SUBSYSTEM=thermal\0", null)]
    [InlineData("libudev\0\u0001\u0002SUBSYSTEM=pci\0", null)]
    [InlineData("", null)]
    [InlineData("\0\0\0@", null)]
    public void Messages_about_hardware_count(string message, string? subsystem) =>
        Assert.Equal(subsystem, HardwareUevents.Subsystem(Encoding.Latin1.GetBytes(message)));

    [Fact]
    public async Task Many_announcements_are_one_change()
    {
        var told = Channel.CreateUnbounded<string>();
        foreach (var subsystem in (string[])["pci", "net", "pci", "iommu"])
            told.Writer.TryWrite(subsystem);
        told.Writer.Complete();
        var changes = new List<HardwareChange>();
        await foreach (var change in HardwareUevents.Together(told.Reader, TimeProvider.System, TestContext.Current.CancellationToken))
            changes.Add(change);
        Assert.Equal(["iommu", "net", "pci"], Assert.Single(changes).Subsystems);
    }

    [Fact]
    public async Task The_kernels_socket_is_listened_to_until_cancelled()
    {
        using var end = new CancellationTokenSource(TimeSpan.FromMilliseconds(300));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in HardwareUevents.WatchAsync(TimeProvider.System, end.Token))
            {
                // Hardware may come at any time.
            }
        });
    }
}
