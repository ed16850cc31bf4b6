using KvmPortal.Engine.Data;

namespace KvmPortal.Engine.Balloons;

/// <summary>What is known of the host's memory in one round.</summary>
/// <param name="Pressure">PSI `some avg10` in percent; null where the kernel has no PSI.</param>
internal sealed record MemoryStanding(long TotalMiB, long AvailableMiB, double? Pressure);

/// <summary>A running machine whose balloon may be used.</summary>
/// <param name="FullMiB">What its guest has by definition.</param>
/// <param name="FloorMiB">Never less.</param>
/// <param name="NowMiB">What its guest has now.</param>
internal sealed record BalloonMachine(VmId Id, int FullMiB, int FloorMiB, int NowMiB);

internal sealed record BalloonMove(VmId Id, int BeforeMiB, int TargetMiB);

/// <param name="CalmRounds">How many rounds in a row the host has had plenty.</param>
internal sealed record BalloonVerdict(IReadOnlyList<BalloonMove> Moves, int CalmRounds);

/// <summary>
/// Who gives memory when the host is short of it, and who gets it back. Pure. Slow on purpose: a round moves at most a fiftieth of the host's memory and an eighth of a machine's;
/// between too little and plenty nothing moves, and giving back waits until there has been plenty for a minute.
/// </summary>
internal static class BalloonDecision
{
    public const int StepMiB = 16;
    /// <summary>Rounds of plenty before anything is given back.</summary>
    public const int CalmBefore = 6;
    private const double Waiting = 10;
    private const double Quiet = 1;

    public static bool IsShort(MemoryStanding host) => host.AvailableMiB < host.TotalMiB / 20 || host.Pressure >= Waiting && host.AvailableMiB < host.TotalMiB / 4;

    public static bool IsCalm(MemoryStanding host) => host.AvailableMiB > Plenty(host) && (host.Pressure ?? 0) < Quiet;

    public static BalloonVerdict Decide(MemoryStanding host, IReadOnlyList<BalloonMachine> machines, int calmRounds)
    {
        if (IsShort(host))
            return new BalloonVerdict(Take(host, machines), 0);
        if (!IsCalm(host))
            return new BalloonVerdict([], 0);
        return calmRounds + 1 >= CalmBefore ? new BalloonVerdict(Give(host, machines), CalmBefore) : new BalloonVerdict([], calmRounds + 1);
    }

    private static long Plenty(MemoryStanding host) => host.TotalMiB * 15 / 100;

    /// <summary>From each in proportion to what it has above its floor.</summary>
    private static List<BalloonMove> Take(MemoryStanding host, IReadOnlyList<BalloonMachine> machines)
    {
        var wanted = Math.Min(Math.Max(host.TotalMiB * 8 / 100 - host.AvailableMiB, 64), Math.Max(64, host.TotalMiB / 50));
        var room = machines.Sum(m => (long)Math.Max(0, m.NowMiB - m.FloorMiB));
        var moves = new List<BalloonMove>();
        foreach (var machine in room == 0 ? [] : machines)
        {
            long has = Math.Max(0, machine.NowMiB - machine.FloorMiB);
            var share = Math.Min(Math.Min(has, (wanted * has + room - 1) / room), Math.Max(StepMiB, machine.FullMiB / 8)) / StepMiB * StepMiB;
            if (share > 0)
                moves.Add(new BalloonMove(machine.Id, machine.NowMiB, (int)(machine.NowMiB - share)));
        }

        return moves;
    }

    /// <summary>To each in proportion to what it lacks, and only of what the host has beyond plenty.</summary>
    private static List<BalloonMove> Give(MemoryStanding host, IReadOnlyList<BalloonMachine> machines)
    {
        var spare = Math.Min((host.AvailableMiB - Plenty(host)) / 2, Math.Max(64, host.TotalMiB / 50));
        var lacking = machines.Sum(m => (long)Math.Max(0, m.FullMiB - m.NowMiB));
        var moves = new List<BalloonMove>();
        foreach (var machine in lacking == 0 ? [] : machines)
        {
            long lacks = Math.Max(0, machine.FullMiB - machine.NowMiB);
            var share = Math.Min(spare * lacks / lacking, Math.Max(StepMiB, machine.FullMiB / 8));
            // The last bit goes back at once: what is left is less than a step.
            share = lacks <= share + StepMiB ? lacks : share / StepMiB * StepMiB;
            if (share > 0 && share <= spare)
                moves.Add(new BalloonMove(machine.Id, machine.NowMiB, (int)(machine.NowMiB + share)));
        }

        return moves;
    }
}
