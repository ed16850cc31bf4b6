using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Qmp;

/// <summary>Sends a file descriptor with a message over a unix socket (sendmsg(2), SCM_RIGHTS in cmsg(3)); the BCL cannot.</summary>
internal static partial class DescriptorPassing
{
    private const int SolSocket = 1;
    private const int ScmRights = 1;
    private const int MsgNoSignal = 0x4000;

    /// <summary>Throws <see cref="IOException"/> when the kernel refuses or takes only a part.</summary>
    public static unsafe void Send(Socket socket, ReadOnlySpan<byte> message, SafeFileHandle handle)
    {
        // struct cmsghdr { size_t len; int level; int type; } then the int, aligned to size_t: 16 + 8 bytes on 64-bit Linux.
        var control = stackalloc long[3];
        control[0] = 16 + sizeof(int);
        ((int*)control)[2] = SolSocket;
        ((int*)control)[3] = ScmRights;
        var added = false;
        handle.DangerousAddRef(ref added);
        try
        {
            ((int*)control)[4] = (int)handle.DangerousGetHandle();
            fixed (byte* bytes = message)
            {
                var vector = new IoVector { Base = bytes, Length = (nuint)message.Length };
                var header = new MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = 24 };
                var sent = sendmsg((int)socket.Handle, &header, MsgNoSignal);
                if (sent != message.Length)
                    throw new IOException($"Passing a file descriptor failed (errno {Marshal.GetLastPInvokeError()}).");
            }
        }
        finally
        {
            handle.DangerousRelease();
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private unsafe struct IoVector
    {
        public byte* Base;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    private unsafe struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint sendmsg(int socket, MessageHeader* message, int flags);
}
