using System.Runtime.InteropServices;
using KvmPortal.Host.Contract;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Images;

/// <summary>What .NET's file API cannot say: open without following a link or waiting for a pipe's writer, and make a rename survive a crash of the host.</summary>
internal static partial class LinuxFiles
{
    private const int NonBlocking = 0x800, CloseOnExec = 0x80000;
    private const int NoSpace = 28, TooManyLinks = 40, QuotaExceeded = 122;

    /// <summary>O_NOFOLLOW and O_DIRECTORY differ between the architectures (asm/fcntl.h).</summary>
    private static readonly (int NoFollow, int Directory) Flags = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? (0x8000, 0x4000) : (0x20000, 0x10000);

    /// <summary>
    /// Opens a regular file for reading. The last part of the path must not be a symbolic link: it is refused by the kernel while it opens, so that a link
    /// which is put there between a look and the open gains nothing.
    /// </summary>
    public static FileStream OpenRegular(string path)
    {
        var handle = Open(path, NonBlocking | CloseOnExec | Flags.NoFollow);
        if (handle.IsInvalid)
        {
            var error = Marshal.GetLastPInvokeError();
            handle.Dispose();
            throw error switch
            {
                2 or 20 => new HostException(HostError.NotFound, $"There is no file \"{path}\"."),
                TooManyLinks => new HostException(HostError.NotAllowed, $"\"{path}\" is a symbolic link; only regular files can be registered."),
                1 or 13 => new HostException(HostError.NotAllowed, $"The portal may not read \"{path}\".") { Hint = "Give its user the right to read the file." },
                _ => new HostException(HostError.NotAllowed, $"\"{path}\" cannot be opened: {Marshal.GetPInvokeErrorMessage(error)}."),
            };
        }

        FileStream? file = null;
        try
        {
            // Pipes and sockets cannot seek; devices and the kernel's own files have no length; a directory cannot be read.
            file = new FileStream(handle, FileAccess.Read, bufferSize: 0);
            if (file.CanSeek && file.Length > 0)
            {
                file.ReadByte();
                file.Position = 0;
                return file;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            // Said below.
        }

        file?.Dispose();
        handle.Dispose();
        throw new HostException(HostError.NotAllowed, $"\"{path}\" is empty or no regular file.");
    }

    /// <summary>Gives a finished file its name, which must be free unless it may replace another. When this returns, content and name survive a crash of the host.</summary>
    public static void Publish(string part, string path, bool replace = false)
    {
        using (var file = File.OpenHandle(part))
            RandomAccess.FlushToDisk(file);
        File.Move(part, path, replace);
        using var folder = Open(Path.GetDirectoryName(path)!, CloseOnExec | Flags.Directory);
        // Some file systems cannot flush a folder; then it is as durable as it can be.
        if (!folder.IsInvalid)
            _ = Flush(folder);
    }

    /// <summary>Gives a file or folder to a user and the group of the same number; a symbolic link is changed itself, never followed.</summary>
    public static void Own(string path, int uid)
    {
        if (ChangeOwner(path, (uint)uid, (uint)uid) != 0)
            throw new HostException(HostError.NotAllowed, $"\"{path}\" cannot be given to user {uid}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}.");
    }

    /// <summary>The group id of a file (`stat -c %g`).</summary>
    public static int GroupOf(string path)
    {
        using var stat = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("stat", ["-L", "-c", "%g", path]) { RedirectStandardOutput = true })!;
        var text = stat.StandardOutput.ReadToEnd();
        stat.WaitForExit();
        return int.TryParse(text, out var group) ? group : 0;
    }

    /// <summary>True when a write failed for want of space or quota.</summary>
    public static bool IsFull(IOException e) => e.HResult is NoSpace or QuotaExceeded;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "lchown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChangeOwner(string path, uint user, uint group);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Flush(SafeFileHandle file);
}
