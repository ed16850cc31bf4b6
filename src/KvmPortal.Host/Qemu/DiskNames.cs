namespace KvmPortal.Host.Qemu;

/// <summary>The QEMU ids of a disk's parts, derived from its validated name. The builder makes them, the live steps use them.</summary>
internal static class DiskNames
{
    public static string Device(string disk) => $"{disk}-dev";
    public static string ThrottleGroup(string disk) => $"{disk}-limits";
    /// <summary>The node that the device uses: the throttle filter on top.</summary>
    public static string Top(string disk) => disk;
    public static string FormatNode(string disk, int layer) => layer == 0 ? $"{disk}-format" : $"{disk}-backing{layer}";
    public static string FileNode(string disk, int layer) => layer == 0 ? $"{disk}-file" : $"{disk}-backing{layer}-file";
    public static string IoThread(string disk) => $"{disk}-io";
    /// <summary>One of several that share a disk's queues.</summary>
    public static string IoThread(string disk, int index) => $"{disk}-io{index}";
}
