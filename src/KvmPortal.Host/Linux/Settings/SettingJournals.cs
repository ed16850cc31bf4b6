using System.Collections.Concurrent;
using System.Text.Json;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;

namespace KvmPortal.Host.Linux.Settings;

/// <summary>What one file said before, and what the portal wrote.</summary>
internal sealed record JournalEntry(string Path, string Before, string Wanted);

/// <summary>What a preparation has changed, so that it can be given back.</summary>
/// <param name="BootId">The kernel's own files were changed on this boot; another one has forgotten it.</param>
internal sealed record SettingJournal(string BootId, IReadOnlyList<JournalEntry> Entries)
{
    /// <summary>Without what a boot has taken back: only files on the disk are left.</summary>
    public SettingJournal On(string bootId) => BootId == bootId ? this : new SettingJournal(bootId, [.. Entries.Where(e => IrqbalanceFile.Is(e.Path))]);
}

/// <summary>The journals of all preparations. A journal is on the disk, name and content, before the first write that it tells of.</summary>
internal sealed class SettingJournals(Func<Guid, string?> load, Action<Guid, string> save, Action<Guid> delete, Func<IEnumerable<Guid>> list)
{
    /// <summary>One file each in a folder.</summary>
    public static SettingJournals In(string folder) => new(
        id => File.Exists(PathOf(folder, id)) ? File.ReadAllText(PathOf(folder, id)) : null,
        (id, text) =>
        {
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            var part = PathOf(folder, id) + ".part";
            File.WriteAllText(part, text);
            LinuxFiles.Publish(part, PathOf(folder, id), replace: true);
        },
        id =>
        {
            if (Directory.Exists(folder))
                File.Delete(PathOf(folder, id));
        },
        () => Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*.json").Select(f => Guid.TryParseExact(Path.GetFileNameWithoutExtension(f), "N", out var id) ? id : Guid.Empty).Where(id => id != Guid.Empty).ToList() : []);

    /// <summary>Removes journals of which a boot has left nothing, and what was cut.</summary>
    public static void Sweep(string folder, string bootId)
    {
        if (!Directory.Exists(folder))
            return;
        foreach (var part in Directory.EnumerateFiles(folder, "*.part"))
            File.Delete(part);
        var journals = In(folder);
        foreach (var file in Directory.EnumerateFiles(folder, "*.json"))
            try
            {
                if (Guid.TryParseExact(Path.GetFileNameWithoutExtension(file), "N", out var id) && journals.Read(id)?.On(bootId).Entries.Count == 0)
                    File.Delete(file);
            }
            catch (HostException)
            {
                // Its undo will say so.
            }
    }

    /// <summary>For a host that remembers nothing.</summary>
    public static SettingJournals InMemory()
    {
        var kept = new ConcurrentDictionary<Guid, string>();
        return new SettingJournals(kept.GetValueOrDefault, (id, text) => kept[id] = text, id => kept.TryRemove(id, out _), () => kept.Keys.ToList());
    }

    /// <summary>All journals of this boot that can be read, but one.</summary>
    public IEnumerable<(Guid Id, SettingJournal Journal)> Others(Guid but, string bootId)
    {
        foreach (var id in list())
        {
            SettingJournal? journal = null;
            try
            {
                journal = id == but ? null : Read(id)?.On(bootId);
            }
            catch (HostException)
            {
                // Its undo will say so.
            }

            if (journal is not null)
                yield return (id, journal);
        }
    }

    public SettingJournal? Read(Guid id)
    {
        try
        {
            return load(id) is { } text ? JsonSerializer.Deserialize<SettingJournal>(text) : null;
        }
        catch (Exception e) when (e is JsonException or IOException)
        {
            throw new HostException(HostError.WrongState, "The journal of this preparation cannot be read: what was there before is not known.", e);
        }
    }

    /// <summary>An empty journal is no journal.</summary>
    public void Write(Guid id, SettingJournal journal)
    {
        try
        {
            if (journal.Entries.Count == 0)
                delete(id);
            else
                save(id, JsonSerializer.Serialize(journal));
        }
        catch (IOException e) when (LinuxFiles.IsFull(e))
        {
            throw new HostException(HostError.NoRoom, "There is no room for the journal that undo needs; nothing was changed.", e);
        }
    }

    private static string PathOf(string folder, Guid id) => Path.Combine(folder, $"{id:N}.json");
}
