using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Tests.Linux.Fixtures;

/// <summary>Other ids for the CPUs, cores and packages of a fixture: what a host is must not depend on them.</summary>
public sealed class Renaming
{
    private readonly Random? random;
    private readonly Dictionary<int, int> cpus = [];
    private readonly Dictionary<string, int> others = [];

    private Renaming(Random? random) => this.random = random;

    /// <summary>Ids stay as they are.</summary>
    public static Renaming None { get; } = new(null);

    /// <summary>Any ids below 2048 for CPUs, and below 100000 for the rest, each used once.</summary>
    public static Renaming ByChance(int seed) => new(new Random(seed));

    public int Cpu(int id)
    {
        if (random is null)
            return id;
        if (!cpus.TryGetValue(id, out var now))
        {
            do
                now = random.Next(2048);
            while (cpus.ContainsValue(now));
            cpus[id] = now;
        }

        return now;
    }

    /// <summary>A set, each member renamed.</summary>
    public CpuSet Set(CpuSet set) => random is null ? set : CpuSet.Of(set.Select(Cpu));

    /// <summary>A list in the kernel's format, each member renamed.</summary>
    public string List(string list) => Set(CpuSet.Parse(list)).ToString();

    /// <summary>A core's or package's id.</summary>
    public int Other(string what, int id)
    {
        if (random is null || id < 0)
            return id;
        if (!others.TryGetValue($"{what}{id}", out var now))
        {
            do
                now = random.Next(100_000);
            while (others.ContainsValue(now));
            others[$"{what}{id}"] = now;
        }

        return now;
    }
}
