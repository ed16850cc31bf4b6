using System.Runtime.InteropServices;

namespace KvmPortal.Host.Linux;

/// <summary>How full the file system of a folder is.</summary>
/// <param name="Device">The same for all folders of one file system.</param>
/// <param name="FreeBytes">That this process may still use.</param>
internal readonly partial record struct Room(ulong Device, long TotalBytes, long FreeBytes, bool ReadOnly)
{
    private const ulong ReadOnlyFlag = 1;

    /// <summary>For a file or folder that is not there (yet): of the nearest folder above it.</summary>
    public static Room At(string path)
    {
        var asked = path;
        while (!Path.Exists(asked) && Path.GetDirectoryName(asked) is { Length: > 0 } parent)
            asked = parent;
        var stat = default(Stat);
        return Ask(asked, ref stat) == 0
            ? new Room(stat.Device, Bytes(stat.Blocks, stat.Fragment), Bytes(stat.Available, stat.Fragment), (stat.Flags & ReadOnlyFlag) != 0)
            : throw new IOException($"The file system of {path} cannot be asked how full it is: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}.");

        static long Bytes(ulong blocks, ulong size) => (long)UInt128.Min(long.MaxValue, (UInt128)blocks * size);
    }

    /// <summary>`struct statvfs` of 64-bit Linux; larger than any C library's.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 256)]
    private struct Stat
    {
        public ulong Block, Fragment, Blocks, Free, Available, Files, FilesFree, FilesAvailable, Device, Flags, NameMost;
    }

    [LibraryImport("libc", EntryPoint = "statvfs", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Ask(string path, ref Stat stat);
}
