using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Linux.Inventory;

/// <summary>High user ids that are taken: passwd(5) and subuid(5).</summary>
internal static class UserIdReader
{
    private const long High = 60_000;

    public static IReadOnlyList<UserIdRange> Read(HostTree tree) =>
    [
        .. tree.Lines("/etc/passwd").Select(l => l.Split(':')).Where(f => f.Length > 2).Take(10_000)
            .Select(f => Number(f[2]) is { } uid and >= High ? new UserIdRange(f[0], uid, uid, "/etc/passwd") : null).OfType<UserIdRange>(),
        .. tree.Lines("/etc/subuid").Select(l => l.Split(':')).Where(f => f.Length > 2).Take(10_000)
            .Select(f => Number(f[1]) is { } first && Number(f[2]) is { } count and > 0 ? new UserIdRange(f[0], first, first + count - 1, "/etc/subuid") : null).OfType<UserIdRange>(),
    ];

    private static long? Number(string text) => uint.TryParse(text.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
}
