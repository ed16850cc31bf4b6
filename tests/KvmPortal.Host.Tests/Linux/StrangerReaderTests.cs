using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Tests.Qemu;

namespace KvmPortal.Host.Tests.Linux;

/// <summary>Guests that are none of ours, in a pretended /proc.</summary>
public sealed class StrangerReaderTests
{
    [Fact]
    public void A_QEMU_and_a_KVM_user_are_strangers_and_nobody_else_is()
    {
        using var folder = new ScratchFolder();
        Process(folder, 10, "/usr/bin/qemu-system-x86_64", ppid: 1, uid: 500, "qemu-system-x86_64", "-name", "web,process=\u001b[31mevil", "-m", "64");
        Process(folder, 11, "/usr/bin/firecracker", ppid: 1, uid: 0, "firecracker").Kvm();
        Process(folder, 12, "/usr/bin/bash", ppid: 1, uid: 0, "bash");
        // Ours: a machine, a child that is just being started, and a question to QEMU's abilities.
        Process(folder, 13, "/usr/bin/qemu-system-x86_64", ppid: 1, uid: 61000, "qemu-system-x86_64");
        Process(folder, 14, "/usr/bin/qemu-system-x86_64", ppid: 99, uid: 0, "qemu-system-x86_64");
        Process(folder, 15, "/usr/bin/qemu-system-x86_64", ppid: 1, uid: 0, "qemu-system-x86_64", "-machine", "none,accel=kvm");
        Directory.CreateDirectory(folder.In("proc/self-made"));
        var found = new StrangerReader(new HostPaths(folder.Path)).Read(portal: 99, own: new HashSet<int> { 13 });
        Assert.Equal(
            [new Stranger(10, 4242, StrangerKind.Qemu, "/usr/bin/qemu-system-x86_64", 500, "web,process=?[31mevil"), new Stranger(11, 4242, StrangerKind.KvmUser, "/usr/bin/firecracker", 0, null)],
            found);
    }

    [Fact]
    public void The_real_proc_can_be_read() => Assert.DoesNotContain(new StrangerReader(new HostPaths()).Read(Environment.ProcessId, new HashSet<int>()), s => s.Pid == Environment.ProcessId);

    private static Fake Process(ScratchFolder folder, int pid, string exe, int ppid, int uid, params string[] words)
    {
        var at = folder.In($"proc/{pid}");
        Directory.CreateDirectory(Path.Combine(at, "fd"));
        File.CreateSymbolicLink(Path.Combine(at, "exe"), exe);
        File.WriteAllText(Path.Combine(at, "cmdline"), string.Join('\0', words) + "\0");
        File.WriteAllText(Path.Combine(at, "stat"), $"{pid} (a (b) c) S {ppid} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0");
        File.WriteAllText(Path.Combine(at, "status"), $"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
        return new Fake(at);
    }

    private sealed record Fake(string At)
    {
        public void Kvm() => File.CreateSymbolicLink(Path.Combine(At, "fd", "7"), "anon_inode:kvm-vm");
    }
}
