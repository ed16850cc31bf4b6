using System.Globalization;
using System.Text;
using System.Threading.Channels;
using CliWrap;
using CliWrap.Exceptions;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Images;

/// <summary>Runs qemu-img with a list of arguments, never through a shell; a cancel kills it, and it is gone when the call returns.</summary>
internal static class QemuImg
{
    private const int MostStderr = 4096;

    /// <param name="percents">Gets 0..100 while it runs, when the arguments ask for `-p`.</param>
    public static async Task RunAsync(IReadOnlyList<string> arguments, ChannelWriter<double>? percents, CancellationToken ct)
    {
        var stderr = new StringBuilder();
        var command = Cli.Wrap("qemu-img").WithArguments(arguments).WithValidation(CommandResultValidation.ZeroExitCode)
            // Its words are read below and shown to people: not in the language of whoever started the portal.
            .WithEnvironmentVariables(e => e.Set("LC_ALL", "C"))
            .WithStandardErrorPipe(PipeTarget.ToDelegate(line =>
            {
                if (stderr.Length < MostStderr)
                    stderr.AppendLine(line);
            }))
            .WithStandardOutputPipe(percents is null ? PipeTarget.Null : PipeTarget.Create((stream, token) => ReadPercentsAsync(stream, percents, token)));
        try
        {
            await command.ExecuteAsync(ct);
        }
        catch (CommandExecutionException e)
        {
            var lines = stderr.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            var full = lines.Any(l => l.Contains("No space left", StringComparison.Ordinal) || l.Contains("quota exceeded", StringComparison.OrdinalIgnoreCase));
            throw new HostException(full ? HostError.NoRoom : HostError.LaunchFailed, $"qemu-img could not {arguments[0]} the disk: {lines.FirstOrDefault() ?? $"exit code {e.ExitCode}"}", e) { ExitCode = e.ExitCode, StderrTail = lines };
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new HostException(HostError.Missing, "qemu-img is not installed on this host.", e) { Hint = "Install the package qemu-utils." };
        }
    }

    /// <summary>`qemu-img -p` writes `    (12.34/100%)\r` over and over.</summary>
    private static async Task ReadPercentsAsync(Stream stream, ChannelWriter<double> percents, CancellationToken ct)
    {
        var buffer = new byte[1024];
        while (await stream.ReadAsync(buffer, ct) is > 0 and var read)
        {
            var text = Encoding.ASCII.GetString(buffer, 0, read);
            var end = text.LastIndexOf("/100%", StringComparison.Ordinal);
            var start = end < 0 ? -1 : text.LastIndexOf('(', end);
            if (start >= 0 && double.TryParse(text.AsSpan(start + 1, end - start - 1), NumberStyles.Float, CultureInfo.InvariantCulture, out var percent))
                percents.TryWrite(percent);
        }
    }
}
