using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Scores;

/// <summary>
/// How near a machine is to bare metal: every rule's row, and the earned part of all points as a number from 0 to 100. What is impossible here counts as not there: it separates the machine
/// from bare metal, whoever is to blame. Pure.
/// </summary>
public static class BareMetalScore
{
    /// <summary>An emulated guest is many times slower whatever else is in force, so no more than this is ever said of it.</summary>
    public const int MostEmulated = 10;

    private static readonly IReadOnlyList<ScoreRule> Rules = [.. CpuRules.All, .. MemoryRules.All, .. TimeRules.All, .. DeviceRules.All];

    public static ScoreReport Of(ScoreInput input)
    {
        var rows = Rules.Select(r => r.Row(input)).ToList();
        var share = (int)Math.Round(100 * rows.Sum(r => r.Points * r.Earned) / rows.Sum(r => r.Points));
        return new ScoreReport(input.Accelerator == Accelerator.Tcg ? Math.Min(share, MostEmulated) : share, input.Accelerator, input.Running, rows);
    }
}
