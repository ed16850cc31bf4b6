namespace KvmPortal.Engine;

// Of CPU models and what they cost.
public static partial class Say
{
    public static Sentence CpuModelLacks(string model, string features) => Make($"The model {model} needs what this host's CPU cannot give: {features}.");
    public static Sentence CpuModelKept => Make("The model of the machine's earlier starts: the guest's CPU stays what it was.");
    public static Sentence CpuModelMovable => Make("Every host with a CPU of this generation or newer has it: the machine can be moved.");
    public static Sentence CpuHostCost => Make("The guest sees all that this CPU has, and is fastest; it can move only to a host with the same CPU, microcode and kernel.");
    public static Sentence CpuMaxCost => Make("Everything that this QEMU can give here; an upgrade of QEMU or the kernel changes the guest's CPU.");
    public static Sentence CpuLevelKept(int level) => Make($"Programs see x86-64-v{level}, as on the host.");
    public static Sentence CpuLevelLost(int level, int host) => Make($"Programs see x86-64-v{level}; this host's CPU has v{host}, and what is built for that runs slower or not at all.");
    public static Sentence CpuModelDeprecated => Make("QEMU is going to drop this model.");
    public static Sentence MicrovmNoWindows => Make("Windows does not run on microvm: take q35.");
    public static Sentence CannotBeSaved => Make("This machine's CPU is exactly the host's, with a clock that cannot be stopped: its state cannot be saved.");
    public static Sentence CannotBeSavedHint => Make("Shut it down instead, or set its CPU model to host and start it anew.");
}
