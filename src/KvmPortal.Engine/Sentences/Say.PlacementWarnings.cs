namespace KvmPortal.Engine;

// Sentences of placement: what an overridden knob costs, and what is warned of.
public static partial class Say
{
    public static Sentence CostIsolate => Make("One vCPU for each core instead of each thread: twice as many cores are held.");
    public static Sentence CostPair => Make("vCPUs share cores: up to a third less for each, and its wake-ups jitter.");
    public static Sentence CostMediumPages => Make("Pages of 2 MiB instead of 1 GiB: some more TLB misses, and devices take longer to map.");
    public static Sentence CostSmallPages => Make("No huge pages of its own: more TLB misses, and memory that the kernel may move.");
    public static Sentence CostHugeShared => Make("Huge pages are taken for good: they cannot be shared, ballooned or over-committed.");
    public static Sentence CostUnbound => Make("Memory is not bound: under pressure some of it comes from a remote node.");
    public static Sentence CostNoPrealloc => Make("Pages are not touched beforehand: the first access of each faults, and a shortage shows only then.");
    public static Sentence CostUnlocked => Make("Memory is not locked: the host may swap it.");
    public static Sentence CostOwnCores => Make("QEMU's own threads take whole cores.");
    public static Sentence CostEmulatorShared => Make("The emulator shares CPUs with others: device emulation and migration wait for them.");
    public static Sentence CostIoShared => Make("I/O threads share CPUs with others: disk latency varies.");
    public static Sentence CostRemoteDevices => Make("Devices of other nodes are accepted: each access crosses nodes.");
    public static Sentence CostCpuPm => Make("The guest puts its CPUs to sleep itself: the host shows them as always busy.");
    public static Sentence CostCpuPmShared => Make("The guest holds shared CPUs while it idles: others wait for nothing.");
    public static Sentence CostNoCpuPm => Make("Idle vCPUs leave to the host: waking up costs some µs more.");
    public static Sentence CostShortWake(int microseconds) => Make($"A wake-up of at most {microseconds} µs keeps its CPUs from deep sleep: more power.");
    public static Sentence CostLongWake(int microseconds) => Make($"Wake-ups may take {microseconds} µs.");
    public static Sentence CostGovernor => Make("Its CPUs always run at full frequency: more power.");
    public static Sentence CostRealtime => Make("vCPUs in the real-time class starve the host's work on their CPUs.");
    public static Sentence CostHintsShared => Make("The guest is told that its CPUs are its own, which they are not: it spins where it should yield.");
    public static Sentence CostBalloon => Make("The balloon takes pages away while the machine runs.");
    public static Sentence CostMerge => Make("Merged pages cost CPU time and let neighbours learn of equal pages.");
    public static Sentence WarnKvmUnproven => Make("No guest was run on KVM yet since the host booted; the start proves it first.");
    public static Sentence WarnEmulated => Make("This host has no usable KVM: threads are pinned all the same, but the guest is emulated and slow.");
    public static Sentence WarnSoft(string cgroup) => Make($"The kernel cannot enforce exclusive CPUs here (cgroup: {cgroup}): the portal only keeps its own machines off them.");
    public static Sentence WarnSoftInvalid(string words) => Make($"The kernel refused an isolated partition ({words}): CPUs are exclusive only among the portal's machines.");
    public static Sentence WarnNohz(string cpus) => Make($"The timer ticks on CPUs {cpus}; nohz_full and rcu_nocbs at boot would stop that.");
    public static Sentence WarnNumaBalancing => Make("The kernel's NUMA balancing is on: it unmaps pages to see who uses them, which pinned machines need not.");
    public static Sentence WarnDefrag => Make("Transparent huge pages are made at once (defrag=always): allocations may stall.");
    public static Sentence WarnSwap => Make("The host swaps, and this memory is not locked.");
    public static Sentence WarnKsm => Make("The kernel merges equal pages (KSM): it costs CPU time and tells neighbours of equal pages.");
    public static Sentence WarnGovernor => Make("Some of its CPUs do not run at full frequency (governor).");
    public static Sentence WarnClock(string clock) => Make($"The host's clock source is {clock}, not tsc: reading the time is slow in guests.");
    public static Sentence WarnIrqbalance(string cpus) => Make($"irqbalance runs and may move interrupts back; ban CPUs {cpus} in its settings.");
    public static Sentence WarnManaged(int interrupts) => Make($"Interrupts on its CPUs that the kernel places itself and that stay there: {interrupts}.");
    public static Sentence WarnNxHugePages => Make("kvm.nx_huge_pages is on: the guest's code runs from small pages.");
    public static Sentence WarnFewFastCores(int vcpus, int cores) => Make($"{vcpus} vCPUs share {cores} performance cores: more would not be free.");
    public static Sentence WarnOddThreads(int vcpus) => Make($"{vcpus} vCPUs do not fill whole cores: the guest does not see which of them are threads of one core.");
    public static Sentence WarnUneven(int vcpus, int nodes) => Make($"{vcpus} vCPUs do not divide evenly over {nodes} nodes.");
    public static Sentence WarnGrow(long pages) => Make($"{pages} huge pages are made while the host runs; fragmentation may prevent that, and then the start is refused.");
    public static Sentence WarnGrowLarge(long pages) => Make($"{pages} pages of 1 GiB are made while the host runs, which is likely to fail unless it booted lately; only a boot parameter is sure.");
    public static Sentence WarnSharedShrinks(int taken, int left, int vcpus) => Make($"{taken} CPUs leave the shared pool: {left} stay for {vcpus} vCPUs of ordinary machines.");
    public static Sentence WarnNoVirtualNodes => Make("An ordinary machine has one NUMA node; its vCPUs float.");
    public static Sentence WarnCpuOvercommit(int committed, int physical, string ratio) => Make($"CPUs are over-committed: {committed} vCPUs on {physical} shared CPUs ({ratio} for each).");
    public static Sentence WarnWide(int vcpus, int cpus) => Make($"{vcpus} vCPUs float over only {cpus} CPUs: they wait for each other.");
    public static Sentence WarnMemoryOvercommit(long committed, long physical, string ratio) => Make($"Memory is over-committed: {committed} MiB promised of {physical} MiB ({ratio} times).");
    public static Sentence WarnMemoryNow(long free, long need) => Make($"Just now {free} MiB are free there, {need} MiB are promised: caches must give way.");
    public static Sentence WarnTenantThreads => Make("Machines of different tenants share threads of a core, and the kernel does not schedule by core.");
    public static Sentence WarnNodeUnknown(string device) => Make($"At which node {device} is cannot be known: it may be remote.");
    public static Sentence WarnRemote(string device, int node) => Make($"{device} is remote, at node{node}: each access crosses nodes.");
    public static Sentence WarnLink(string device, int width, int most) => Make($"{device} is linked with {width} lanes of {most}.");
    public static Sentence WarnBootVga(string device) => Make($"{device} is the host's boot display: its console goes dark.");
    public static Sentence WarnInterruptRemapping => Make("The IOMMU does not remap interrupts: a guest with a device could forge some.");
}
