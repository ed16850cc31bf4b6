namespace KvmPortal.Host.Qemu;

/// <summary>What the installed QEMU can do, as far as the command line depends on it. Probed (see <see cref="QemuProbe"/>), never guessed from a version alone.</summary>
internal sealed record QemuCapabilities
{
    /// <summary>Absolute path of the binary.</summary>
    public required string Binary { get; init; }
    /// <summary>major.minor.micro.</summary>
    public required Version Version { get; init; }
    /// <summary>What `q35` is an alias of, e.g. pc-q35-7.2; null when the machine is missing.</summary>
    public string? Q35Machine { get; init; }
    public bool Microvm { get; init; }
    /// <summary>`aio=io_uring` is compiled in and the kernel lets us use it.</summary>
    public bool IoUring { get; init; }
    /// <summary>`aio=native` is compiled in.</summary>
    public bool NativeAio { get; init; }
    /// <summary>The queues of a virtio disk can be mapped to several I/O threads (`iothread-vq-mapping`, QEMU 9.0).</summary>
    public bool QueueMapping { get; init; }
    /// <summary>Device models that exist.</summary>
    public required IReadOnlySet<string> Devices { get; init; }
    /// <summary>OVMF code and variable templates; null where not installed.</summary>
    public FirmwareFiles? Uefi { get; init; }
    /// <summary>The same with Secure Boot keys enrolled.</summary>
    public FirmwareFiles? SecureBoot { get; init; }
    public bool Tpm { get; init; }
}

/// <param name="Code">Read-only code image.</param>
/// <param name="Variables">Template of the variables; each machine gets its own copy.</param>
internal sealed record FirmwareFiles(string Code, string Variables);
