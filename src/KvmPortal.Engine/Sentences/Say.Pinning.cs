namespace KvmPortal.Engine;

// Sentences of where a running machine's threads and memory are.
public static partial class Say
{
    public static Sentence VcpuThread(string index, string thread) => Make($"vCPU {index} (thread {thread})");
    public static Sentence IoThreadOf(string name, string thread) => Make($"I/O thread {name} (thread {thread})");
    public static Sentence VhostThread(string thread) => Make($"vhost thread {thread}");
    public static Sentence TpmThread(string thread) => Make($"TPM thread {thread}");
    public static Sentence QemuThread(string thread) => Make($"QEMU's thread {thread}");
    public static Sentence ThreadMoved(Sentence who, string actual, string wanted) => Make($"{who} may run on the CPUs {actual}; its place is {wanted}.");
    public static Sentence ThreadsMoved(Sentence first, string count) => Make($"{first} {count} more threads are out of place.");
    public static Sentence ThreadPutBack(Sentence who, string cpus) => Make($"{who} was put back on the CPUs {cpus}.");
    public static Sentence ThreadsPutBack(string count) => Make($"{count} threads were put back where they belong.");
    public static Sentence ThreadCpusOffline(Sentence who, string cpus) => Make($"{who} cannot be put on the CPUs {cpus}: none of them is online.");
    public static Sentence ThreadRefused(Sentence who, string cpus, string why) => Make($"{who} cannot be put on the CPUs {cpus}: {why}.");
    public static Sentence ThreadElsewhere(Sentence who, string cpus, string actual) => Make($"{who} was to be put on the CPUs {cpus}, but may run on {actual}.");
    public static Sentence ThreadHasEnded(Sentence who, string cpus) => Make($"{who} was to be put on the CPUs {cpus}, but has ended.");
    public static Sentence PlacementCpusOffline(string cpus) => Make($"The host's CPUs {cpus}, which this machine's placement uses, are offline.");
    public static Sentence VcpuThreadsMissing(string found, string all) => Make($"Only {found} of {all} vCPU threads are there.");
    public static Sentence MemoryElsewhere(string mib, string node, string place) => Make($"{mib} MiB of the guest's memory lie on node {node}; their place is node {place}.");
    public static Sentence HugeMemoryMissing(string actual, string wanted, string size) => Make($"Only {actual} of {wanted} MiB of the guest's memory are on pages of {size}.");
    public static Sentence VcpuNotOwn(string index, string thread) => Make($"QEMU says that vCPU {index} is thread {thread}, which is none of its own.");
    public static Sentence MemlockLimited(string mib) => Make($"The portal may lock {mib} MiB of memory only, and may not raise that limit.");
    public static Sentence MemlockHint => Make("Set LimitMEMLOCK=infinity for the portal's service, or do not lock this machine's memory.");
    public static Sentence VcpusShareCpus => Make("The machine's vCPUs share their CPUs with other threads.");
    public static Sentence NoOwnControlGroup => Make("The machine has no control group of its own.");
    public static Sentence NoCpuPartitions => Make("This kernel has no partitions of CPUs.");
    public static Sentence NotTakenIntoPartition => Make("The kernel did not take the vCPUs into the partition.");
    public static Sentence KernelOfPartition(string words) => Make($"The kernel says of the partition: {words}.");
    public static Sentence CpusIsolated(string cpus) => Make($"CPUs {cpus} in an isolated partition of their own");
    public static Sentence PartitionLost(string words) => Make($"The partition of the vCPUs' CPUs is not in force any more: {words}.");
    public static Sentence NoRealtimeKernel => Make("This kernel is not a real-time kernel: vCPUs in the real-time class could stop the host.");
    public static Sentence RealtimeNeedsOwnCpus => Make("vCPUs run in the real-time class only where each has a CPU of its own.");
    public static Sentence NoCoreScheduling => Make("This kernel has no core scheduling.");
    public static Sentence OneThreadCores => Make("The host's cores have one thread each.");
    public static Sentence NoCookie => Make("The kernel gave it no cookie.");
    public static Sentence CoreCookie(string cookie) => Make($"cookie {cookie}: nobody else runs beside it on a core");
}
