using System.Text.Json.Serialization;

namespace KvmPortal.Host.Contract;

/// <summary>
/// The closed list of what a host can be set to while it runs. Each names its aim; the host turns it into writes of kernel files, keeps what was there before, and reads back.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(HugePagesSetting), "huge-pages")]
[JsonDerivedType(typeof(TransparentHugePagesSetting), "transparent-huge-pages")]
[JsonDerivedType(typeof(KsmSetting), "ksm")]
[JsonDerivedType(typeof(CpuGovernorSetting), "cpu-governor")]
[JsonDerivedType(typeof(CpuLatencySetting), "cpu-latency")]
[JsonDerivedType(typeof(NumaBalancingSetting), "numa-balancing")]
[JsonDerivedType(typeof(ModuleParameterSetting), "module-parameter")]
[JsonDerivedType(typeof(IrqAffinitySetting), "irq-affinity")]
[JsonDerivedType(typeof(IrqbalanceBanSetting), "irqbalance-ban")]
[JsonDerivedType(typeof(SysctlSetting), "sysctl")]
public abstract record HostSetting
{
    /// <summary>What it overwrites: two settings with one key exclude each other.</summary>
    [JsonIgnore] public abstract string Key { get; }

    /// <summary>True for what lies in a file of the disk: a boot does not take it back.</summary>
    [JsonIgnore] public virtual bool OutlivesBoot => false;
}

/// <summary>A pool of huge pages (nr_hugepages).</summary>
/// <param name="Node">NUMA node; null lets the kernel spread them over all.</param>
/// <param name="SizeKiB">Page size: 2048, 1048576 …</param>
/// <param name="Count">Pages in the pool afterwards.</param>
/// <param name="AcceptFewer">Keep what could be had when the kernel finds no more; else it is given back and the step fails.</param>
/// <param name="More">Count is what is added to the pool, not what it comes to.</param>
public sealed record HugePagesSetting(int? Node, long SizeKiB, long Count, bool AcceptFewer = false, bool More = false) : HostSetting
{
    [JsonIgnore] public override string Key => $"huge-pages/{(Node is { } node ? $"{node}" : "all")}/{SizeKiB}";
}

/// <param name="Mode">always, madvise or never.</param>
public sealed record TransparentHugePagesSetting(string Mode) : HostSetting
{
    [JsonIgnore] public override string Key => "transparent-huge-pages";
}

/// <param name="State">off, on, or unmerge (off, and pages that are shared are taken apart).</param>
public sealed record KsmSetting(string State) : HostSetting
{
    [JsonIgnore] public override string Key => "ksm";
}

/// <param name="Cpus">Null: all.</param>
public sealed record CpuGovernorSetting(string Governor, CpuSet? Cpus = null) : HostSetting
{
    [JsonIgnore] public override string Key => "cpu-governor";
}

/// <summary>The longest time that an idle CPU may take to wake up (per-CPU PM QoS); 0: it must not sleep at all.</summary>
public sealed record CpuLatencySetting(CpuSet Cpus, int MaxMicroseconds) : HostSetting
{
    [JsonIgnore] public override string Key => "cpu-latency";
}

public sealed record NumaBalancingSetting(bool Enabled) : HostSetting
{
    [JsonIgnore] public override string Key => "numa-balancing";
}

/// <summary>A parameter of a loaded kernel module that can be changed while it runs; only known ones.</summary>
public sealed record ModuleParameterSetting(string Module, string Name, string Value) : HostSetting
{
    [JsonIgnore] public override string Key => $"module-parameter/{Module}/{Name}";
}

/// <summary>Moves interrupts away from CPUs. Those that the kernel places itself stay, and are told.</summary>
/// <param name="To">Where an interrupt goes that may be nowhere else; empty: to all other CPUs.</param>
public sealed record IrqAffinitySetting(CpuSet AwayFrom, CpuSet To = default) : HostSetting
{
    [JsonIgnore] public override string Key => "irq-affinity";
}

/// <summary>CPUs that irqbalance leaves alone (IRQBALANCE_BANNED_CPULIST).</summary>
public sealed record IrqbalanceBanSetting(CpuSet Cpus) : HostSetting
{
    [JsonIgnore] public override string Key => "irqbalance-ban";
    [JsonIgnore] public override bool OutlivesBoot => true;
}

/// <param name="Name">With dots, e.g. vm.swappiness; only known ones.</param>
public sealed record SysctlSetting(string Name, string Value) : HostSetting
{
    [JsonIgnore] public override string Key => $"sysctl/{Name}";
}

/// <summary>One write of a kernel file.</summary>
/// <param name="Path">As the host sees it.</param>
/// <param name="Now">What it says; of a choice the chosen word; of a file in /etc the value in question. Null: nothing.</param>
/// <param name="Then">What is written.</param>
public sealed record HostWrite(string Path, string? Now, string Then);

/// <summary>What became of one file.</summary>
/// <param name="Before">What it said before the portal changed it.</param>
/// <param name="Wanted">What the portal wrote, or found there already.</param>
/// <param name="Now">What it says.</param>
public sealed record SettingValue(string Path, string? Before, string Wanted, string? Now)
{
    /// <summary>Why it is not as wanted: the kernel refused, or somebody has changed it since.</summary>
    public string? Problem { get; init; }
}

/// <summary>What a setting comes to on this host now.</summary>
/// <param name="Writes">What applying it would write, in order; empty when it is so already.</param>
/// <param name="Made">What the portal has written for the preparation in question, as its journal says.</param>
/// <param name="InForce">What was made is still so; without a preparation: nothing is to be written.</param>
/// <param name="Refusal">Why this host cannot; null when it can.</param>
public sealed record SettingLook(IReadOnlyList<HostWrite> Writes, IReadOnlyList<SettingValue> Made, bool InForce, string? Refusal);

/// <summary>What applying or restoring a setting came to.</summary>
/// <param name="BootId">Of the kernel that was set.</param>
/// <param name="Complete">False when less was had than asked for, or something could not be given back yet.</param>
/// <param name="Values">Those with a problem first; at most 256.</param>
/// <param name="Note">In one sentence, what is not as it was asked for.</param>
public sealed record SettingOutcome(Guid PreparationId, string BootId, bool Restored, bool Complete, IReadOnlyList<SettingValue> Values, string? Note);
