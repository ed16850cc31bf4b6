using KvmPortal.Host.Qemu;
using Microsoft.Extensions.Logging.Abstractions;

namespace KvmPortal.Host.Tests.Qemu;

/// <summary>The QEMU of this machine, probed once for all tests.</summary>
internal static class InstalledQemu
{
    private static readonly Lazy<Task<QemuCapabilities>> Probed = new(async () =>
    {
        using var folder = new ScratchFolder();
        return await new QemuProbe("qemu-system-x86_64", folder.Path, NullLogger.Instance).ProbeAsync(CancellationToken.None)
            ?? throw new InvalidOperationException("These tests need qemu-system-x86_64, 7.2 or newer.");
    });

    public static Task<QemuCapabilities> CapabilitiesAsync() => Probed.Value;
}

/// <summary>A folder that is gone after the test; its path is short enough for sockets.</summary>
internal sealed class ScratchFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("kp-").FullName;

    public string In(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
