namespace KvmPortal.Engine;

// Sentences of vCPUs and memory that come and go while a machine runs.
public static partial class Say
{
    public static Sentence SetVcpus(int before, int after) => Make($"Go from {before} to {after} vCPUs on the running machine, and wait for its guest.");
    public static Sentence SetMemory(int before, int after) => Make($"Go from {before} to {after} MiB of memory on the running machine, and wait for its guest.");
    public static Sentence VcpusPlugged => Make("The machine was started with room for them; the guest brings them up itself. Those of a placed machine go to the CPUs that were kept for them.");
    public static Sentence VcpusUnplugged => Make("The guest is asked to let go of its last vCPUs; one that does not keeps all.");
    public static Sentence EmulatedVcpusStay => Make("QEMU's emulator does not survive the unplugging of vCPUs: fewer are there at the next boot. With KVM they could go while the machine runs.");
    public static Sentence NoVcpuRoom(int max) => Make($"The machine was started with room for {max} vCPUs: more are there at the next boot.");
    public static Sentence RoomSinceStart => Make("How far a machine can grow is decided when it starts.");
    public static Sentence MemoryGrows => Make("The guest takes the memory step by step (virtio-mem).");
    public static Sentence MemoryShrinks => Make("The guest gives memory back step by step, and the host has it at once; one that cannot give all keeps all.");
    public static Sentence NoMemoryRoom(int max) => Make($"The machine was started with room for {max} MiB: more is there at the next boot. With memory.maxMiB it could grow while it runs.");
    public static Sentence StartMemoryStays(int started) => Make($"The {started} MiB that the machine was started with cannot be unplugged: less is in force at the next boot. The balloon can take of it now.");
    public static Sentence GuestStandsStill => Make("The guest does not run now, so it can neither take nor give anything: at the next boot, or change it again when it runs.");
    public static Sentence MemoryStep(int step) => Make($"Memory grows and shrinks in steps of {step} MiB: give a multiple of it.");
    public static Sentence HugeMemoryFixed => Make("Memory of huge pages is taken at the start and cannot grow: leave maxMiB out, or use ordinary pages.");
    public static Sentence MicrovmMemoryFixed => Make("A microvm's memory cannot grow while it runs: leave maxMiB out, or use q35.");
    public static Sentence CpusReservedForMax(int count, int max) => Make($"It starts with {count} vCPUs; the CPUs for all {max} are kept for it, so that plugged ones are pinned at once.");
    public static Sentence PlacedMemoryFixed => Make("Its memory lies where the plan says and is taken at the start: it does not grow while it runs, so maxMiB is without effect.");
    public static Sentence NothingToReplan => Make("The machine has no CPUs of its own, so there is nothing to plan anew.");
    public static Sentence ReplanNeedsStart => Make("Another place would change its memory or what the guest sees of its CPUs: that is possible only at its next start.");
    public static Sentence BestPlaceAlready => Make("It is in the best place already.");
    public static Sentence HoldBothPlaces => Make("Hold the new CPUs besides the old ones.");
    public static Sentence HoldBothPlacesWhy => Make("So that nobody takes either, and there is a way back until it has arrived.");
    public static Sentence ReplanWhy => Make("Its memory stays where it is; only its threads move.");
    public static Sentence LeaveChore(Sentence chore) => Make($"For its old CPUs, give back: {chore}");
    public static Sentence FreeOldPlace => Make("Give the old CPUs free.");
    public static Sentence NothingToRevert => Make("The machine does not run: nothing waits for its next boot.");
    public static Sentence NoBalloon => Make("The machine has no balloon.");
    public static Sentence BalloonAtOnce => Make("The balloon is told at once; how fast the guest follows is its own.");
    public static Sentence BalloonNotThere => Make("The machine was started without a balloon: in force at the next boot.");
    public static Sentence SetBalloon(int target) => Make($"Let the guest keep {target} MiB by its balloon.");
    public static Sentence BalloonTook(int mib, string vm, int available, int now) => Make($"Automatic ballooning took {mib} MiB from {vm}, because the host has only {available} MiB of memory left; its guest has {now} MiB now.");
    public static Sentence BalloonGave(int mib, string vm, int now) => Make($"Automatic ballooning gave {mib} MiB back to {vm}, because the host has plenty of memory again; its guest has {now} MiB now.");
    public static Sentence VcpuRoom(string max) => Make($"The machine was started with room for {max} vCPUs.");
    public static Sentence VcpuRoomHint => Make("Raise cpu.max and start the machine anew.");
    public static Sentence MemoryRoom(string max) => Make($"The machine was started with room for {max} MiB.");
    public static Sentence MemoryRoomHint => Make("Raise memory.maxMiB and start the machine anew.");
    public static Sentence VcpuHeld(string vcpu, string seconds) => Make($"The guest did not let go of vCPU {vcpu} within {seconds} s; it may still do so later.");
    public static Sentence VcpuHeldHint => Make("Is it up, and does its kernel know CPU hot-plug? A smaller number holds from the next start on in any case.");
    public static Sentence VcpuTooEarly(string vcpu) => Make($"The guest cannot let go of vCPU {vcpu}: it has not come up far enough.");
    public static Sentence VcpuLateGone(string now) => Make($"The guest has let go of a vCPU after its time had passed; it has {now} now.");
    public static Sentence MemoryTookLess(string got, string wanted) => Make($"The guest took only {got} of {wanted} MiB; it keeps the memory that it had.");
    public static Sentence MemoryGaveLess(string got, string wanted) => Make($"The guest gave back only {got} of {wanted} MiB; it keeps the memory that it had.");
    public static Sentence MemoryHint => Make("A guest needs its virtio-mem driver, and can give only memory that it does not use and can move.");
    public static Sentence GuestStill => Make("The guest does not run, so it can neither take nor give anything.");
    public static Sentence GuestStillHint => Make("Let it run on first.");
}
