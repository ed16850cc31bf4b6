namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Knobs that a definition sets itself; null: as the profile says.</summary>
public sealed record ProfileOverrides
{
    public SmtUse? Threads { get; init; }
    public PageKind? Pages { get; init; }
    public MemoryBinding? Memory { get; init; }
    public bool? Prealloc { get; init; }
    public bool? LockMemory { get; init; }
    public EmulatorPlace? Emulator { get; init; }
    public IoThreadPlace? IoThreads { get; init; }
    public DeviceRule? Devices { get; init; }
    public bool? CpuPowerManagement { get; init; }
    public int? WakeUpMicroseconds { get; init; }
    public bool? PerformanceGovernor { get; init; }
    public bool? Realtime { get; init; }
    public bool? DedicatedHints { get; init; }
    public bool? Balloon { get; init; }
    public bool? MergePages { get; init; }

    /// <summary>Every knob as a profile has it.</summary>
    public static ProfileOverrides Of(Profile profile) => new()
    {
        Threads = profile.Threads,
        Pages = profile.Pages[0],
        Memory = profile.Memory,
        Prealloc = profile.Prealloc,
        LockMemory = profile.LockMemory,
        Emulator = profile.Emulator,
        IoThreads = profile.IoThreads,
        Devices = profile.Devices,
        CpuPowerManagement = profile.CpuPowerManagement,
        WakeUpMicroseconds = profile.WakeUpMicroseconds,
        PerformanceGovernor = profile.PerformanceGovernor,
        Realtime = profile.Realtime,
        DedicatedHints = profile.DedicatedHints,
        Balloon = profile.Balloon,
        MergePages = profile.MergePages,
    };

    /// <summary>The profile with these knobs.</summary>
    public Profile On(Profile profile) => profile with
    {
        Threads = Threads ?? profile.Threads,
        Pages = Pages is { } pages ? [pages] : profile.Pages,
        Memory = Memory ?? profile.Memory,
        Prealloc = Prealloc ?? profile.Prealloc,
        LockMemory = LockMemory ?? profile.LockMemory,
        Emulator = Emulator ?? profile.Emulator,
        IoThreads = IoThreads ?? profile.IoThreads,
        Devices = Devices ?? profile.Devices,
        CpuPowerManagement = CpuPowerManagement ?? profile.CpuPowerManagement,
        WakeUpMicroseconds = WakeUpMicroseconds ?? profile.WakeUpMicroseconds,
        PerformanceGovernor = PerformanceGovernor ?? profile.PerformanceGovernor,
        Realtime = Realtime ?? profile.Realtime,
        DedicatedHints = DedicatedHints ?? profile.DedicatedHints,
        Balloon = Balloon ?? profile.Balloon,
        MergePages = MergePages ?? profile.MergePages,
    };

    /// <summary>What each changed knob costs against the profile; one that costs nothing is not named.</summary>
    public IEnumerable<Sentence> Costs(Profile profile)
    {
        var (now, dedicated) = (On(profile), profile.Pool == CpuPool.Dedicated);
        if (dedicated && now.Threads != profile.Threads && now.Threads == SmtUse.Isolate)
            yield return Say.CostIsolate;
        if (dedicated && now.Threads != profile.Threads && now.Threads != SmtUse.Isolate)
            yield return Say.CostPair;
        if (Pages is { } pages && pages < profile.Pages[0])
            yield return pages == PageKind.Huge2M ? Say.CostMediumPages : Say.CostSmallPages;
        if (Pages is PageKind.Huge2M or PageKind.Huge1G && !dedicated)
            yield return Say.CostHugeShared;
        if (now.Memory == MemoryBinding.Preferred && profile.Memory == MemoryBinding.Bind)
            yield return Say.CostUnbound;
        if (!now.Prealloc && profile.Prealloc)
            yield return Say.CostNoPrealloc;
        if (!now.LockMemory && profile.LockMemory)
            yield return Say.CostUnlocked;
        if (dedicated && now.Emulator != profile.Emulator)
            yield return now.Emulator == EmulatorPlace.OwnCores ? Say.CostOwnCores : Say.CostEmulatorShared;
        if (dedicated && now.IoThreads != profile.IoThreads)
            yield return now.IoThreads is IoThreadPlace.OwnCores or IoThreadPlace.CorePerFastDisk ? Say.CostOwnCores : Say.CostIoShared;
        if (profile.Devices == DeviceRule.LocalOnly && now.Devices != DeviceRule.LocalOnly)
            yield return Say.CostRemoteDevices;
        if (now.CpuPowerManagement && !profile.CpuPowerManagement)
            yield return dedicated ? Say.CostCpuPm : Say.CostCpuPmShared;
        if (!now.CpuPowerManagement && profile.CpuPowerManagement)
            yield return Say.CostNoCpuPm;
        if (WakeUpMicroseconds is { } wake && wake != profile.WakeUpMicroseconds)
            yield return wake < (profile.WakeUpMicroseconds ?? int.MaxValue) ? Say.CostShortWake(wake) : Say.CostLongWake(wake);
        if (now.PerformanceGovernor && !profile.PerformanceGovernor)
            yield return Say.CostGovernor;
        if (now.Realtime && !profile.Realtime)
            yield return Say.CostRealtime;
        if (now.DedicatedHints && !dedicated)
            yield return Say.CostHintsShared;
        if (now.Balloon && !profile.Balloon)
            yield return Say.CostBalloon;
        if (now.MergePages && !profile.MergePages)
            yield return Say.CostMerge;
    }
}
