namespace KvmPortal.Host.Contract;

/// <summary>What a host is and can do, read through a replaceable root. Later issues add sections; nothing here has a side effect.</summary>
public sealed record HostFacts
{
    public required string HostName { get; init; }
    public required string KernelVersion { get; init; }
    public required string OsName { get; init; }
    /// <summary>Kernel's boot id: changes with each host boot.</summary>
    public required string BootId { get; init; }
    public required CpuFacts Cpu { get; init; }
    public required MemoryFacts Memory { get; init; }
    public required KvmFacts Kvm { get; init; }
    public required QemuFacts Qemu { get; init; }
    /// <summary>Free and total bytes of the file system that holds disks and images.</summary>
    public required StorageFacts Storage { get; init; }
    /// <summary>Where this host keeps things; absolute paths.</summary>
    public required HostFolders Folders { get; init; }
    /// <summary>True for the simulated host: nothing here is real.</summary>
    public bool Simulated { get; init; }
}

/// <param name="Run">Sockets and pid files, one folder per machine; short, because a unix socket path ends at 107 bytes.</param>
/// <param name="State">What outlives a run: firmware variables, TPM state, saved state, logs; one folder per machine.</param>
/// <param name="Disks">Disk files.</param>
/// <param name="Images">Image store; files are read-only.</param>
public sealed record HostFolders(string Run, string State, string Disks, string Images);

public sealed record CpuFacts(string Model, string Vendor, int OnlineCount, string Architecture);

public sealed record MemoryFacts(long TotalMiB, long AvailableMiB);

public sealed record StorageFacts(string Path, long TotalBytes, long FreeBytes);

/// <summary>Whether a guest was <em>proven</em> to run on KVM on this host boot, not whether /dev/kvm opens.</summary>
public enum KvmVerdict
{
    /// <summary>Not tried yet since the host booted.</summary>
    Unproven,
    /// <summary>A tiny 64-bit guest ran to its end on KVM.</summary>
    Works,
    /// <summary>/dev/kvm is there but the tiny guest hung, crashed or was refused.</summary>
    Broken,
    /// <summary>No usable /dev/kvm.</summary>
    Absent,
}

/// <summary><paramref name="Evidence"/> is one sentence that says what was tried and what was seen.</summary>
public sealed record KvmFacts(KvmVerdict Verdict, string Evidence, DateTimeOffset? ProvenAt);

/// <summary>Summary of the installed QEMU for people; the argv builder uses <c>QemuCapabilities</c>. Null strings: not installed.</summary>
public sealed record QemuFacts
{
    public string? Version { get; init; }
    public string? Path { get; init; }
    /// <summary>What `machine: q35` resolves to today, e.g. pc-q35-7.2.</summary>
    public string? Q35Machine { get; init; }
    public bool IoUring { get; init; }
    public bool UefiAvailable { get; init; }
    public bool SecureBootAvailable { get; init; }
    public bool TpmAvailable { get; init; }
    public bool MicrovmAvailable { get; init; }
    /// <summary>The queues of one disk can be served by several I/O threads.</summary>
    public bool QueueMapping { get; init; }
}
