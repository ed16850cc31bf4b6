using System.Text.RegularExpressions;
using KvmPortal.Engine.Plans.Placement;

namespace KvmPortal.Engine.Placements;

/// <summary>What a profile of an operator's own may be: all problems at once, each with its pointer. Pure.</summary>
internal static partial class ProfileRules
{
    public const int MostName = 40;
    public const int MostDescription = 1000;
    private const int MostWakeUp = 1_000_000;

    public static IReadOnlyList<Problem> Check(Profile knobs, string description)
    {
        var problems = new List<Problem>();
        if (!NamePattern().IsMatch(knobs.Name) || knobs.Name.Length > MostName)
            problems.Add(new Problem("/name", "invalid-name", Say.ProfileNameRule(MostName)));
        if (description.Length > MostDescription)
            problems.Add(new Problem("/description", "too-long", Say.AtMostCharacters(MostDescription)));
        if (knobs.Pages.Count == 0 || knobs.Pages.Distinct().Count() != knobs.Pages.Count)
            problems.Add(new Problem("/knobs/pages", "invalid-list", Say.ProfilePagesRule).WithFit(Profiles.General.Pages));
        if (knobs.WakeUpMicroseconds is < 0 or > MostWakeUp)
            problems.Add(new Problem("/knobs/wakeUpMicroseconds", "out-of-range", Say.NumberFromTo(0, MostWakeUp)));
        if (knobs.Pool == CpuPool.Dedicated)
            return problems;
        // In the shared pool nobody has a CPU of its own: what needs one would be a promise that nobody keeps.
        Refuse("threads", knobs.Threads != SmtUse.None, SmtUse.None);
        Refuse("emulator", knobs.Emulator == EmulatorPlace.OwnCores, EmulatorPlace.SharedPool);
        Refuse("ioThreads", knobs.IoThreads is IoThreadPlace.OwnCores or IoThreadPlace.CorePerFastDisk, IoThreadPlace.SharedPool);
        Refuse("cpuPowerManagement", knobs.CpuPowerManagement, false);
        Refuse("dedicatedHints", knobs.DedicatedHints, false);
        Refuse("performanceGovernor", knobs.PerformanceGovernor, false);
        Refuse("wakeUpMicroseconds", knobs.WakeUpMicroseconds is not null, null);
        Refuse("realtime", knobs.Realtime, false);
        return problems;

        void Refuse(string knob, bool wrong, object? fit)
        {
            if (wrong)
                problems.Add(new Problem($"/knobs/{knob}", "needs-own-cpus", Say.ProfileNeedsOwnCpus).WithFit(fit));
        }
    }

    [GeneratedRegex(@"^[a-z][a-z0-9-]*\z")]
    private static partial Regex NamePattern();
}
