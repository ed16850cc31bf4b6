using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Faults.Tests;

internal enum Breach { Stuck, LostMachine, WrongState, Leak, Order }

internal sealed record Violation(Breach Breach, string Text);

/// <summary>What must be true after every recovery, whatever was killed where.</summary>
internal static class Invariants
{
    /// <summary>Where database, files and processes disagree.</summary>
    public static List<Violation> Disagreements(Findings found, RunFolder folder)
    {
        var wrong = new List<Violation>();
        foreach (var job in found.Jobs.Where(j => j.State is JobState.Queued or JobState.Running))
            wrong.Add(new(Breach.Stuck, $"{job.Kind} is {job.State}: {job.Steps}"));
        foreach (var vm in found.Vms)
        {
            var processes = found.Processes.Count(p => p.Machine == vm.Id);
            if (vm.Stored != vm.Shown)
                wrong.Add(new(Breach.WrongState, $"{vm.Name} is stored as {vm.Stored} but shown as {vm.Shown}"));
            if (processes != (HasProcess(vm.Shown) ? 1 : 0))
                wrong.Add(new(Breach.WrongState, $"{vm.Name} is {vm.Shown} but has {processes} QEMU"));
            if ((vm.SuspendPath is not null) != (vm.Shown == VmState.Suspended))
                wrong.Add(new(Breach.WrongState, $"{vm.Name} is {vm.Shown} but its saved state is recorded as {vm.SuspendPath ?? "none"}"));
            var saved = found.Files.Where(f => f.Contains($"/machines/{vm.Id:N}/suspend.state", StringComparison.Ordinal)).ToList();
            // The state itself, and what hardware it was saved from.
            if (vm.SuspendPath is { } path ? !saved.Order().SequenceEqual([path, path + ".hardware"]) : saved.Count > 0)
                wrong.Add(new(Breach.Leak, $"{vm.Name} is {vm.Shown}; files of saved state: {string.Join(' ', saved)}"));
            if (HasProcess(vm.Shown) && !vm.HasRunning)
                wrong.Add(new(Breach.WrongState, $"{vm.Name} runs, but what it runs is not recorded"));
        }

        foreach (var holder in found.Holders.Where(h => !found.Vms.Any(v => v.Id == h && HasProcess(v.Shown))))
            wrong.Add(new(Breach.Leak, $"{holder} holds CPUs by the ledger but does not run"));
        foreach (var vm in found.Vms.Where(v => v.Placed && HasProcess(v.Shown) && !found.Holders.Contains(v.Id)))
            wrong.Add(new(Breach.WrongState, $"{vm.Name} runs on cores of its own that the ledger does not know"));
        Settings(found, wrong);
        Files(found, folder, wrong);
        var runs = found.Vms.Where(v => HasProcess(v.Shown)).Select(v => v.Id).ToHashSet();
        foreach (var process in found.Processes.Where(p => p.Machine is { } id ? !runs.Contains(id) : !runs.Any(r => p.Command.Contains(r.ToString("N"), StringComparison.Ordinal))))
            wrong.Add(new(Breach.Leak, $"process {process.Pid} is nobody's: {process.Command}"));
        foreach (var entry in found.Files.Where(f => f.StartsWith(folder.Run + "/", StringComparison.Ordinal) && !runs.Any(r => f.Contains(r.ToString("N"), StringComparison.Ordinal))))
            wrong.Add(new(Breach.Leak, $"{entry} belongs to no machine that runs"));
        return wrong;
    }

    /// <summary>How the job's end fits to what was before and to what was asked.</summary>
    public static IEnumerable<Violation> OfOutcome(Scenario scenario, Findings before, Findings found)
    {
        var old = before.Jobs.Select(j => (j.Target, j.Seq)).ToHashSet();
        var jobs = found.Jobs.Where(j => !old.Contains((j.Target, j.Seq))).ToList();
        foreach (var job in jobs.Where(j => j.State is not (JobState.Queued or JobState.Running) && !scenario.Ends.Contains(j.State)))
            yield return new(Breach.WrongState, $"{job.Kind} ended {job.State}, not {string.Join(" or ", scenario.Ends)}: {job.Error} ({job.Steps})");
        foreach (var job in jobs.Where(j => j.State == JobState.Interrupted && string.IsNullOrEmpty(j.Hint)))
            yield return new(Breach.WrongState, $"{job.Kind} was interrupted but says no next step");
        foreach (var key in jobs.GroupBy(j => j.Target))
            foreach (var (first, second) in key.OrderBy(j => j.Seq).Zip(key.OrderBy(j => j.Seq).Skip(1)))
                if (first.EndedAt > second.StartedAt)
                    yield return new(Breach.Order, $"{second.Kind} began before {first.Kind} had ended");
        if (jobs.Count == 0)
            yield break;
        var last = jobs.MaxBy(j => j.Seq)!;
        var was = before.Vms.FirstOrDefault(v => v.Name == Scenarios.Machine);
        var now = found.Vms.FirstOrDefault(v => v.Name == Scenarios.Machine);
        VmState? after = scenario.Each.Count > 0 ? scenario.Each[jobs.Count - 1] : scenario.After;
        VmState?[] fits = last.State switch
        {
            JobState.Succeeded => [after],
            JobState.Interrupted => [after, was?.Shown],
            _ => [was?.Shown ?? (last.Kind == "create-vm" ? VmState.Stopped : null)],
        };
        if (!fits.Contains(now?.Shown))
            yield return new(now is null || (fits.All(f => f is { } state && HasProcess(state)) && !HasProcess(now.Shown)) ? Breach.LostMachine : Breach.WrongState,
                $"{last.Kind} ended {last.State}, and the machine is {now?.Shown.ToString() ?? "gone"}, not {string.Join(" or ", fits.Select(f => f?.ToString() ?? "gone"))} ({last.Steps}; {last.Error})");
        var settings = last.State == JobState.Succeeded ? scenario.Prepared : before.Preparations.Count;
        if (found.Preparations.Count != settings)
            yield return new(Breach.WrongState, $"{last.Kind} ended {last.State}, and {found.Preparations.Count} settings are in force, not {settings} ({last.Steps}; {last.Error})");
        if (last.State is JobState.Failed or JobState.Cancelled && last.Kind == "create-vm" && found.Disks.Any(d => d.Ready))
            yield return new(Breach.Leak, "a creation that was undone left a disk");
    }

    /// <summary>After everything was deleted.</summary>
    public static IEnumerable<Violation> Left(Findings found)
    {
        foreach (var job in found.Jobs.Where(j => j.State is JobState.Queued or JobState.Running || (j.Kind is "delete-vm" or "delete-image" && j.State != JobState.Succeeded)))
            yield return new(Breach.Stuck, $"{job.Kind} is {job.State}: {job.Error} ({job.Steps})");
        if (found.Journals > 0)
            yield return new(Breach.Leak, $"left after the undo: {found.Journals} journals");
        foreach (var left in found.Vms.Select(v => $"the machine {v.Name}").Concat(found.Disks.Select(d => $"the record of {d.Path}")).Concat(found.Images.Select(i => $"the image {i.Id}"))
                     .Concat(found.Files.Where(f => !f.EndsWith("/.quarantine/", StringComparison.Ordinal))).Concat(found.Processes.Select(p => $"process {p.Pid} {p.Command}")).Concat(found.Preparations.Select(p => $"the setting {p.Setting.Key}")))
            yield return new(Breach.Leak, $"left after the delete: {left}");
    }

    public static bool HasProcess(VmState state) => state is not (VmState.Stopped or VmState.Suspended or VmState.Crashed);

    /// <summary>The kernel's files say exactly what the settings in force say, and each can be undone.</summary>
    private static void Settings(Findings found, List<Violation> wrong)
    {
        foreach (var setting in found.Preparations.Where(p => p.State != PreparationState.Applied))
            wrong.Add(new(Breach.Stuck, $"the setting {setting.Setting.Key} is {setting.State}"));
        foreach (var setting in found.Preparations.Where(p => !p.Journal))
            wrong.Add(new(Breach.WrongState, $"what was before the setting {setting.Setting.Key} is not known"));
        if (found.Journals > found.Preparations.Count)
            wrong.Add(new(Breach.Leak, $"{found.Journals} journals for {found.Preparations.Count} settings"));
        foreach (var (path, text) in KernelTree.With(found.Preparations.Select(p => p.Setting)))
            if (found.Kernel[path] != text)
                wrong.Add(new(Breach.WrongState, $"{path} says \"{found.Kernel[path]}\", not \"{text}\""));
    }

    private static void Files(Findings found, RunFolder folder, List<Violation> wrong)
    {
        var disks = found.Disks.ToDictionary(d => d.Path);
        var files = found.Files.ToHashSet();
        foreach (var disk in found.Disks)
            if (disk.Ready != files.Contains(disk.Path))
                wrong.Add(new(disk.Ready ? Breach.LostMachine : Breach.Leak, $"the disk {disk.Path} is {(disk.Ready ? "ready but missing" : "there but not ready")}"));
        foreach (var image in found.Images.Where(i => (i.State == ImageState.Ready) != (i.Path is not null && files.Contains(i.Path))))
            wrong.Add(new(Breach.WrongState, $"the image {image.Id} is {image.State}, its file {image.Path} is {(image.Path is not null && files.Contains(image.Path) ? "there" : "not there")}"));
        foreach (var image in found.Images.Where(i => i.State == ImageState.Receiving))
            wrong.Add(new(Breach.Stuck, $"the image {image.Id} is still being received"));
        var (diskFolder, imageFolder, stateFolder) = (Path.Combine(folder.Data, "disks/"), Path.Combine(folder.Data, "images/"), Path.Combine(folder.Data, "machines/"));
        foreach (var file in found.Files)
            if (file.StartsWith(diskFolder, StringComparison.Ordinal) ? !disks.ContainsKey(file)
                : file.StartsWith(imageFolder, StringComparison.Ordinal) ? !file.EndsWith("/.quarantine/", StringComparison.Ordinal) && found.Images.All(i => i.Path != file)
                : file.StartsWith(stateFolder, StringComparison.Ordinal) && (file.EndsWith(".part", StringComparison.Ordinal) || !found.Vms.Any(v => file.StartsWith($"{stateFolder}{v.Id:N}/", StringComparison.Ordinal))))
                wrong.Add(new(Breach.Leak, $"{file} is nobody's"));
    }
}
