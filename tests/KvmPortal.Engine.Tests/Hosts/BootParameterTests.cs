using KvmPortal.Engine.Hosts.Preparations;

namespace KvmPortal.Engine.Tests.Hosts;

public sealed class BootParameterTests
{
    private const string Line = "BOOT_IMAGE=/vmlinuz-6.8.0 root=/dev/nvme0n1p2 ro intel_iommu=on console=tty0 hugepagesz=2M hugepages=64 initrd=/initrd.img";

    [Fact]
    public void What_is_missing_is_told_as_exact_lines()
    {
        var advice = BootParameters.Compare(["intel_iommu=on", "iommu=pt", "hugepagesz=1G hugepages=64", "isolcpus=managed_irq,domain,2-7"], Line);
        Assert.Equal(["intel_iommu=on"], advice.Present);
        Assert.Equal(["iommu=pt", "hugepagesz=1G hugepages=64", "isolcpus=managed_irq,domain,2-7"], advice.Missing);
        Assert.Empty(advice.Different);
        Assert.Equal("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX iommu=pt hugepagesz=1G hugepages=64 isolcpus=managed_irq,domain,2-7\"", advice.Grub);
        Assert.Equal("root=/dev/nvme0n1p2 ro intel_iommu=on console=tty0 hugepagesz=2M hugepages=64 iommu=pt hugepagesz=1G hugepages=64 isolcpus=managed_irq,domain,2-7", advice.SystemdBoot);
    }

    [Fact]
    public void Another_value_is_replaced()
    {
        var advice = BootParameters.Compare(["intel_iommu=off", "hugepagesz=2M hugepages=128"], Line);
        Assert.Equal(["intel_iommu=on", "hugepagesz=2M hugepages=64"], advice.Different);
        Assert.Equal("root=/dev/nvme0n1p2 ro console=tty0 intel_iommu=off hugepagesz=2M hugepages=128", advice.SystemdBoot);
    }

    [Fact]
    public void What_is_for_init_stays_behind_and_counts_for_nothing()
    {
        Assert.Equal("quiet iommu=pt -- iommu=pt --debug", BootParameters.Compare(["iommu=pt"], "quiet -- iommu=pt --debug").SystemdBoot);
        Assert.Equal("iommu=pt -- a", BootParameters.Compare(["iommu=pt"], "-- a").SystemdBoot);
    }

    [Theory]
    [InlineData("default_hugepagesz=1G hugepagesz=1G hugepages=8", "default_hugepagesz=1G hugepages=8", true)]
    [InlineData("hugepagesz=1G hugepages=8", "hugepagesz=1G hugepages=9", false)]
    [InlineData("hugepagesz=1G hugepages=8", "hugepagesz=2M hugepages=8", false)]
    [InlineData("console=ttyS0", "console=tty0 console=ttyS0", true)]
    [InlineData("nohz_full=2-5", "quiet nohz_full=2-5", true)]
    [InlineData("iommu=pt", "", false)]
    public void A_pool_belongs_to_its_size(string wanted, string line, bool there)
    {
        var advice = BootParameters.Compare([wanted], line);
        Assert.Equal(there, advice.Missing.Count == 0);
        Assert.Equal(there, advice.Grub is null);
    }

    [Theory]
    [InlineData("iommu=pt", true)]
    [InlineData("hugepagesz=1G hugepages=0:64,1:64", true)]
    [InlineData("isolcpus=managed_irq,domain,2-7", true)]
    [InlineData("a=\"b\"", false)]
    [InlineData("a=$(reboot)", false)]
    [InlineData("a=`x`", false)]
    [InlineData("a\nb", false)]
    [InlineData("a=b\n", false)]
    [InlineData("", false)]
    [InlineData(null, false)]
    public void Nothing_that_a_shell_would_read_as_more_is_a_parameter(string? text, bool good) => Assert.Equal(good, BootParameters.IsParameter(text));
}
