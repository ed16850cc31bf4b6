namespace KvmPortal.Engine;

// What a host says of its machines. The host speaks English over its seam; HostSentences recognises these.
public static partial class Say
{
    public static Sentence GuestPoweredOff => Make("The guest powered itself off.");
    public static Sentence WasStopped => Make("It was stopped.");
    public static Sentence StateWasSaved => Make("Its state was saved.");
    public static Sentence EndedBySignal => Make("Its QEMU was ended by a signal from the host.");
    public static Sentence QemuDied => Make("Its QEMU died.");
    public static Sentence QemuKilled(string signal) => Make($"Its QEMU was killed by signal {signal}.");
    public static Sentence QemuExited(string exit) => Make($"Its QEMU ended with exit code {exit}.");
    public static Sentence EndNotKnown => Make("It ended; how is not known.");
    public static Sentence KernelPanicked => Make("The guest's kernel panicked.");
    public static Sentence GuestRestarted => Make("The guest restarted itself.");
    public static Sentence GuestRebooted => Make("The guest rebooted.");
    public static Sentence WatchdogExpired(string action) => Make($"The guest's watchdog expired (action {action}).");
    public static Sentence ViewerConnected => Make("A viewer connected to the display.");
    public static Sentence ViewerLeft => Make("A viewer left the display.");
    public static Sentence DiskFull(string disk) => Make($"Disk {disk}: no space left on the host.");
    public static Sentence DiskError(string disk, string operation) => Make($"Disk {disk}: {operation} error on the host.");
    public static Sentence GuestMemoryNow(string mib) => Make($"The guest has {mib} MiB of memory now.");
    public static Sentence AgentAsked => Make("The guest agent was asked to power off.");
    public static Sentence AcpiPressed => Make("No guest agent answers; the ACPI power button was pressed.");
    public static Sentence NotOffRunsOn(string seconds) => Make($"The guest did not power off within {seconds} s; it runs on.");
    public static Sentence NotOffEnded(string seconds) => Make($"The guest did not power off within {seconds} s; it is ended.");
    public static Sentence KvmUntried => Make("Nobody has tried yet since the host booted.");
    public static Sentence KvmWorks => Make("A tiny 64-bit guest ran to its end on KVM.");
    public static Sentence KvmAbsent => Make("The host has no /dev/kvm: its CPU or firmware offers no virtualisation, or the kvm module is not loaded.");
    public static Sentence KvmStuck(string seconds) => Make($"/dev/kvm opens, but a tiny test guest did not finish on it within {seconds} s.");
    public static Sentence KvmFailed(Sentence words) => Make($"/dev/kvm is there, but a tiny test guest failed on it: {words}.");
    public static Sentence KvmFailedCode(string exit) => Make($"/dev/kvm is there, but a tiny test guest failed on it (exit code {exit}).");
    public static Sentence SimulatedWorks => Make("simulated: a pretended guest ran to its end");
    public static Sentence SimulatedUntried => Make("simulated: not tried yet");
}
