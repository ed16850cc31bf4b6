using System.Text.Json;
using System.Text.Json.Serialization;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Faults.Tests;

internal sealed record FoundJob(Guid Target, long Seq, string Kind, JobState State, DateTimeOffset? StartedAt, DateTimeOffset? EndedAt, string? Error, string? Hint, string Steps);

/// <param name="Stored">The state in the row.</param>
/// <param name="Shown">The state that people see.</param>
internal sealed record FoundVm(Guid Id, string Name, VmState Stored, VmState Shown, string? SuspendPath, bool HasRunning, bool Placed);

internal sealed record FoundDisk(Guid Vm, string Path, bool Ready);

internal sealed record FoundImage(Guid Id, string? Path, ImageState State);

/// <param name="Journal">What was there before is kept.</param>
internal sealed record FoundPreparation(Guid Id, HostSetting Setting, PreparationState State, bool Journal);

/// <param name="Machine">The machine whose QEMU it is; null for anything else (swtpm, qemu-img, …).</param>
internal sealed record FoundProcess(int Pid, Guid? Machine, string Command);

/// <summary>What database, files and processes say after a recovery.</summary>
internal sealed record Findings
{
    public static readonly JsonSerializerOptions Json = new() { WriteIndented = true, Converters = { new JsonStringEnumConverter() } };

    public required IReadOnlyList<FoundJob> Jobs { get; init; }
    public required IReadOnlyList<FoundVm> Vms { get; init; }
    public required IReadOnlyList<FoundDisk> Disks { get; init; }
    /// <summary>Machines that hold something of the host, by the ledger.</summary>
    public required IReadOnlyList<Guid> Holders { get; init; }
    public required IReadOnlyList<FoundImage> Images { get; init; }
    /// <summary>Those that are in force or on their way.</summary>
    public required IReadOnlyList<FoundPreparation> Preparations { get; init; }
    /// <summary>The kernel's files that settings are about.</summary>
    public required IReadOnlyDictionary<string, string> Kernel { get; init; }
    public required int Journals { get; init; }
    /// <summary>Everything below disks, images, machines and the run folder; folders end in a slash.</summary>
    public required IReadOnlyList<string> Files { get; init; }
    public required IReadOnlyList<FoundProcess> Processes { get; init; }

    public static async Task<Findings> TakeAsync(FaultPortal portal)
    {
        var shown = (await portal.Tracker.AllAsync(default)).ToDictionary(v => v.Id, v => v.Status.State);
        return await portal.Store.ReadAsync(async db => new Findings
        {
            Jobs = [.. (await db.Jobs.OrderBy(j => j.Seq).ToListAsync()).Select(j => new FoundJob(j.TargetId, j.Seq, JobKinds.Of(j.Intent), j.State, j.StartedAt, j.EndedAt, j.Error?.Detail?.Text ?? j.Error?.Title.Text,
                j.Error?.Hint?.Text, string.Join(", ", j.Plan.Steps.Select(s => $"{s.Kind}:{s.State}"))))],
            Vms = [.. (await db.Vms.ToListAsync()).Select(v => new FoundVm(v.Id.Value, v.Name, v.State, shown.GetValueOrDefault(v.Id, VmState.Unknown), v.SuspendPath, v.RunningDefinition is not null, v.Profile != "general"))],
            Disks = [.. (await db.Disks.ToListAsync()).Select(d => new FoundDisk(d.VmId.Value, d.Path, d.Ready))],
            Holders = [.. (await db.Reservations.ToListAsync()).Select(r => r.VmId.Value)],
            Images = [.. (await db.Images.ToListAsync()).Select(i => new FoundImage(i.Id.Value, i.Path, i.State))],
            Preparations = [.. (await db.HostPreparations.Where(p => p.State != PreparationState.Restored).ToListAsync()).Select(p => new FoundPreparation(p.Id.Value, p.Setting, p.State, File.Exists(Path.Combine(JournalsOf(portal.Folder), $"{p.Id.Value:N}.json"))))],
            Kernel = KernelTree.Read(portal.Folder.Kernel),
            Journals = Directory.Exists(JournalsOf(portal.Folder)) ? Directory.GetFiles(JournalsOf(portal.Folder)).Length : 0,
            Files = [.. FilesOf(portal.Folder)],
            Processes = [.. ProcessesOf(portal.Folder)],
        }, default);
    }

    /// <summary>Findings in which nothing disagrees; after some seconds as they are.</summary>
    public static async Task<Findings> SettledAsync(FaultPortal portal)
    {
        for (var i = 0; ; i++)
        {
            var found = await TakeAsync(portal);
            if (i == 100 || Invariants.Disagreements(found, portal.Folder).Count == 0)
                return found;
            await Task.Delay(50);
        }
    }

    private static string JournalsOf(RunFolder folder) => Path.Combine(folder.Data, "host", "settings");

    private static IEnumerable<string> FilesOf(RunFolder folder)
    {
        foreach (var top in (string[])[Path.Combine(folder.Data, "disks"), Path.Combine(folder.Data, "images"), Path.Combine(folder.Data, "machines"), folder.Run])
            if (Directory.Exists(top))
                foreach (var entry in Directory.EnumerateFileSystemEntries(top, "*", new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true, AttributesToSkip = 0, MaxRecursionDepth = 3 }).Order(StringComparer.Ordinal))
                    yield return Directory.Exists(entry) ? entry + "/" : entry;
    }

    /// <summary>All processes that have a path of this run on their command line, except the portal itself.</summary>
    private static IEnumerable<FoundProcess> ProcessesOf(RunFolder folder)
    {
        foreach (var entry in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(entry), out var pid) || pid == Environment.ProcessId)
                continue;
            string[] arguments;
            try
            {
                arguments = File.ReadAllText(Path.Combine(entry, "cmdline")).Split('\0');
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                continue;
            }

            if (!arguments.Any(a => a.Contains(folder.Root + "/", StringComparison.Ordinal)))
                continue;
            var pidFile = Array.IndexOf(arguments, "-pidfile") is >= 0 and var at ? arguments[at + 1] : null;
            Guid? machine = pidFile is not null && Guid.TryParseExact(Path.GetFileName(Path.GetDirectoryName(pidFile)), "N", out var id) ? id : null;
            yield return new FoundProcess(pid, machine, string.Join(' ', arguments.Take(6)));
        }
    }
}
