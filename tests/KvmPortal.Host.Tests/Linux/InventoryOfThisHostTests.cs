using System.Diagnostics;
using System.Text.Json;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux.Inventory;

namespace KvmPortal.Host.Tests.Linux;

public sealed class InventoryOfThisHostTests(ITestOutputHelper output)
{
    [Fact]
    public void This_host_is_read_as_the_kernel_tells_it()
    {
        InventoryReader.Read(new HostTree("/"));
        var watch = Stopwatch.StartNew();
        var host = InventoryReader.Read(new HostTree("/"));
        output.WriteLine($"{watch.ElapsedMilliseconds} ms");
        output.WriteLine(JsonSerializer.Serialize(host, HostJson.Readable));
        Assert.Equal(Environment.ProcessorCount, host.Cpu.Online.Count);
        Assert.Equal(host.Cpu.Present, CpuSet.Of(host.Cpus.Select(c => c.Id)));
        Assert.All(host.Cpus, c => Assert.Contains(c.Id, c.Core));
        Assert.Equal(host.Cpu.Online, CpuSet.Union(host.NumaNodes.Select(n => n.Cpus)));
        Assert.Equal(File.ReadAllText("/proc/sys/kernel/osrelease").Trim(), host.Kernel.Version);
        Assert.Contains(host.NumaNodes, n => n.MemoryMiB > 0);
        Assert.Equal(Directory.GetDirectories("/sys/bus/pci/devices").Length, host.PciDevices.Count);
        Assert.Equal(Directory.GetFileSystemEntries("/sys/class/net").Count(Directory.Exists), host.Nics.Count);
        Assert.Contains(host.Software, s => s.Name == "qemu");
    }
}

internal static class HostJson
{
    public static readonly JsonSerializerOptions Readable = new(JsonSerializerDefaults.Web) { WriteIndented = true };
}
