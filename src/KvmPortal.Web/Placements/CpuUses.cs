using KvmPortal.Engine.Data;
using KvmPortal.Engine.Placements;
using KvmPortal.Host.Contract;

namespace KvmPortal.Web.Placements;

/// <summary>What a CPU of the host is for.</summary>
public enum CpuRole { Shared, Housekeeping, Vcpu, IoThread, Emulator, Vhost, Idle, Held }

/// <summary>A machine in the picture.</summary>
/// <param name="Mark">A, B … Z, AA …: tells machines apart without colours.</param>
/// <param name="Hue">1 to 8; machines beyond share colours.</param>
public sealed record PlacedMachine(VmId Id, string Name, string Profile, string Mark, int Hue, CpuSet Cpus, int Vcpus);

/// <param name="Thread">Null: the CPU is held, but nothing is known to run there.</param>
public sealed record CpuTenant(PlacedMachine Machine, CpuRole Role, LedgerThread? Thread);

/// <param name="Owner">Who alone has it; null for the host's own and shared ones.</param>
/// <param name="Tenants">Threads that belong there, the most important first.</param>
public sealed record CpuUse(CpuRole Role, PlacedMachine? Owner, IReadOnlyList<CpuTenant> Tenants);

/// <summary>The ledger, turned around: for each CPU who is there and for what. Pure.</summary>
public sealed class CpuUses
{
    private const int Hues = 8;

    private readonly Dictionary<int, CpuUse> uses = [];
    private readonly LedgerView ledger;

    public CpuUses(LedgerView ledger)
    {
        this.ledger = ledger;
        Machines = [.. ledger.Lines.Select((l, i) => new PlacedMachine(l.VmId, l.Name ?? l.Held.Vm, l.Held.Class, MarkOf(i), (i % Hues) + 1, l.Held.Cpus, l.Held.Vcpus))];
        var tenants = new Dictionary<int, List<CpuTenant>>();
        foreach (var (line, machine) in ledger.Lines.Zip(Machines))
        {
            foreach (var thread in line.Threads)
                foreach (var cpu in thread.Cpus)
                    Add(cpu, new CpuTenant(machine, RoleOf(thread.Role), thread));
            foreach (var cpu in line.Held.Cpus)
                if (!tenants.TryGetValue(cpu, out var there) || there.All(t => t.Machine != machine))
                    Add(cpu, new CpuTenant(machine, line.Idle.Contains(cpu) ? CpuRole.Idle : CpuRole.Held, null));
        }

        foreach (var (cpu, list) in tenants)
        {
            var sorted = list.OrderBy(t => Rank(t.Role)).ThenBy(t => t.Thread?.Index ?? 0).ToList();
            var owner = sorted.FirstOrDefault(t => t.Machine.Cpus.Contains(cpu));
            uses[cpu] = owner is null ? Bare(cpu) with { Tenants = sorted } : new CpuUse(owner.Role, owner.Machine, sorted);
        }

        void Add(int cpu, CpuTenant tenant)
        {
            if (!tenants.TryGetValue(cpu, out var list))
                tenants[cpu] = list = [];
            list.Add(tenant);
        }
    }

    /// <summary>In the ledger's order.</summary>
    public IReadOnlyList<PlacedMachine> Machines { get; }

    public CpuUse this[int cpu] => uses.GetValueOrDefault(cpu) ?? Bare(cpu);

    /// <summary>Whether a thread of the machine belongs there, or the CPU is kept for it.</summary>
    public bool Concerns(int cpu, VmId machine) => this[cpu].Tenants.Any(t => t.Machine.Id == machine);

    private CpuUse Bare(int cpu) => new(ledger.Housekeeping.Contains(cpu) ? CpuRole.Housekeeping : CpuRole.Shared, null, []);

    private static CpuRole RoleOf(ThreadRole role) => role switch
    {
        ThreadRole.Vcpu => CpuRole.Vcpu,
        ThreadRole.IoThread => CpuRole.IoThread,
        ThreadRole.Emulator or ThreadRole.Companion => CpuRole.Emulator,
        ThreadRole.Vhost => CpuRole.Vhost,
    };

    private static int Rank(CpuRole role) => role switch
    {
        CpuRole.Vcpu => 0,
        CpuRole.IoThread => 1,
        CpuRole.Emulator => 2,
        CpuRole.Vhost => 3,
        CpuRole.Idle or CpuRole.Held or CpuRole.Housekeeping or CpuRole.Shared => 4,
    };

    private static string MarkOf(int at) => at < 26 ? $"{(char)('A' + at)}" : MarkOf((at / 26) - 1) + (char)('A' + (at % 26));
}
