namespace KvmPortal.Engine.Plans.Placement;

/// <summary>The profiles that the portal comes with.</summary>
public static class Profiles
{
    public static Profile General { get; } = new()
    {
        Name = "general",
        Pool = CpuPool.Shared,
        Threads = SmtUse.None,
        Nodes = NodeRule.PreferOne,
        Pages = [PageKind.Transparent],
        Memory = MemoryBinding.Preferred,
        Prealloc = false,
        Emulator = EmulatorPlace.SharedPool,
        IoThreads = IoThreadPlace.SharedPool,
        Devices = DeviceRule.Any,
        DedicatedHints = false,
        Balloon = true,
        Migration = MigrationRule.Live,
    };

    public static Profile LowLatency { get; } = new()
    {
        Name = "low-latency",
        Nodes = NodeRule.ExactlyOne,
        PerformanceCoresOnly = true,
        LockMemory = true,
        IoThreads = IoThreadPlace.CorePerFastDisk,
        Devices = DeviceRule.LocalOnly,
        CpuPowerManagement = true,
        WakeUpMicroseconds = 1,
    };

    public static Profile Hpc { get; } = new()
    {
        Name = "hpc",
        PagesMayDowngrade = true,
        PerformanceGovernor = true,
    };

    public static Profile AiMl { get; } = new()
    {
        Name = "ai-ml",
        Threads = SmtUse.Pair,
        Nodes = NodeRule.OfDevices,
        PagesMayDowngrade = true,
        Emulator = EmulatorPlace.OwnCores,
        IoThreads = IoThreadPlace.OwnCores,
        Devices = DeviceRule.SameRootPreferred,
        WakeUpMicroseconds = 70,
    };

    public static IReadOnlyList<Profile> BuiltIn { get; } = [General, LowLatency, Hpc, AiMl];

    /// <summary>The one that the portal comes with; null when an operator may have one of that name.</summary>
    public static Profile? Find(string name) => BuiltIn.FirstOrDefault(p => p.Name == name);
}
