using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Linux;

/// <summary>Facts from trees of files like those of real hosts, and from nothing at all.</summary>
public sealed class HostTreeTests : IDisposable
{
    private readonly ScratchFolder root = new();

    private HostFactsReader Reader => new(new HostPaths(root.Path));

    [Fact]
    public void An_ordinary_server()
    {
        Write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz\nflags\t\t: fpu vmx\n\nprocessor\t: 1\nvendor_id\t: GenuineIntel\nmodel name\t: other\n");
        Write("sys/devices/system/cpu/online", "0-63,128-191\n");
        Write("proc/meminfo", "MemTotal:       527954204 kB\nMemFree:         1024 kB\nMemAvailable:   498073600 kB\n");
        Write("proc/sys/kernel/random/boot_id", "f3b1c0de-0000-4000-8000-000000000001\n");
        Write("proc/sys/kernel/hostname", "node7\n");
        Write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
        Write("etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
        Assert.Equal(("Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz", "GenuineIntel", 128), (Reader.Cpu().Model, Reader.Cpu().Vendor, Reader.Cpu().OnlineCount));
        Assert.Equal(new MemoryFacts(515580, 486400), Reader.Memory());
        Assert.Equal(("f3b1c0de-0000-4000-8000-000000000001", "node7", "6.1.0-18-amd64", "Debian GNU/Linux 12 (bookworm)"), (Reader.BootId, Reader.HostName, Reader.KernelVersion, Reader.OsName));
    }

    [Fact]
    public void An_arm64_server_has_no_model_name()
    {
        Write("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 200.00\nCPU implementer\t: 0x48\nCPU architecture: 8\nCPU part\t: 0xd01\n\nprocessor\t: 1\nCPU implementer\t: 0x48\nCPU part\t: 0xd01\n");
        Assert.Equal(("part 0xd01", "implementer 0x48", 2), (Reader.Cpu().Model, Reader.Cpu().Vendor, Reader.Cpu().OnlineCount));
    }

    [Fact]
    public void Nothing_there_is_no_failure()
    {
        Assert.Equal(("unknown", "unknown", 1), (Reader.Cpu().Model, Reader.Cpu().Vendor, Reader.Cpu().OnlineCount));
        Assert.Equal(new MemoryFacts(0, 0), Reader.Memory());
        Assert.Equal(("unknown", "localhost", "unknown", "Linux"), (Reader.BootId, Reader.HostName, Reader.KernelVersion, Reader.OsName));
    }

    [Fact]
    public void Odd_files_are_no_failure()
    {
        Write("proc/cpuinfo", "garbage\n::::\n\0\n");
        Write("sys/devices/system/cpu/online", "3-1,x\n");
        Write("proc/meminfo", "MemTotal: many kB\nMemTotal: 2048 kB\nMemFree: 1024 kB\n");
        Write("usr/lib/os-release", "PRETTY_NAME='Alpine Linux'\n");
        Directory.CreateDirectory(root.In("proc/sys/kernel/hostname"));
        Assert.Equal(1, Reader.Cpu().OnlineCount);
        Assert.Equal(new MemoryFacts(2, 1), Reader.Memory());
        Assert.Equal(("Alpine Linux", "localhost"), (Reader.OsName, Reader.HostName));
    }

    [Theory]
    [InlineData("0", 1)]
    [InlineData("0-3,8,10-11\n", 7)]
    [InlineData("", null)]
    [InlineData("\n", null)]
    [InlineData("1-", null)]
    [InlineData("-1", null)]
    [InlineData("4-2", null)]
    public void Lists_of_the_kernel_are_counted(string list, int? count) => Assert.Equal(count, HostFactsReader.CountList(list));

    [Fact]
    public void Storage_of_a_folder_that_is_not_there_yet_is_that_of_its_parent()
    {
        var (now, later) = (HostFactsReader.Storage(root.Path), HostFactsReader.Storage(root.In("a/b/c")));
        Assert.Equal((now.TotalBytes, root.In("a/b/c")), (later.TotalBytes, later.Path));
        Assert.InRange(now.FreeBytes, 1, now.TotalBytes);
    }

    [Fact]
    public void This_host_can_be_read()
    {
        var real = new HostFactsReader(new HostPaths());
        Assert.Equal(Environment.MachineName, real.HostName);
        Assert.True(Guid.TryParse(real.BootId, out _));
        Assert.InRange(real.Cpu().OnlineCount, 1, 4096);
        Assert.InRange(real.Memory().AvailableMiB, 1, real.Memory().TotalMiB);
    }

    public void Dispose() => root.Dispose();

    private void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(root.In(path))!);
        File.WriteAllText(root.In(path), text);
    }
}
