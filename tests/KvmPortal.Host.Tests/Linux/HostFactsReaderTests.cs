using KvmPortal.Host.Linux;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Linux;

public sealed class HostFactsReaderTests
{
    [Theory]
    [InlineData("0-3,8", 5)]
    [InlineData("0", 1)]
    [InlineData("0-0\n", 1)]
    [InlineData("", null)]
    [InlineData(null, null)]
    [InlineData("3-1", null)]
    [InlineData("0-", null)]
    [InlineData("a", null)]
    public void A_list_of_CPUs_is_counted(string? list, int? count) => Assert.Equal(count, HostFactsReader.CountList(list));

    [Fact]
    public void An_empty_tree_has_facts_and_an_arm_one_too()
    {
        using var folder = new ScratchFolder();
        var reader = new HostFactsReader(new HostPaths(folder.Path));
        Assert.Equal(("unknown", 1, "localhost", "Linux", 0L), (reader.Cpu().Model, reader.Cpu().OnlineCount, reader.HostName, reader.OsName, reader.Memory().TotalMiB));
        Directory.CreateDirectory(folder.In("proc"));
        File.WriteAllText(folder.In("proc/cpuinfo"), "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\nprocessor\t: 1\n");
        File.WriteAllText(folder.In("proc/meminfo"), "MemTotal:       2048000 kB\nMemAvailable:   1024000 kB\n");
        Assert.Equal(("part 0xd0c", 2, 2000L), (reader.Cpu().Model, reader.Cpu().OnlineCount, reader.Memory().TotalMiB));
    }
}
