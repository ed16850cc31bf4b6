namespace KvmPortal.Host.Contract;

/// <summary>Why a host refused or failed, as stable codes.</summary>
public enum HostError
{
    /// <summary>The machine is not running on this host.</summary>
    NotRunning,
    /// <summary>The machine, file or folder does not exist.</summary>
    NotFound,
    /// <summary>The host's policy forbids it (a folder that is not in the allowed list, …).</summary>
    NotAllowed,
    /// <summary>An image is not what it must be; the message names the trick or the damage.</summary>
    ImageRefused,
    /// <summary>The bytes received do not match the digest or length that was announced.</summary>
    DigestMismatch,
    /// <summary>Not enough memory, disk space or another resource.</summary>
    NoRoom,
    /// <summary>The host lacks a program, a device or a kernel feature.</summary>
    Missing,
    /// <summary>QEMU did not start; <see cref="HostException.ExitCode"/> and <see cref="HostException.StderrTail"/> carry its words.</summary>
    LaunchFailed,
    /// <summary>QEMU refused a command; <see cref="HostException.QmpClass"/> carries the class and the message its text.</summary>
    QmpFailed,
    /// <summary>The peer (QEMU, guest agent, qemu-img) did not answer in time.</summary>
    Timeout,
    /// <summary>The machine's state does not allow the step.</summary>
    WrongState,
    /// <summary>A resource (host port, file, name) is taken by something else.</summary>
    InUse,
}

/// <summary>A failure on a host with a message that may be shown to the user as it is.</summary>
public sealed class HostException : Exception
{
    public HostException(HostError error, string message, Exception? inner = null) : base(message, inner) => Error = error;

    /// <summary>The stable code.</summary>
    public HostError Error { get; }

    /// <summary>What the user can do about it; null when there is nothing to add.</summary>
    public string? Hint { get; init; }

    /// <summary>The QMP error class, when QEMU refused a command.</summary>
    public string? QmpClass { get; init; }

    /// <summary>Exit code of the program that failed.</summary>
    public int? ExitCode { get; init; }

    /// <summary>The last lines the program wrote to stderr.</summary>
    public IReadOnlyList<string> StderrTail { get; init; } = [];
}
