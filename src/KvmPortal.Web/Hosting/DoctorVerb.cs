using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Host;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Hosts;
using Microsoft.Extensions.Logging.Abstractions;

namespace KvmPortal.Web.Hosting;

/// <summary>`doctor [--root DIR] [--json] [--purpose NAME] [--data DIR]`: the readiness report in the terminal, without a portal.</summary>
internal static class DoctorVerb
{
    private const string Usage = "Usage: doctor [--root DIR] [--json] [--purpose NAME] [--data DIR]. It ends with 0: ready, 1: works but …, 3: missing, 4: cannot know (of the purpose, ordinary-vms by itself), 2: wrong use.";

    /// <summary>Whether the program was started for this.</summary>
    public static bool Asked(string[] args) => args is ["doctor", ..];

    /// <summary>Returns the exit code. Throws <see cref="PortalException"/> with what to say.</summary>
    public static async Task<int> RunAsync(string[] args)
    {
        var (root, data, json, purpose) = Read(args);
        var report = root is not null ? Captured(root) : await HereAsync(data);
        if (json)
            await Console.Out.WriteLineAsync(JsonSerializer.Serialize(ReadinessResponse.From(report), PortalJson.Options));
        else
            await WriteAsync(report, Console.Out);
        return report.Purposes.Single(p => p.Purpose == purpose).Verdict switch
        {
            Verdict.Ready => 0,
            Verdict.WorksBut => 1,
            Verdict.Missing => 3,
            Verdict.Unknown => 4,
        };
    }

    private static ReadinessReport Captured(string root) => Doctor.Examine(new ReadinessInput(LinuxMachineHost.ReadInventory(root), null, null, null));

    /// <summary>This host, with the proof of KVM where this boot has none yet. Leaves nothing behind where there is no data directory.</summary>
    private static async Task<ReadinessReport> HereAsync(string? data)
    {
        var own = data is not null && Directory.Exists(data) ? null : Directory.CreateTempSubdirectory("kvmportal-doctor-").FullName;
        try
        {
            var settings = PortalSettings.Read(new ConfigurationBuilder().SetBasePath(AppContext.BaseDirectory).AddJsonFile("appsettings.json", optional: true).AddEnvironmentVariables().AddInMemoryCollection([new("data", own ?? data)]).Build());
            await using var host = LinuxMachineHost.Create(settings.Host, TimeProvider.System, NullLoggerFactory.Instance);
            if ((await host.GetFactsAsync(default)).Kvm.Verdict == KvmVerdict.Unproven)
                await foreach (var _ in host.ApplyAsync(new ProveAccelerator(), default))
                {
                    // The verdict is in the facts.
                }

            return (await HostReadiness.LookAsync(host, settings.Engine.MachineUids, default)).Report;
        }
        finally
        {
            if (own is not null)
                Directory.Delete(own, recursive: true);
        }
    }

    private static async Task WriteAsync(ReadinessReport report, TextWriter to)
    {
        foreach (var purpose in report.Purposes)
            await to.WriteLineAsync($"{PortalJson.Text(purpose.Purpose),-22}{Word(purpose.Verdict),-14}{(purpose.Next.Count > 0 ? $"next: {string.Join(", ", purpose.Next.Take(4))}" : "")}".TrimEnd());
        foreach (var verdict in (Verdict[])[Verdict.Missing, Verdict.WorksBut, Verdict.Unknown, Verdict.Ready])
        {
            var checks = report.Checks.Where(c => c.Verdict == verdict).ToList();
            if (checks.Count > 0)
                await to.WriteLineAsync($"\n{Word(verdict).ToUpperInvariant()}");
            foreach (var check in checks)
            {
                await to.WriteLineAsync($"  {check.Id}: {check.Text.Text}");
                if (verdict == Verdict.Ready)
                    continue;
                await to.WriteLineAsync($"      {check.Meaning.Text}");
                foreach (var seen in check.Evidence)
                    await to.WriteLineAsync($"      seen  {seen.Source}: {seen.Content.ReplaceLineEndings(" ")}");
                foreach (var fix in check.Fixes)
                    await to.WriteLineAsync($"      {PortalJson.Text(fix.Kind),-15} {fix.Text.Text}{(fix.BootLine is { } line ? $"  {line}" : "")}");
            }
        }
    }

    private static string Word(Verdict verdict) => verdict switch
    {
        Verdict.Ready => "ready",
        Verdict.WorksBut => "works but …",
        Verdict.Missing => "missing",
        Verdict.Unknown => "cannot know",
    };

    private static (string? Root, string? Data, bool Json, Purpose Purpose) Read(string[] args)
    {
        (string? root, string? data, var json, var purpose) = (null, null, false, Purpose.OrdinaryVms);
        for (var i = 1; i < args.Length; i++)
        {
            var (name, value) = args[i].Split('=', 2) is [var n, var v] ? (n, v) : (args[i], null);
            if (name == "--json" && value is null)
            {
                json = true;
                continue;
            }

            value ??= i + 1 < args.Length ? args[++i] : throw new PortalException(ErrorCode.Malformed, Usage);
            switch (name)
            {
                case "--root":
                    root = Directory.Exists(value) ? Path.GetFullPath(value) : throw new PortalException(ErrorCode.Malformed, $"--root: there is no directory {value}.");
                    break;
                case "--data":
                    data = Path.GetFullPath(value);
                    break;
                case "--purpose":
                    purpose = Enum.GetValues<Purpose>().Cast<Purpose?>().FirstOrDefault(p => PortalJson.Text(p!.Value) == value || string.Equals($"{p}", value.Replace("-", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase))
                        ?? throw new PortalException(ErrorCode.Malformed, $"--purpose is one of {string.Join(", ", Enum.GetValues<Purpose>().Select(p => PortalJson.Text(p)))}.");
                    break;
                default:
                    throw new PortalException(ErrorCode.Malformed, $"There is no option {name}. {Usage}");
            }
        }

        return (root, data, json, purpose);
    }
}
