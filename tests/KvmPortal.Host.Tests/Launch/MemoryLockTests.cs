using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Tests.Golden;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Launch;

public sealed class MemoryLockTests
{
    private static readonly MachineSpec Locking = GoldenMachine.Read("placement-huge-locked").Machine;

    /// <summary>Whether whoever runs these tests may start a machine with locked memory.</summary>
    public static bool IsAllowed
    {
        get
        {
            try
            {
                MemoryLock.Require(new HostPaths(), Locking);
                return true;
            }
            catch (HostException)
            {
                return false;
            }
        }
    }

    [Theory]
    [InlineData("8388608", "000001fffeffffff", false)]
    [InlineData("8388608", "000001ffffffffff", true)]
    [InlineData("unlimited", "0000000000000000", true)]
    [InlineData("99999999999", "0000000000000000", true)]
    public void A_limit_that_cannot_be_raised_is_said_before_QEMU_fails(string hard, string capabilities, bool allowed)
    {
        using var folder = new ScratchFolder();
        Directory.CreateDirectory(folder.In("proc/self"));
        File.WriteAllText(folder.In("proc/self/limits"), $"Limit                     Soft Limit           Hard Limit           Units     \nMax locked memory         65536                {hard,-20} bytes     \n");
        File.WriteAllText(folder.In("proc/self/status"), $"Name:\tx\nCapEff:\t{capabilities}\n");
        var paths = new HostPaths(folder.Path);
        if (allowed)
            MemoryLock.Require(paths, Locking);
        else
            Assert.Equal("The portal may lock 8 MiB of memory only, and may not raise that limit.", Assert.Throws<HostException>(() => MemoryLock.Require(paths, Locking)).Message);
        MemoryLock.Require(paths, Locking with { Placement = null });
    }

    [Fact]
    public void Only_a_locking_machine_is_started_with_the_limit_raised()
    {
        var command = new ConfinedCommand { Argv = ["x"], Output = "/o" };
        Assert.Equal(["launch", "/o", "-", "setsid"], Launcher.Chain(command).Skip(3).Take(4));
        Assert.Equal(["launch", "/o", "locks", "setsid"], Launcher.Chain(command with { LocksMemory = true }).Skip(3).Take(4));
        var unit = SystemdUnits.Arguments("u", command with { LocksMemory = true, Partitioned = true }, [], new ControlGroupSpec(), 100, null);
        Assert.Contains("--property=LimitMEMLOCK=infinity", unit);
        Assert.Contains("--property=Delegate=cpuset", unit);
    }
}
