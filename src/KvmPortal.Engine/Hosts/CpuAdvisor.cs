using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts;

/// <summary>What one choice of a CPU model means on this host.</summary>
/// <param name="Level">Micro-architecture level that programs see, 1 to 4 (x86-64 psABI); null where it is not known.</param>
/// <param name="Missing">What this host lacks for it, in QEMU's words.</param>
/// <param name="Costs">What it costs, and what it gives.</param>
public sealed record CpuModelAdvice(string Name, bool Runs, int? Level, IReadOnlyList<string> Missing, IReadOnlyList<Sentence> Costs);

/// <summary>Advice for the choice of a CPU model.</summary>
/// <param name="Dedicated">For machines that stay on this host.</param>
/// <param name="Movable">For machines that shall run on any host of this generation or newer; null where no named model runs.</param>
public sealed record CpuAdvice(Accelerator Accelerator, string Dedicated, string? Movable, IReadOnlyList<CpuModelAdvice> Models);

/// <summary>Knows the families of server CPUs that QEMU has models of, in the order in which they came, and what each lets programs use. Pure.</summary>
internal static class CpuAdvisor
{
    // docs/system/cpu-models-x86 of QEMU; levels by the features of each model (v3: AVX2, v4: AVX-512).
    private static readonly (string Family, int Level)[] Families =
    [
        ("qemu64", 1), ("kvm64", 1), ("Nehalem", 2), ("Westmere", 2), ("SandyBridge", 2), ("IvyBridge", 2), ("Haswell", 3), ("Broadwell", 3), ("Dhyana", 3), ("EPYC", 3), ("Skylake-Client", 3), ("Skylake-Server", 4),
        ("EPYC-Rome", 3), ("Cascadelake-Server", 4), ("Cooperlake", 4), ("EPYC-Milan", 3), ("Icelake-Server", 4), ("EPYC-Genoa", 4), ("SapphireRapids", 4), ("SierraForest", 3), ("GraniteRapids", 4), ("EPYC-Turin", 4),
    ];

    /// <summary>The newest named model of the CPU's vendor that runs here; null where none does.</summary>
    /// <param name="vendor">As in /proc/cpuinfo. A guest that is told of another vendor picks the wrong mitigations.</param>
    public static string? Baseline(IReadOnlyList<CpuModelFacts> models, string vendor) =>
        models.Where(m => m is { Missing.Count: 0, Deprecated: false } && Rank(m.Name) is > 1 && IsOf(m.Name, vendor)).OrderByDescending(m => Rank(m.Name)).ThenByDescending(m => Version(m.Name)).Select(m => m.Name).FirstOrDefault();

    /// <summary>Micro-architecture level of a named model; null for `host`, `max` and models of other families.</summary>
    public static int? Level(string model) => Rank(model) is { } rank ? Families[rank].Level : null;

    public static CpuAdvice Advise(Accelerator accelerator, IReadOnlyList<CpuModelFacts> models, string vendor)
    {
        var runs = models.Where(m => m.Missing.Count == 0).ToList();
        var highest = runs.Select(m => Level(m.Name)).Max() ?? 1;
        var movable = Baseline(models, vendor);
        var ordered = models.Where(m => m.Name is "host" or "max" || Rank(m.Name) is not null).OrderBy(m => m.Name switch { "host" => 0, "max" => 1, _ => 2 }).ThenByDescending(m => Rank(m.Name)).ThenByDescending(m => Version(m.Name));
        return new CpuAdvice(accelerator, accelerator == Accelerator.Kvm ? "host" : "max", movable, [.. ordered.Select(m => new CpuModelAdvice(m.Name, m.Missing.Count == 0, Level(m.Name), m.Missing, [.. Costs(m, highest, m.Name == movable)]))]);
    }

    private static IEnumerable<Sentence> Costs(CpuModelFacts model, int highest, bool movable)
    {
        if (model.Missing.Count > 0)
        {
            yield return Say.CpuModelLacks(model.Name, string.Join(", ", model.Missing.Take(8)));
            yield break;
        }

        if (model.Name == "host")
            yield return Say.CpuHostCost;
        if (model.Name == "max")
            yield return Say.CpuMaxCost;
        if (Level(model.Name) is { } level)
        {
            if (movable)
                yield return Say.CpuModelMovable;
            yield return level < highest ? Say.CpuLevelLost(level, highest) : Say.CpuLevelKept(level);
        }

        if (model.Deprecated)
            yield return Say.CpuModelDeprecated;
    }

    /// <summary>Place of the longest family name that the model's begins with.</summary>
    private static int? Rank(string model)
    {
        var best = -1;
        for (var i = 0; i < Families.Length; i++)
            if ((model == Families[i].Family || model.StartsWith(Families[i].Family + "-", StringComparison.Ordinal)) && (best < 0 || Families[i].Family.Length > Families[best].Family.Length))
                best = i;
        return best < 0 ? null : best;
    }

    private static bool IsOf(string model, string vendor) => vendor switch
    {
        "AuthenticAMD" => model.StartsWith("EPYC", StringComparison.Ordinal),
        "HygonGenuine" => model.StartsWith("Dhyana", StringComparison.Ordinal),
        _ => !model.StartsWith("EPYC", StringComparison.Ordinal) && !model.StartsWith("Dhyana", StringComparison.Ordinal),
    };

    private static int Version(string model) => model.LastIndexOf("-v", StringComparison.Ordinal) is > 0 and var at && int.TryParse(model[(at + 2)..], out var version) ? version : 0;
}
