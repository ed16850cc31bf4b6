using System.Diagnostics.CodeAnalysis;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Images;
using KvmPortal.Host.Linux;
using Microsoft.Data.Sqlite;

namespace KvmPortal.Engine.Storage;

/// <summary>How much room there is. `Full`: nothing can be written, for want of room or because the file system is read-only.</summary>
public enum StorageState { Ok, Low, Full }

/// <summary>One file system that the portal writes to.</summary>
/// <param name="Folder">The portal's folder on it.</param>
public sealed record FolderRoom(string Folder, long TotalBytes, long FreeBytes, bool ReadOnly, StorageState State);

/// <summary>
/// Knows whether the data directory can be written. It is full when a write has failed or when next to nothing is left, and has room again when there is twice as
/// much and a trial write succeeds: who wait for room are not woken in vain.
/// </summary>
public sealed class StorageRoom(EngineOptions options)
{
    private const long ReserveBytes = 16L << 20;
    private const int ReadOnlyFileSystem = 30;
    private const int TrialBytes = 256 << 10;
    private const long BallastBytes = 512 << 10;
    private readonly Lock gate = new();
    private IReadOnlyList<FolderRoom> folders = [];
    private TaskCompletionSource? room;
    private TaskCompletionSource failed = Signal();
    // A file system that gave up after an error of its disk says so to who writes, but not always to who asks how full it is (ext4 since Linux 6.14).
    private bool givenUp;

    /// <summary>As of the last look; the first is the data directory's.</summary>
    public IReadOnlyList<FolderRoom> Folders => Volatile.Read(ref folders);

    /// <summary>Of the data directory: whether the portal can keep what it is told.</summary>
    public StorageState State => Volatile.Read(ref room) is not null ? StorageState.Full : Folders.Any(f => f.State != StorageState.Ok) ? StorageState.Low : StorageState.Ok;

    /// <summary>Completes when a write fails for want of room, before the next look would see it.</summary>
    internal Task Failed => failed.Task;

    /// <summary>Completes at once, or when there is room again.</summary>
    public Task WaitAsync(CancellationToken ct) => Volatile.Read(ref room) is { } waited ? waited.Task.WaitAsync(ct) : Task.CompletedTask;

    /// <summary>What to answer for a failure that is want of room; null when it is another one. Remembers that there is none.</summary>
    public PortalException? Refusal(Exception failure)
    {
        var certain = IsWant(failure);
        if (!certain && !IsDoubtful(failure))
            return null;
        lock (gate)
        {
            // Nothing is to be seen: a trial tells.
            if (Measured(options.DataRoot).State != StorageState.Full && (TryWrite(out var why) || !IsWant(why)) && !certain)
                return null;
            room ??= Signal();
            DropBallast();
        }

        failed.TrySetResult();
        return Full(options.DataRoot, failure);
    }

    /// <summary>What writes are answered while there is no room.</summary>
    public PortalException Full(Exception? cause = null) => Full(options.DataRoot, cause);

    /// <summary>The same for a folder below the data directory.</summary>
    internal PortalException Full(string folder, Exception? cause)
    {
        var now = Measured(folder);
        return new PortalException(ErrorCode.DiskFull, Said(now), cause) { Hint = Remedy(now) };
    }

    /// <summary>That it is full, in one sentence.</summary>
    public static Sentence Said(FolderRoom folder) => folder.ReadOnly ? Say.StorageReadOnly(folder.Folder) : Say.StorageFull(folder.Folder, MiB(folder.FreeBytes), MiB(folder.TotalBytes));

    /// <summary>What to do about it.</summary>
    public static Sentence Remedy(FolderRoom folder) => folder.ReadOnly ? Say.StorageReadOnlyHint : Say.StorageFullHint;

    /// <summary>That it is nearly full, in one sentence.</summary>
    public static Sentence SaidLow(FolderRoom folder) => Say.StorageLow(folder.Folder, MiB(folder.FreeBytes), MiB(folder.TotalBytes));

    internal static string MiB(long bytes) => $"{bytes >> 20}";

    /// <summary>Measures every file system, and tries to write when there was no room. Returns the state before and after.</summary>
    internal (StorageState Before, StorageState After) Look()
    {
        var before = State;
        var seen = new HashSet<ulong>();
        var measured = new List<FolderRoom>();
        foreach (var folder in new[] { options.DataRoot, Path.Combine(options.DataRoot, "disks"), Path.Combine(options.DataRoot, "images") })
            if (seen.Add(Room.At(folder).Device))
                measured.Add(Measured(folder));
        Volatile.Write(ref folders, measured);
        lock (gate)
        {
            if (room is null && measured[0].State == StorageState.Full)
            {
                room = Signal();
                DropBallast();
            }
            else if (room is null)
                KeepBallast(measured[0].TotalBytes);
            else if (room is not null && measured[0].FreeBytes >= 2 * Reserve(measured[0].TotalBytes) && TryWrite(out _))
            {
                failed = Signal();
                var waiting = room;
                Volatile.Write(ref room, null);
                waiting.SetResult();
            }
        }

        return (before, State);
    }

    private FolderRoom Measured(string folder) => Measure(folder, options) is var now && Volatile.Read(ref givenUp) && folder == options.DataRoot ? now with { ReadOnly = true, State = StorageState.Full } : now;

    /// <summary>How full the file system of a file or folder is.</summary>
    internal static FolderRoom Measure(string folder, EngineOptions options)
    {
        var now = Room.At(folder);
        var low = now.FreeBytes < now.TotalBytes / 100 * options.WarnFreePercent || now.FreeBytes < (long)options.WarnFreeGiB << 30;
        var state = now.ReadOnly || now.FreeBytes < Reserve(now.TotalBytes) ? StorageState.Full : low ? StorageState.Low : StorageState.Ok;
        return new FolderRoom(folder, now.TotalBytes, now.FreeBytes, now.ReadOnly, state);
    }

    /// <summary>Whether a failure is want of room (or of the right to write on that file system), whatever it is wrapped in.</summary>
    public static bool IsWant(Exception failure)
    {
        for (var e = failure; e is not null; e = e.InnerException)
            if (e is SqliteException { SqliteErrorCode: 8 or 13 } or SqliteException { SqliteExtendedErrorCode: 4874 } || (e is IOException io && (LinuxFiles.IsFull(io) || io.HResult == ReadOnlyFileSystem)))
                return true;
        return false;
    }

    /// <summary>SQLite's I/O errors do not say their cause.</summary>
    private static bool IsDoubtful(Exception failure) => failure.GetBaseException() is SqliteException { SqliteErrorCode: 10 or 14 };

    private static long Reserve(long total) => Math.Min(ReserveBytes, total / 100);

    private string Ballast => Path.Combine(options.DataRoot, ".ballast");

    /// <summary>
    /// A little room that is let go when all other is gone: SQLite needs some even to read, because its shared index grows with each reader. Less than what counts as
    /// full, so that letting it go does not look like room.
    /// </summary>
    private void KeepBallast(long total)
    {
        if (File.Exists(Ballast))
            return;
        try
        {
            using var file = new FileStream(Ballast, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
            file.Write(new byte[Math.Min(BallastBytes, Reserve(total) / 2)]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            DropBallast();
        }
    }

    private void DropBallast()
    {
        try
        {
            File.Delete(Ballast);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Read-only: nothing can be let go.
        }
    }

    private bool TryWrite([NotNullWhen(false)] out Exception? why)
    {
        why = null;
        var path = Path.Combine(options.DataRoot, ".room");
        try
        {
            using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, Options = FileOptions.DeleteOnClose, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
            file.Write(new byte[TrialBytes]);
            file.Flush(flushToDisk: true);
            givenUp = false;
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            why = e;
            givenUp |= e is IOException { HResult: ReadOnlyFileSystem };
            return false;
        }
    }

    private static TaskCompletionSource Signal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
