using System.Diagnostics;
using System.Text.Json;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Qemu;

/// <summary>
/// Proves KVM by running a tiny 64-bit guest to its end, once per boot of the host. An open /dev/kvm is no proof: in nested clouds it opens, and real
/// guests hang or die on it.
/// </summary>
internal sealed class KvmProof(string stateFolder, TimeSpan patience, TimeProvider time)
{
    /// <summary>QEMU's exit code when the guest wrote 42 to isa-debug-exit: (42 &lt;&lt; 1) | 1.</summary>
    public const int Success = 85;

    /// <summary>
    /// The guest, as firmware at F000:0000. It sets protected mode, builds one 2 MiB identity page (PML4 at 0x1000, PDPT at 0x2000, PD at 0x3000), switches
    /// PAE, EFER.LME and paging on, jumps into 64-bit code, computes 0x0123456789ABCDEF xor its own rotation by 32, compares with 0x8888888888888888 and only
    /// then writes 42 to port 0x501; otherwise it halts for ever.
    /// <code>
    ///  16-bit: cli; lgdt; cr0.PE=1; ljmp 8:prot        32-bit: ds=16; page tables; cr4.PAE=1; cr3=0x1000; EFER.LME=1; cr0.PG=1; ljmp 24:long
    ///  64-bit: movabs rax; mov rbx,rax; rol rbx,32; xor rax,rbx; cmp; jne halt; mov dx,0x501; mov al,42; out dx,al; halt: hlt; jmp halt
    /// </code>
    /// </summary>
    private const string Guest =
        "fa2e660f0116b8000f20c00c010f22c066ea18000f00080066b810008ed8c7050010000003200000c7050020000003300000c70500300000830000000f20e00c200f22e0b8001000000f22d8b9800000c00f3280cc01" +
        "0f300f20c00d000000800f22c0ea6a000f00180048b8efcdab89674523014889c348c1c3204831d848bb88888888888888884839d8750766ba0105b02aeef4ebfd900000000000000000ffff0000009acf00ffff0000" +
        "0092cf00ffff0000009aaf001f0098000f00";

    private readonly SemaphoreSlim proving = new(1, 1);
    private KvmFacts? verdict;

    /// <summary>What is known, without trying.</summary>
    public KvmFacts Known(string bootId)
    {
        if (verdict is not null)
            return verdict;
        try
        {
            var kept = JsonSerializer.Deserialize<Kept>(File.ReadAllText(VerdictFile));
            if (kept?.BootId == bootId)
                return verdict = kept.Facts;
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            // Nothing is known yet.
        }

        return new KvmFacts(KvmVerdict.Unproven, "Nobody has tried yet since the host booted.", null);
    }

    /// <summary>Tries, unless there is a verdict of this boot already.</summary>
    public async Task<KvmFacts> ProveAsync(string qemu, string bootId, bool again, CancellationToken ct)
    {
        await proving.WaitAsync(ct);
        try
        {
            if (!again && Known(bootId) is { Verdict: not KvmVerdict.Unproven } known)
                return known;
            verdict = await TryAsync(qemu, ct);
            Directory.CreateDirectory(stateFolder);
            await File.WriteAllTextAsync(VerdictFile, JsonSerializer.Serialize(new Kept(bootId, verdict)), ct);
            return verdict;
        }
        finally
        {
            proving.Release();
        }
    }

    /// <summary>Runs the guest on an accelerator; used with tcg by the tests to show that the guest itself is right.</summary>
    internal async Task<(int? ExitCode, string Stderr)> RunGuestAsync(string qemu, string accelerator, CancellationToken ct)
    {
        var image = new byte[64 * 1024];
        Convert.FromHexString(Guest).CopyTo(image, 0);
        // The reset vector F000:FFF0 jumps to F000:0000.
        new byte[] { 0xEA, 0x00, 0x00, 0x00, 0xF0 }.CopyTo(image, 0xFFF0);
        var bios = GuestFile;
        Directory.CreateDirectory(stateFolder);
        await File.WriteAllBytesAsync(bios, image, ct);
        var info = new ProcessStartInfo(qemu) { RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in (string[])["-machine", "pc", "-accel", accelerator, "-cpu", "max", "-m", "4", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                     "-bios", bios, "-device", "isa-debug-exit,iobase=0x501,iosize=2"])
            info.ArgumentList.Add(argument);
        using var process = Process.Start(info)!;
        try
        {
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
            deadline.CancelAfter(patience);
            var stderr = process.StandardError.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            return (process.ExitCode, await stderr);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return (null, "");
        }
        finally
        {
            if (!process.HasExited)
                process.Kill();
            await process.WaitForExitAsync(CancellationToken.None);
            File.Delete(bios);
        }
    }

    private async Task<KvmFacts> TryAsync(string qemu, CancellationToken ct)
    {
        var now = time.GetUtcNow();
        if (!File.Exists("/dev/kvm"))
            return new KvmFacts(KvmVerdict.Absent, "The host has no /dev/kvm: its CPU or firmware offers no virtualisation, or the kvm module is not loaded.", now);
        var (code, stderr) = await RunGuestAsync(qemu, "kvm", ct);
        var words = stderr.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).FirstOrDefault() ?? "";
        var plain = words.Length > 200 ? words[..200] : words;
        return code switch
        {
            Success => new KvmFacts(KvmVerdict.Works, "A tiny 64-bit guest ran to its end on KVM.", now),
            null => new KvmFacts(KvmVerdict.Broken, $"/dev/kvm opens, but a tiny test guest did not finish on it within {patience.TotalSeconds:0} s.", now),
            _ => new KvmFacts(KvmVerdict.Broken, $"/dev/kvm is there, but a tiny test guest failed on it{(plain.Length > 0 ? $": {plain}" : $" (exit code {code})")}.", now),
        };
    }

    /// <summary>The guest as a file; a QEMU that has it on its command line belongs to a proof of this portal.</summary>
    public string GuestFile => Path.Combine(stateFolder, "kvm-proof.bin");

    private string VerdictFile => Path.Combine(stateFolder, "kvm-proof.json");

    private sealed record Kept(string BootId, KvmFacts Facts);
}
