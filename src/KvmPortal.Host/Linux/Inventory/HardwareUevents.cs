using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading.Channels;
using KvmPortal.Host.Contract;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>
/// The kernel's announcements of hardware (netlink(7), NETLINK_KOBJECT_UEVENT). Many come at once: they are told together when none has come for half a second.
/// Where the socket cannot be opened, nothing is ever told.
/// </summary>
internal static partial class HardwareUevents
{
    private static readonly HashSet<string> Watched = ["pci", "net", "block", "cpu", "memory", "node", "nvme", "iommu", "vfio", "vdpa"];
    private static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(5);

    /// <summary>Listens from the call on, until cancelled.</summary>
    public static IAsyncEnumerable<HardwareChange> WatchAsync(TimeProvider time, CancellationToken ct)
    {
        var told = Channel.CreateBounded<string>(new BoundedChannelOptions(1024) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
        if (Open() is { } socket)
            new Thread(() => Receive(socket, told.Writer, ct)) { IsBackground = true, Name = "uevents" }.Start();
        return Together(told.Reader, time, ct);
    }

    private static readonly Lazy<bool> Heard = new(() =>
    {
        using var socket = Open();
        return socket is not null;
    });

    /// <summary>Says in the inventory when hardware events cannot be heard.</summary>
    public static HostInventory WithGap(HostInventory inventory) =>
        Heard.Value ? inventory : inventory with { Gaps = [.. inventory.Gaps, "netlink NETLINK_KOBJECT_UEVENT: cannot be opened; hardware that comes or goes shows at the next look only"] };

    /// <summary>What came within a short time, as one change.</summary>
    internal static async IAsyncEnumerable<HardwareChange> Together(ChannelReader<string> told, TimeProvider time, [EnumeratorCancellation] CancellationToken ct)
    {
        while (await told.WaitToReadAsync(ct))
        {
            var subsystems = new SortedSet<string>(StringComparer.Ordinal);
            var begun = time.GetTimestamp();
            do
                while (told.TryRead(out var subsystem))
                    subsystems.Add(subsystem);
            while (time.GetElapsedTime(begun) < Longest && await MoreAsync(told, time, ct));
            yield return new HardwareChange([.. subsystems]);
        }
    }

    /// <summary>The subsystem of a message that matters: `action@path` and then KEY=VALUE, each ended by a zero. Null for others.</summary>
    internal static string? Subsystem(ReadOnlySpan<byte> message)
    {
        var fields = Encoding.UTF8.GetString(message).Split('\0');
        // udev's own messages begin with "libudev"; the kernel's have an at sign. Virtual devices are not hardware: taps come with each machine.
        if (!fields[0].Contains('@', StringComparison.Ordinal) || fields[0].Contains("@/devices/virtual/", StringComparison.Ordinal))
            return null;
        return fields.FirstOrDefault(f => f.StartsWith("SUBSYSTEM=", StringComparison.Ordinal)) is { } told && Watched.Contains(told["SUBSYSTEM=".Length..]) ? told["SUBSYSTEM=".Length..] : null;
    }

    private static async Task<bool> MoreAsync(ChannelReader<string> told, TimeProvider time, CancellationToken ct)
    {
        var more = told.WaitToReadAsync(ct).AsTask();
        return await Task.WhenAny(more, Task.Delay(Quiet, time, ct)) == more && await more;
    }

    private static void Receive(SafeFileHandle socket, ChannelWriter<string> told, CancellationToken ct)
    {
        var buffer = new byte[16 * 1024];
        using (socket)
            while (!ct.IsCancellationRequested)
            {
                // Looks up now and then, because nothing else ends a wait for the kernel.
                var wait = new PollFd { Fd = (int)socket.DangerousGetHandle(), Events = PollIn };
                if (Poll(ref wait, 1, 500) > 0 && Read(socket, buffer, buffer.Length) is > 0 and var length && Subsystem(buffer.AsSpan(0, (int)length)) is { } subsystem)
                    told.TryWrite(subsystem);
            }
    }

    private static SafeFileHandle? Open()
    {
        const int Netlink = 16, Datagrams = 2, CloseOnExec = 0x80000, NonBlocking = 0x800, KobjectUevent = 15;
        var socket = Socket(Netlink, Datagrams | CloseOnExec | NonBlocking, KobjectUevent);
        var address = new NetlinkAddress { Family = Netlink, Groups = 1 };
        if (!socket.IsInvalid && Bind(socket, in address, Marshal.SizeOf<NetlinkAddress>()) == 0)
            return socket;
        socket.Dispose();
        return null;
    }

    private const short PollIn = 1;

    [StructLayout(LayoutKind.Sequential)]
    private struct PollFd
    {
        public int Fd;
        public short Events;
        public short Returned;
    }

    /// <summary>struct sockaddr_nl.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct NetlinkAddress
    {
        public ushort Family;
        public ushort Padding;
        public uint Pid;
        public uint Groups;
    }

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial SafeFileHandle Socket(int domain, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    private static partial int Bind(SafeFileHandle socket, in NetlinkAddress address, int length);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(ref PollFd wait, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeFileHandle file, byte[] buffer, nint count);
}
