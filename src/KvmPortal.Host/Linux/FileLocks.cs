using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Linux;

/// <summary>Asks the kernel who holds a file. QEMU locks its pid file and the images that it has open for as long as it lives.</summary>
internal static partial class FileLocks
{
    private const int AskOpenFileLock = 36;
    private const short WriteLock = 1, Unlocked = 2;

    /// <summary>Whether any process holds a lock on any part of the file; false when there is no such file.</summary>
    public static bool IsLocked(string path)
    {
        if (!File.Exists(path))
            return false;
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var asked = new Range { Type = WriteLock };
        return Control(file, AskOpenFileLock, ref asked) == 0 && asked.Type != Unlocked;
    }

    /// <summary>`struct flock` of 64-bit Linux; all zero but the type: the whole file.</summary>
    private struct Range
    {
        public short Type, Whence;
        public long Start, Length;
        public int Pid;
    }

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, int command, ref Range range);
}
