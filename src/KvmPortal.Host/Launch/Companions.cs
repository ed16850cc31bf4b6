using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Launch;

/// <summary>swtpm, the companion of a machine with a TPM: one per run, ends with QEMU by itself (`--terminate`).</summary>
internal static class SoftwareTpm
{
    public static IReadOnlyList<string> Argv(MachinePaths paths) =>
        ["swtpm", "socket", "--tpm2", "--tpmstate", $"dir={paths.TpmState}", "--ctrl", Control(paths), "--seccomp", "action=kill", "--terminate"];

    /// <summary>What stands behind `--ctrl`; no other process has it.</summary>
    public static string Control(MachinePaths paths) => $"type=unixio,path={paths.TpmSocket},mode=0600";

    /// <summary>Waits until its control socket takes connections. Throws LaunchFailed.</summary>
    public static async Task WaitAsync(QemuProcess process, MachinePaths paths, CancellationToken ct)
    {
        for (var i = 0; i < 500 && !process.HasEnded; i++)
        {
            if (File.Exists(paths.TpmSocket))
                return;
            await Task.Delay(5, ct);
        }

        throw new HostException(HostError.LaunchFailed, "The software TPM (swtpm) did not start.") { StderrTail = StderrTail.Read(paths.TpmLog), Hint = "Are the packages swtpm and swtpm-tools installed?" };
    }
}

/// <summary>The last lines that a program wrote.</summary>
internal static class StderrTail
{
    private const int MostBytes = 8 * 1024;
    private const int MostLines = 20;

    /// <summary>Reads at most the last 8 KiB; control characters are dropped, because what QEMU prints may come from a guest.</summary>
    public static IReadOnlyList<string> Read(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            file.Seek(Math.Max(0, file.Length - MostBytes), SeekOrigin.Begin);
            using var reader = new StreamReader(file);
            return [.. reader.ReadToEnd().Split('\n').Select(line => new string([.. line.Where(c => !char.IsControl(c))])).Where(line => line.Length > 0).TakeLast(MostLines)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
