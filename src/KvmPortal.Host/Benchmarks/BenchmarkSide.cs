using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Benchmarks;

/// <summary>A place where the workload runs: a process that speaks its lines, itself or from inside a guest. Stopped while the other place has its turn.</summary>
internal sealed class BenchmarkSide : IAsyncDisposable
{
    private const int Stop = 19, Continue = 18;
    private const int MostLine = 512;
    private static readonly TimeSpan RoundTime = TimeSpan.FromSeconds(120);
    private readonly Process process;
    private readonly Task<string> words;
    private readonly StringBuilder line = new();
    private readonly char[] buffer = new char[1024];
    private int at, filled;

    private BenchmarkSide(Process process)
    {
        this.process = process;
        words = TailAsync(process.StandardError);
    }

    public int Pid => process.Id;

    public static BenchmarkSide Start(string program, IEnumerable<string> arguments)
    {
        var info = new ProcessStartInfo(program) { RedirectStandardError = true, RedirectStandardInput = true, RedirectStandardOutput = true, WorkingDirectory = "/" };
        foreach (var argument in arguments)
            info.ArgumentList.Add(argument);
        try
        {
            return new BenchmarkSide(Process.Start(info)!);
        }
        catch (Win32Exception e)
        {
            throw new HostException(HostError.LaunchFailed, $"The benchmark could not be started: {e.Message}.", e) { Hint = "The file system of the data directory must allow programs (no noexec)." };
        }
    }

    public async Task ReadyAsync(TimeSpan patience, CancellationToken ct)
    {
        while (await LineAsync(patience, ct) != "KPB ready")
        {
        }
    }

    /// <param name="cpu">Null: wherever the scheduler puts it.</param>
    public async Task<LossRound> RoundAsync(int? cpu, long iterations, int mebibytes, CancellationToken ct)
    {
        await process.StandardInput.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"r {cpu ?? 9999} {iterations} {mebibytes}\n").AsMemory(), ct);
        await process.StandardInput.FlushAsync(ct);
        while (true)
        {
            var said = await LineAsync(RoundTime, ct);
            if (said == "KPB no memory")
                throw new HostException(HostError.NoRoom, "The benchmark found no memory for its buffer.");
            if (Parse(said) is { } round)
                return round;
        }
    }

    /// <summary>Null for other lines: a kernel writes on the console, too.</summary>
    internal static LossRound? Parse(string said)
    {
        var fields = said.Split(' ');
        if (fields is not ["KPB", "round", ..] || fields.Length != 8)
            return null;
        var numbers = new long[6];
        for (var i = 0; i < 6; i++)
            if (!long.TryParse(fields[i + 2], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out numbers[i]) || numbers[i] > 1L << 50)
                return null;
        return numbers[0] < 1 || numbers[1] < 1 || numbers[2] < 1 || numbers[3] < 0 || numbers[4] < 0 ? null
            : new LossRound(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5] < 1 ? null : numbers[5]);
    }

    /// <summary>It takes no CPU until <see cref="Resume"/>.</summary>
    public void Suspend() => Send(Stop);

    public void Resume() => Send(Continue);

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
            process.Kill();
        await process.WaitForExitAsync(CancellationToken.None);
        process.Dispose();
    }

    private void Send(int signal)
    {
        if (!process.HasExited)
            _ = NativeProcess.Kill(process.Id, signal);
    }

    private async Task<string> LineAsync(TimeSpan patience, CancellationToken ct)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(patience);
        try
        {
            while (true)
            {
                while (at < filled)
                {
                    var c = buffer[at++];
                    if (c is '\n' or '\r')
                    {
                        var whole = line.ToString();
                        line.Clear();
                        if (whole.Length > 0)
                            return whole;
                    }
                    else if (line.Length < MostLine)
                    {
                        line.Append(c);
                    }
                }

                (at, filled) = (0, await process.StandardOutput.ReadAsync(buffer.AsMemory(), deadline.Token));
                if (filled == 0)
                    throw await EndedAsync();
            }
        }
        catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
        {
            throw new HostException(HostError.Timeout, $"The benchmark said nothing for {patience.TotalSeconds:0} s.", e);
        }
    }

    private async Task<HostException> EndedAsync()
    {
        await process.WaitForExitAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(5));
        return new HostException(HostError.LaunchFailed, "The benchmark ended before it had measured.") { ExitCode = process.ExitCode, StderrTail = [.. (await words).Split('\n', StringSplitOptions.RemoveEmptyEntries).TakeLast(10).Select(l => PeerText.Clean(l, MostLine))] };
    }

    /// <summary>The last of what it says beside its lines, however much that is.</summary>
    private static async Task<string> TailAsync(StreamReader from)
    {
        var tail = new StringBuilder();
        var part = new char[1024];
        for (int got; (got = await from.ReadAsync(part)) > 0;)
        {
            tail.Append(part, 0, got);
            if (tail.Length > 8192)
                tail.Remove(0, tail.Length - 4096);
        }

        return tail.ToString();
    }
}
