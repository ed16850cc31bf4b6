namespace KvmPortal.Host;

/// <summary>Settings of the host room (section <c>Host</c>). Paths are absolute once the portal has started.</summary>
public sealed record HostOptions
{
    /// <summary>The data directory; disks, images and machine state live below it.</summary>
    public required string DataRoot { get; init; }

    /// <summary>Sockets and pid files. Default: a short folder below /run/kvmportal that is unique to the data directory.</summary>
    public required string RunRoot { get; init; }

    /// <summary>The QEMU system emulator; looked up in PATH when it has no slash.</summary>
    public string QemuBinary { get; init; } = "qemu-system-x86_64";

    /// <summary>Host folders from which image files may be registered. Empty: none.</summary>
    public IReadOnlyList<string> ImageFolders { get; init; } = [];

    /// <summary>Seconds that the tiny guest of the KVM proof may take.</summary>
    public int KvmProofSeconds { get; init; } = 5;

    /// <summary>Who starts machines: null decides by the host (systemd where it is the first process), true always systemd, false always the portal's own chain.</summary>
    public bool? Systemd { get; init; }

    /// <summary>Measures of confinement (<see cref="Contract.Measures"/>) without which no machine starts.</summary>
    public IReadOnlyList<string> RequiredMeasures { get; init; } = [Contract.Measures.NoNewPrivileges, Contract.Measures.Seccomp];

    /// <summary>Where the kernel's files are that host settings and the inventory are about; tests give a tree of their own.</summary>
    internal string KernelRoot { get; init; } = "/";

    /// <summary>Largest image that may be uploaded or registered, GiB.</summary>
    public int MaxImageGiB { get; init; } = 256;
}
