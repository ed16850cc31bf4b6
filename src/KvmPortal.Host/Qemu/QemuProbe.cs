using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Qmp;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Host.Qemu;

/// <summary>
/// Asks the installed QEMU what it can do: once for each binary, known by its digest. The answer is kept on disk, so a restart of the portal costs nothing.
/// </summary>
internal sealed partial class QemuProbe(string binary, string cacheFolder, ILogger logger)
{
    private static readonly Version Oldest = new(7, 2);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly SemaphoreSlim probing = new(1, 1);
    private (long Length, DateTime Written) seen;
    private QemuCapabilities? known;
    private const int MostModels = 1000;
    private readonly ConcurrentDictionary<(QemuCapabilities, Accelerator), IReadOnlyList<CpuModelFacts>> models = new();

    /// <summary>Null where QEMU is not installed or too old; asks again when the file has changed.</summary>
    public async Task<QemuCapabilities?> ProbeAsync(CancellationToken ct)
    {
        if (Find(binary) is not { } path)
            return null;
        var file = new FileInfo(path);
        if (known is not null && seen == (file.Length, file.LastWriteTimeUtc))
            return known;
        await probing.WaitAsync(ct);
        try
        {
            if (known is not null && seen == (file.Length, file.LastWriteTimeUtc))
                return known;
            var stamp = $"2|{path}|{file.Length}|{file.LastWriteTimeUtc.Ticks}";
            var basics = ReadCache(stamp) ?? await AskAsync(path, stamp, ct);
            seen = (file.Length, file.LastWriteTimeUtc);
            return known = basics.Version >= Oldest ? WithHostFiles(basics, path) : null;
        }
        catch (Exception e) when (e is HostException or IOException or System.ComponentModel.Win32Exception)
        {
            logger.LogError(e, "QEMU at {Path} could not be asked what it can do.", path);
            return null;
        }
        finally
        {
            probing.Release();
        }
    }

    /// <summary>The binary's absolute path; null when it is not there.</summary>
    public static string? Find(string binary) => binary.Contains('/', StringComparison.Ordinal)
        ? File.Exists(binary) ? Path.GetFullPath(binary) : null
        : new[] { "/usr/local/bin", "/usr/bin", "/usr/libexec", "/usr/local/sbin", "/usr/sbin" }.Select(f => Path.Combine(f, binary)).FirstOrDefault(File.Exists);

    /// <summary>What depends on the binary alone, as kept on disk.</summary>
    internal sealed record Basics(string Stamp, string Digest, Version Version, string? Q35Machine, bool Microvm, bool IoUring, bool QueueMapping, bool NativeAio, string[] Devices);

    private Basics? ReadCache(string stamp)
    {
        try
        {
            var kept = JsonSerializer.Deserialize<Basics>(File.ReadAllText(CacheFile));
            return kept?.Stamp == stamp ? kept : null;
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>A QEMU that has it on its command line was asked for its capabilities by this portal.</summary>
    public string PidFile => Path.Combine(cacheFolder, "probe.pid");

    private string CacheFile => Path.Combine(cacheFolder, "qemu-capabilities.json");

    private async Task<Basics> AskAsync(string path, string stamp, CancellationToken ct)
    {
        string digest;
        await using (var file = File.OpenRead(path))
            digest = Convert.ToHexStringLower(await SHA256.HashDataAsync(file, ct));
        Directory.CreateDirectory(cacheFolder);
        var basics = await OnQmpAsync(path, "tcg", async (qmp, deadline) =>
        {
            var version = (await qmp.ExecuteAsync("query-version", null, Patience, deadline)).GetProperty("qemu");
            var machines = await qmp.ExecuteAsync("query-machines", null, Patience, deadline);
            var devices = await qmp.ExecuteAsync("qom-list-types", new { Implements = "device", Abstract = false }, Patience, deadline);
            var schema = await qmp.ExecuteAsync("query-qmp-schema", null, Patience, deadline);
            var disk = await qmp.ExecuteAsync("device-list-properties", new { Typename = "virtio-blk-pci" }, Patience, deadline);
            return new Basics(stamp, digest, new Version(version.GetProperty("major").GetInt32(), version.GetProperty("minor").GetInt32(), version.GetProperty("micro").GetInt32()),
                Alias(machines, "q35"), machines.EnumerateArray().Any(m => m.GetProperty("name").GetString() == "microvm"), schema.GetRawText().Contains("\"io_uring\"", StringComparison.Ordinal),
                disk.EnumerateArray().Any(p => p.GetProperty("name").GetString() == "iothread-vq-mapping"), await HasNativeAioAsync(qmp, deadline),
                [.. devices.EnumerateArray().Select(d => d.GetProperty("name").GetString()!).Order(StringComparer.Ordinal)]);
        }, ct);
        await File.WriteAllTextAsync(CacheFile, JsonSerializer.Serialize(basics), ct);
        return basics;
    }

    /// <summary>The CPU models of this QEMU, and what each lacks with an accelerator; asked once. Throws Missing without QEMU, and what QEMU says where the accelerator does not open.</summary>
    public async Task<IReadOnlyList<CpuModelFacts>> CpuModelsAsync(Accelerator accelerator, CancellationToken ct)
    {
        if (await ProbeAsync(ct) is not { } qemu)
            throw new HostException(HostError.Missing, "QEMU is not installed on this host, or older than 7.2.") { Hint = "Install the package qemu-system-x86." };
        if (models.TryGetValue((qemu, accelerator), out var known))
            return known;
        Directory.CreateDirectory(cacheFolder);
        var found = await OnQmpAsync(qemu.Binary, accelerator == Accelerator.Kvm ? "kvm" : "tcg", async (qmp, deadline) => await qmp.ExecuteAsync("query-cpu-definitions", null, Patience, deadline), ct);
        return models[(qemu, accelerator)] = [.. found.EnumerateArray().Take(MostModels).Where(m => !m.TryGetProperty("alias-of", out _)).Select(m => new CpuModelFacts(
            m.GetProperty("name").GetString()!, m.TryGetProperty("unavailable-features", out var missing) ? [.. missing.EnumerateArray().Select(f => f.GetString()!).Distinct()] : [],
            m.TryGetProperty("deprecated", out var deprecated) && deprecated.GetBoolean())).OrderBy(m => m.Name, StringComparer.Ordinal)];
    }

    /// <summary>Asks a QEMU without a machine, which is ended afterwards.</summary>
    private async Task<T> OnQmpAsync<T>(string path, string accelerator, Func<QmpClient, CancellationToken, Task<T>> ask, CancellationToken ct)
    {
        var info = new ProcessStartInfo(path) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])["-machine", "none", "-accel", accelerator, "-nodefaults", "-no-user-config", "-display", "none", "-S", "-qmp", "stdio", "-pidfile", PidFile])
            info.ArgumentList.Add(argument);
        using var process = Process.Start(info) ?? throw new HostException(HostError.LaunchFailed, "QEMU could not be started.");
        try
        {
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
            deadline.CancelAfter(Patience);
            await using var qmp = await QmpClient.OpenAsync(new StandardStreams(process), null, deadline.Token);
            return await ask(qmp, deadline.Token);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill();
            await process.WaitForExitAsync(CancellationToken.None);
        }
    }

    /// <summary>Linux AIO may have been left out of the build, which the schema does not say: an attempt does.</summary>
    private async Task<bool> HasNativeAioAsync(QmpClient qmp, CancellationToken ct)
    {
        var file = Path.Combine(cacheFolder, "probe.raw");
        try
        {
            await File.WriteAllBytesAsync(file, new byte[4096], ct);
            await qmp.ExecuteAsync("blockdev-add", new { Driver = "file", NodeName = "probe", Filename = file, Aio = "native", Cache = new { Direct = true } }, Patience, ct);
            return true;
        }
        catch (HostException)
        {
            return false;
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static string? Alias(JsonElement machines, string alias) => machines.EnumerateArray()
        .Where(m => m.TryGetProperty("alias", out var a) && a.GetString() == alias).Select(m => m.GetProperty("name").GetString()).FirstOrDefault();

    /// <summary>Adds what lies beside QEMU on the host and may change without it.</summary>
    private static QemuCapabilities WithHostFiles(Basics b, string path) => new()
    {
        Binary = path,
        Version = b.Version,
        Q35Machine = b.Q35Machine,
        Microvm = b.Microvm,
        IoUring = b.IoUring && IoUringAllowed(),
        NativeAio = b.NativeAio,
        QueueMapping = b.QueueMapping,
        Devices = b.Devices.ToHashSet(StringComparer.Ordinal),
        Uefi = First(("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"), ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"), ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd")),
        SecureBoot = First(("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"), ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd")),
        Tpm = Find("swtpm") is not null && b.Devices.Contains("tpm-crb"),
    };

    private static FirmwareFiles? First(params (string Code, string Variables)[] places) =>
        places.Where(p => File.Exists(p.Code) && File.Exists(p.Variables)).Select(p => new FirmwareFiles(p.Code, p.Variables)).FirstOrDefault();

    /// <summary>
    /// Asks the kernel for a ring with no parameters: EFAULT says that it looked at them; ENOSYS, EPERM (kernel.io_uring_disabled, a container's seccomp
    /// filter) that it never would.
    /// </summary>
    private static bool IoUringAllowed()
    {
        const long setup = 425;
        const int badAddress = 14;
        return SystemCall(setup, 1, 0) == -1 && Marshal.GetLastPInvokeError() == badAddress;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long SystemCall(long number, nint entries, nint parameters);

    /// <summary>A process's stdin and stdout as one stream.</summary>
    private sealed class StandardStreams(Process process) : Stream
    {
        private readonly Stream input = process.StandardInput.BaseStream;
        private readonly Stream output = process.StandardOutput.BaseStream;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
        public override void Flush() => input.Flush();
        public override int Read(byte[] buffer, int offset, int count) => output.Read(buffer, offset, count);
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => output.ReadAsync(buffer, cancellationToken);
        public override void Write(byte[] buffer, int offset, int count) => input.Write(buffer, offset, count);
        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await input.WriteAsync(buffer, cancellationToken);
            await input.FlushAsync(cancellationToken);
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
