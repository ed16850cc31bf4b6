using System.Globalization;
using System.Runtime.CompilerServices;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Settings;

/// <summary>
/// Applies host settings and gives back what was there before.
/// <code>
///  look ► journal on the disk ► write, read back ► journal of what was really changed
///              └ undo, restore: what is still ours goes back, last first; what somebody else has changed stays
/// </code>
/// One at a time: two settings may be about one file.
/// </summary>
/// <param name="files">Where the kernel's files are.</param>
/// <param name="journals">What was there before.</param>
/// <param name="bootId">Of the running kernel.</param>
/// <param name="restartIrqbalance">Makes irqbalance read its file again: null when it went well, else why not. Null where there is nobody to ask.</param>
internal sealed class SettingSteps(KernelFiles files, SettingJournals journals, Func<string> bootId, Func<CancellationToken, Task<string?>>? restartIrqbalance = null)
{
    private const int MostValues = 256;
    private readonly SemaphoreSlim turn = new(1, 1);

    public SettingLook Look(HostSetting setting, Guid? preparation)
    {
        var journal = preparation is { } id ? journals.Read(id)?.On(bootId()) : null;
        var made = journal?.Entries.Select(e => new SettingValue(e.Path, e.Before, e.Wanted, files.Value(e.Path))).ToList() ?? [];
        try
        {
            // What a machine's start has moved is looked at by its journal alone: there are hundreds of interrupts.
            var writes = setting is IrqAffinitySetting or HugePagesSetting { More: true } && preparation is not null ? [] : SettingWrites.Of(setting, files);
            var asMade = made.TrueForAll(v => v.Now is null || KernelFiles.Same(v.Path, v.Now, v.Wanted));
            // Interrupts that cannot be moved, and pages that were not to be had, are no drift.
            return new SettingLook(writes, made, setting is IrqAffinitySetting or HugePagesSetting { AcceptFewer: true } or HugePagesSetting { More: true } && preparation is not null ? asMade : asMade && writes.Count == 0, null);
        }
        catch (HostException e)
        {
            return new SettingLook([], made, false, e.Message);
        }
    }

    /// <summary>Applies what this host can, and says what it cannot and why.</summary>
    public async IAsyncEnumerable<StepReport> TryApplyAsync(Guid preparation, HostSetting setting, [EnumeratorCancellation] CancellationToken ct)
    {
        var reports = new List<StepReport>();
        try
        {
            await foreach (var report in ApplyAsync(preparation, setting, ct))
                reports.Add(report);
        }
        catch (HostException e)
        {
            reports = [new StepLog($"Left out: {e.Message}", Warning: true), new StepDone(false)];
        }

        foreach (var report in reports)
            yield return report;
    }

    public async IAsyncEnumerable<StepReport> ApplyAsync(Guid preparation, HostSetting setting, [EnumeratorCancellation] CancellationToken ct)
    {
        await turn.WaitAsync(ct);
        var done = false;
        try
        {
            var targets = Aimed(preparation, setting, SettingWrites.Targets(setting, files));
            var writes = targets.Where(w => !KernelFiles.Same(w.Path, w.Now, w.Then)).ToList();
            var journal = Opened(preparation, writes);
            var before = journal.Entries.ToDictionary(e => e.Path, e => e.Before);
            var values = targets.Except(writes).Select(w => new SettingValue(w.Path, before.GetValueOrDefault(w.Path, w.Now ?? ""), w.Then, w.Now)).ToList();
            foreach (var write in writes)
            {
                ct.ThrowIfCancellationRequested();
                if (setting is HugePagesSetting pages)
                    await foreach (var progress in GrowAsync(pages, write, ct))
                        yield return progress;
                values.Add(setting is HugePagesSetting pool ? Counted(pool, write) : await Task.Run(() => Written(setting, write), CancellationToken.None));
            }

            // What the kernel refused is not ours to give back.
            var refused = values.Where(v => v.Problem is not null && setting is IrqAffinitySetting).Select(v => v.Path).ToHashSet();
            var now = values.ToDictionary(v => v.Path, v => v.Now);
            journals.Write(preparation, journal with { Entries = [.. journal.Entries.Where(e => !refused.Contains(e.Path)).Select(e => setting is HugePagesSetting { More: true } ? e : e with { Wanted = now.GetValueOrDefault(e.Path) ?? e.Wanted })] });
            if (setting is IrqbalanceBanSetting && writes.Count > 0)
                yield return await RestartAsync(ct);
            var note = Note(setting, values);
            if (note is not null)
                yield return new StepLog(note, Warning: true);
            done = true;
            yield return new StepDone(writes.Count > 0) { Setting = new SettingOutcome(preparation, bootId(), false, setting is not HugePagesSetting || note is null, Few(values), note) };
        }
        finally
        {
            try
            {
                if (!done)
                    await Task.Run(() => GiveBack(preparation, setting), CancellationToken.None);
            }
            finally
            {
                turn.Release();
            }
        }
    }

    public async IAsyncEnumerable<StepReport> RestoreAsync(Guid preparation, HostSetting setting, [EnumeratorCancellation] CancellationToken ct)
    {
        await turn.WaitAsync(ct);
        try
        {
            var (values, changed, complete) = await Task.Run(() => GiveBack(preparation, setting), CancellationToken.None);
            if (setting is IrqbalanceBanSetting && changed)
                yield return await RestartAsync(CancellationToken.None);
            foreach (var problem in values.Where(v => v.Problem is not null).Take(16))
                yield return new StepLog($"{problem.Path}: {problem.Problem}", Warning: true);
            yield return new StepDone(changed) { Setting = new SettingOutcome(preparation, bootId(), true, complete, Few(values), values.FirstOrDefault(v => v.Problem is not null) is { } first ? $"{first.Path}: {first.Problem}" : null) };
        }
        finally
        {
            turn.Release();
        }
    }

    /// <summary>"So many more" was counted once: an earlier try's aim holds, and what others have added since is not taken away.</summary>
    private IReadOnlyList<HostWrite> Aimed(Guid preparation, HostSetting setting, IReadOnlyList<HostWrite> targets) =>
        setting is HugePagesSetting { More: true } && journals.Read(preparation)?.On(bootId()) is { } journal
            ? [.. targets.Select(t => journal.Entries.FirstOrDefault(e => e.Path == t.Path) is { } kept ? t with { Then = long.TryParse(t.Now, out var now) && long.TryParse(kept.Wanted, out var aim) && now > aim ? t.Now : kept.Wanted } : t)] : targets;

    /// <summary>What there was before goes to the disk before anything is written; what an earlier try kept is older, and stays.</summary>
    private SettingJournal Opened(Guid preparation, List<HostWrite> writes)
    {
        var before = journals.Read(preparation)?.On(bootId()).Entries ?? [];
        var journal = new SettingJournal(bootId(), [.. before.Select(e => writes.Find(w => w.Path == e.Path) is { } w ? e with { Wanted = w.Then } : e),
            .. writes.Where(w => before.All(e => e.Path != w.Path)).Select(w => new JournalEntry(w.Path, w.Now ?? "", w.Then))]);
        if (journal.Entries.Count > 0)
            journals.Write(preparation, journal);
        return journal;
    }

    /// <summary>Writes and reads back. An interrupt that the kernel places itself is told, anything else that is refused is a failure.</summary>
    private SettingValue Written(HostSetting setting, HostWrite write)
    {
        var refused = Tried(write.Path, write.Then);
        var now = files.Value(write.Path);
        // Root is told "not permitted" or "input/output error" for these; who is not root may write none of them.
        if (setting is IrqAffinitySetting && (refused is null or { Error: not HostError.NotAllowed } || Environment.IsPrivilegedProcess))
            return new SettingValue(write.Path, write.Now, write.Then, now) { Problem = refused is null ? null : "The kernel places this interrupt itself." };
        if (refused is not null)
            throw refused;
        return KernelFiles.Same(write.Path, now, write.Then) ? new SettingValue(write.Path, write.Now, write.Then, now)
            : throw new HostException(HostError.WrongState, $"The kernel did not take \"{write.Then}\" for {write.Path}: it says \"{now}\".");
    }

    /// <summary>Adds pages about a GiB at a time, so that it can be watched and stopped; ends where the kernel finds no more.</summary>
    private async IAsyncEnumerable<StepReport> GrowAsync(HugePagesSetting pages, HostWrite write, [EnumeratorCancellation] CancellationToken ct)
    {
        var (from, have) = (files.Number(write.Path) ?? 0, files.Number(write.Path) ?? 0);
        pages = pages with { Count = long.Parse(write.Then, CultureInfo.InvariantCulture) };
        var portion = Math.Max(1, (1L << 20) / pages.SizeKiB);
        while (have != pages.Count)
        {
            ct.ThrowIfCancellationRequested();
            var aim = have < pages.Count ? Math.Min(pages.Count, have + portion) : pages.Count;
            if (await Task.Run(() => Tried(write.Path, $"{aim}"), CancellationToken.None) is { } refused)
                throw refused;
            var now = files.Number(write.Path) ?? 0;
            if (now > from)
                yield return new StepProgress((now - from) * pages.SizeKiB << 10, (pages.Count - from) * pages.SizeKiB << 10);
            have = now == aim ? now : pages.Count;
        }
    }

    private SettingValue Counted(HugePagesSetting pages, HostWrite write)
    {
        var now = files.Number(write.Path) ?? 0;
        pages = pages with { Count = long.Parse(write.Then, CultureInfo.InvariantCulture) };
        if (now < pages.Count && !pages.AcceptFewer)
            throw new HostException(HostError.NoRoom, $"Only {now} of {pages.Count} huge pages of {SettingWrites.Size(pages.SizeKiB)} could be had; they were given back.")
            {
                Hint = $"Memory is in too many pieces by now. At boot it is not: add {SettingWrites.BootLine(pages, files)} to the kernel's command line, or take fewer pages.",
            };
        return new SettingValue(write.Path, write.Now, write.Then, $"{now}")
        {
            Problem = now < pages.Count ? $"Only {now} of {pages.Count} pages could be had."
                : now > pages.Count ? $"{now} pages are left: the others are in use." : null,
        };
    }

    private (List<SettingValue> Values, bool Changed, bool Complete) GiveBack(Guid preparation, HostSetting setting)
    {
        if (journals.Read(preparation)?.On(bootId()) is not { } journal)
            return ([], false, true);
        var (values, left, changed) = (new List<SettingValue>(), new List<JournalEntry>(), false);
        foreach (var entry in journal.Entries.Reverse())
        {
            var now = files.Value(entry.Path);
            // The device or the interrupt is gone: there is nothing to give back.
            if (now is null || KernelFiles.Same(entry.Path, now, entry.Before))
                continue;
            if (!IsOurs(setting, entry, now))
            {
                if (HandedOver(preparation, setting, entry, now) is { } moved)
                {
                    changed |= moved;
                    continue;
                }

                values.Add(new SettingValue(entry.Path, entry.Before, entry.Wanted, now) { Problem = $"Somebody has changed it to \"{now}\" since; it is left so." });
                continue;
            }

            var aim = setting is HugePagesSetting pages ? Returnable(pages, entry) : entry.Before;
            var problem = Tried(entry.Path, aim)?.Message;
            var then = files.Value(entry.Path);
            changed |= !KernelFiles.Same(entry.Path, then, now);
            if (problem is null && setting is HugePagesSetting && then != entry.Before)
                problem = $"{then} pages are left: they are in use, or not to be had any more.";
            if (problem is not null)
                left.Add(entry with { Wanted = then ?? entry.Wanted });
            values.Add(new SettingValue(entry.Path, entry.Before, entry.Wanted, then) { Problem = problem });
        }

        left.Reverse();
        journals.Write(preparation, journal with { Entries = left });
        return (values, changed, left.Count == 0);
    }

    /// <summary>
    /// Somebody of ours has gone on from where this one left it: then that one gives back what was there before both. Pages are given back at once all the same.
    /// Null when it was somebody else; else whether anything was written.
    /// </summary>
    private bool? HandedOver(Guid preparation, HostSetting setting, JournalEntry entry, string now)
    {
        var heirs = journals.Others(preparation, bootId()).Where(o => o.Journal.Entries.Any(e => e.Path == entry.Path && Follows(setting, entry, e))).ToList();
        if (heirs.Count == 0)
            return null;
        var fewer = setting is HugePagesSetting ? Count(entry.Wanted) - Count(entry.Before) : 0;
        foreach (var (id, journal) in heirs)
            journals.Write(id, journal with
            {
                Entries = [.. journal.Entries.Select(e => e.Path != entry.Path || !Follows(setting, entry, e) ? e
                    : setting is HugePagesSetting ? e with { Before = $"{Count(e.Before) - fewer}", Wanted = $"{Count(e.Wanted) - fewer}" } : e with { Before = entry.Before })],
            });
        if (setting is not HugePagesSetting pages)
            return false;
        var used = files.Number(SettingWrites.FreeFile(pages)) is { } free ? Count(now) - free : 0;
        return Tried(entry.Path, $"{Math.Max(used, Count(now) - fewer)}") is null && files.Value(entry.Path) != now;

        static long Count(string text) => long.TryParse(text, out var count) ? count : 0;
    }

    private static bool Follows(HostSetting setting, JournalEntry first, JournalEntry later) => setting is HugePagesSetting
        ? long.TryParse(later.Before, out var before) && long.TryParse(first.Wanted, out var wanted) && before >= wanted : KernelFiles.Same(first.Path, later.Before, first.Wanted);

    /// <summary>A pool that a crash stopped half way is ours, too.</summary>
    private static bool IsOurs(HostSetting setting, JournalEntry entry, string now) => KernelFiles.Same(entry.Path, now, entry.Wanted)
        || (setting is HugePagesSetting && long.TryParse(now, out var count) && long.TryParse(entry.Before, out var before) && long.TryParse(entry.Wanted, out var wanted) && count >= Math.Min(before, wanted) && count <= Math.Max(before, wanted));

    /// <summary>Only free pages are given back: who uses the others would lose them from under it.</summary>
    private string Returnable(HugePagesSetting pages, JournalEntry entry)
    {
        var used = files.Number(SettingWrites.FreeFile(pages)) is { } free ? (files.Number(entry.Path) ?? 0) - free : 0;
        return long.TryParse(entry.Before, out var before) && used > before ? $"{used}" : entry.Before;
    }

    /// <summary>Null when the kernel took it.</summary>
    private HostException? Tried(string path, string value)
    {
        try
        {
            files.Write(path, value);
            return null;
        }
        catch (UnauthorizedAccessException e)
        {
            return new HostException(HostError.NotAllowed, $"The portal may not write {path}.", e) { Hint = "Changing the host needs root, and /proc/sys and /sys that are not mounted read-only." };
        }
        catch (IOException e)
        {
            return new HostException(HostError.WrongState, $"The kernel refused \"{value}\" for {path}: {Words(e)}.", e);
        }
    }

    private static string Words(IOException e) => e.HResult switch
    {
        1 => "operation not permitted",
        5 => "input/output error",
        22 => "invalid argument",
        28 => "no space left",
        30 => "read-only file system",
        _ => e is FileNotFoundException or DirectoryNotFoundException ? "no such file" : $"error {e.HResult}",
    };

    private async Task<StepReport> RestartAsync(CancellationToken ct) => restartIrqbalance is null ? new StepLog("Restart irqbalance: it reads its file only when it starts.", Warning: true)
        : await restartIrqbalance(ct) is { } words ? new StepLog($"irqbalance could not be restarted: {words}", Warning: true)
        : new StepLog("irqbalance was restarted.");

    private static string? Note(HostSetting setting, List<SettingValue> values)
    {
        var problems = values.Where(v => v.Problem is not null).ToList();
        return problems.Count == 0 ? null : setting is IrqAffinitySetting ? $"{problems.Count} of {values.Count} interrupts stay where they are: the kernel places them itself." : problems[0].Problem;
    }

    private static List<SettingValue> Few(List<SettingValue> values) => [.. values.OrderBy(v => v.Problem is null).Take(MostValues)];
}
