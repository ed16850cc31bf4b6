using System.Globalization;
using System.Text.RegularExpressions;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>What a machine's name asks the simulated host to let go wrong; see <see cref="SimulatedMachineHost"/>.</summary>
internal sealed partial record NameScript(
    bool FailStart, bool SlowStart, bool IgnoreShutdown, bool Drift, TimeSpan? CrashAfter, TimeSpan? PanicAfter, TimeSpan? IoErrorAfter)
{
    public static NameScript Of(string name) => new(
        name.Contains("fail-start", StringComparison.OrdinalIgnoreCase),
        name.Contains("slow-start", StringComparison.OrdinalIgnoreCase),
        name.Contains("ignore-shutdown", StringComparison.OrdinalIgnoreCase),
        name.Contains("drift", StringComparison.OrdinalIgnoreCase),
        Seconds(name, "crash"), Seconds(name, "panic"), Seconds(name, "ioerror"));

    public static HostException StartFailure(MachineSpec spec) => new(HostError.LaunchFailed, $"QEMU did not start {spec.Name}: exit code 1.")
    {
        Hint = "Simulated: the machine's name contains fail-start.",
        ExitCode = 1,
        StderrTail =
        [
            $"qemu-system-x86_64: -m {spec.Memory.SizeMiB}M: cannot set up guest memory 'pc.ram': Cannot allocate memory",
        ],
    };

    private static TimeSpan? Seconds(string name, string word)
    {
        foreach (Match match in Timed().Matches(name))
            if (match.Groups[1].Value.Equals(word, StringComparison.OrdinalIgnoreCase))
                return TimeSpan.FromSeconds(int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture));
        return null;
    }

    [GeneratedRegex("(crash|panic|ioerror)-([0-9]{1,5})s", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Timed();
}
