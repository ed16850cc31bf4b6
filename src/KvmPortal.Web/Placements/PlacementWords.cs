using System.Globalization;
using System.Text.RegularExpressions;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Placements;
using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Web.Resources;
using KvmPortal.Web.Shared;
using Microsoft.Extensions.Localization;

namespace KvmPortal.Web.Placements;

/// <summary>Words for the names that plans use (vcpu0-7, node0, cpu 1-8), which are the same in every language.</summary>
public static partial class PlacementWords
{
    /// <summary>Who is on a CPU, in one line.</summary>
    public static string Use(IStringLocalizer<PlacementText> text, CpuUse use)
    {
        var role = text["role." + PortalJson.Text(use.Role)].Value;
        if (use.Tenants.Count == 0)
            return role;
        var machines = use.Tenants.GroupBy(t => t.Machine).Take(6).Select(g => text["cpu.tenant", g.Key.Name, string.Join(", ", g.Select(t => t.Thread is { } thread ? Thread(text, thread) : text["role." + PortalJson.Text(t.Role)].Value).Distinct().Take(6))].Value);
        var all = string.Join("; ", machines);
        return use.Owner is null ? $"{role}: {all}" : all;
    }

    public static string Thread(IStringLocalizer<PlacementText> text, LedgerThread thread) => thread.Index is { } index ? text["thread.vcpu", index]
        : text["thread." + PortalJson.Text(thread.Role), thread.Name];

    /// <summary>What a reason is about.</summary>
    public static string Subject(IStringLocalizer<PlacementText> text, string subject)
    {
        var match = Numbered().Match(subject);
        if (!match.Success)
            return subject;
        var known = text["subject." + match.Groups[1].Value, match.Groups[2].Value.TrimStart()];
        return known.ResourceNotFound ? subject : known;
    }

    /// <summary>What was chosen, or not.</summary>
    public static string Choice(IStringLocalizer<PlacementText> text, string choice)
    {
        if (Topology().Match(choice) is { Success: true } guest)
            return text["choice.topology", guest.Groups[1].Value, guest.Groups[2].Value, guest.Groups[3].Value, guest.Groups[4].Value];
        var known = text["choice." + choice];
        if (!known.ResourceNotFound)
            return known;
        return Cpu().Replace(Node().Replace(choice, m => text["choice.node", m.Groups[1].Value]), m => text["choice.cpu", m.Groups[1].Value]);
    }

    /// <summary>A page size of the host.</summary>
    public static string Pages(long kib) => Format.Bytes(kib * 1024.0);

    public static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^(nodes|threads|topology|emulator|vhost|host|vcpu|memory|iothread|device)([\d,-]*|\ .{1,64})\z")]
    private static partial Regex Numbered();

    [GeneratedRegex(@"^sockets=(\d+),dies=(\d+),cores=(\d+),threads=(\d+)\z")]
    private static partial Regex Topology();

    [GeneratedRegex(@"\bnode(\d+)\b")]
    private static partial Regex Node();

    [GeneratedRegex(@"\bcpu ([\d,-]+)")]
    private static partial Regex Cpu();
}
