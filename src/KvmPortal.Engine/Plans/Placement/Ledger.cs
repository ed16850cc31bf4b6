using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Who holds what of a host. A plan names the generation that it was made from; it is recorded only if that is still the newest.</summary>
public sealed record Ledger(long Generation, IReadOnlyList<Reservation> Reservations)
{
    public static Ledger Empty { get; } = new(0, []);

    /// <summary>The next generation, with <paramref name="reservation"/> instead of what its machine held.</summary>
    public Ledger With(Reservation reservation) => new(Generation + 1, [.. Reservations.Where(r => r.Vm != reservation.Vm), reservation]);

    /// <summary>The next generation, without what the machine held.</summary>
    public Ledger Without(string vm) => new(Generation + 1, [.. Reservations.Where(r => r.Vm != vm)]);
}

/// <summary>What one machine holds, planned or running.</summary>
public sealed record Reservation
{
    /// <summary>Unique; the machine's id.</summary>
    public required string Vm { get; init; }
    /// <summary>Its profile's name.</summary>
    public string Class { get; init; } = "general";
    public string? Tenant { get; init; }
    /// <summary>Its process runs: the pages that it has are gone from what the host shows as free.</summary>
    public bool Running { get; init; }
    public int Vcpus { get; init; }
    /// <summary>CPUs that nobody else gets, threads that must idle included; empty in the shared pool.</summary>
    public CpuSet Cpus { get; init; }
    public IReadOnlyList<HugePageHold> HugePages { get; init; } = [];
    /// <summary>Of ordinary pages.</summary>
    public IReadOnlyList<MemoryHold> Memory { get; init; } = [];
    /// <summary>PCI addresses.</summary>
    public IReadOnlyList<string> Devices { get; init; } = [];
}

/// <param name="Grown">How many of them are added to the node's pool for this machine.</param>
public sealed record HugePageHold(int Node, long SizeKiB, long Pages, long Grown = 0);

public sealed record MemoryHold(int Node, long MiB);
