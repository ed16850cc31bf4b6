namespace KvmPortal.Host.Contract;

public enum StrangerKind
{
    /// <summary>A QEMU that this portal's host room did not start, whatever its accelerator.</summary>
    Qemu,
    /// <summary>Another program that runs a guest on KVM.</summary>
    KvmUser,
}

/// <summary>A process that runs a guest on this host and is none of the portal's machines. Shown, never ended.</summary>
/// <param name="Program">Path of its executable, as the kernel says it.</param>
/// <param name="Name">Name or UUID that its command line gives the guest; null when it gives none. Untrusted text of at most 128 characters.</param>
/// <param name="StartTicks">With the pid it names one process for ever (proc(5), field 22 of stat).</param>
public sealed record Stranger(int Pid, long StartTicks, StrangerKind Kind, string Program, int Uid, string? Name);
