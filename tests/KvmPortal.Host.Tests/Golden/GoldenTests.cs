using KvmPortal.Host.Contract;
using KvmPortal.Host.Qemu;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Golden;

public sealed class GoldenTests
{
    private static readonly HostFolders Folders = new("/run/kvmportal", "/var/lib/kvmportal/host/machines", "/var/lib/kvmportal/disks", "/var/lib/kvmportal/images");

    public static TheoryData<string> Cases => [.. GoldenMachine.Names()];

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_command_line_is_the_golden_one(string name)
    {
        var golden = GoldenMachine.Read(name);
        var argv = QemuCommandLine.Build(golden.Machine, GoldenMachine.Facts(golden.OnlineCpus, Folders, golden.CpuVendor), CapabilitySets.Get(golden.Capabilities));
        Assert.All(argv, argument => Assert.DoesNotContain('\n', argument));
        var text = $"# {golden.About}\n{string.Join('\n', argv)}\n";
        var file = Path.Combine(GoldenMachine.Folder, $"{name}.argv");
        if (Environment.GetEnvironmentVariable("KVMPORTAL_REWRITE_GOLDEN") == "1")
            File.WriteAllText(file, text);
        Assert.True(File.Exists(file), $"{name}.argv is missing: run ./kvmportal golden, read what it wrote, commit it.");
        Assert.Equal(File.ReadAllText(file), text);
    }

    [Fact]
    public void Every_golden_command_line_has_its_machine()
    {
        var orphans = Directory.GetFiles(GoldenMachine.Folder, "*.argv").Select(f => Path.GetFileNameWithoutExtension(f)!).Except(GoldenMachine.Names());
        Assert.Empty(orphans);
    }

    [Fact]
    public void The_same_machine_gives_the_same_arguments_again()
    {
        var golden = GoldenMachine.Read("disk-every-bus");
        var facts = GoldenMachine.Facts(4, Folders);
        Assert.Equal(QemuCommandLine.Build(golden.Machine, facts, CapabilitySets.Get("qemu-7.2")), QemuCommandLine.Build(golden.Machine, facts, CapabilitySets.Get("qemu-7.2")));
    }
}
