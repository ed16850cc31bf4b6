using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Launch;

/// <summary>Every path that belongs to one machine, derived from its id alone: nothing user-written is ever part of a path.</summary>
internal sealed record MachinePaths(string RunDirectory, string StateDirectory)
{
    public static MachinePaths For(HostFolders folders, Guid machineId) =>
        new(Path.Combine(folders.Run, machineId.ToString("N")), Path.Combine(folders.State, machineId.ToString("N")));

    public string QmpSocket => Path.Combine(RunDirectory, "qmp");
    public string SerialSocket => Path.Combine(RunDirectory, "serial");
    public string VncSocket => Path.Combine(RunDirectory, "vnc");
    public string GuestAgentSocket => Path.Combine(RunDirectory, "ga");
    public string TpmSocket => Path.Combine(RunDirectory, "tpm");
    /// <summary>Locked by QEMU for as long as it lives (`-pidfile`).</summary>
    public string PidFile => Path.Combine(RunDirectory, "pid");
    /// <summary>What runs, so that a restarted portal knows what it adopts. Beside the run folder, which belongs to the machine's user: nothing that the portal believes may be written by it.</summary>
    public string RecordFile => RunDirectory + ".json";
    /// <summary>Mount points of the view that QEMU sees, and of the one that swtpm sees.</summary>
    public string ViewDirectory => RunDirectory + ".view";
    public string TpmViewDirectory => RunDirectory + ".tpm-view";
    public string StderrFile => Path.Combine(StateDirectory, "stderr.log");
    public string FirmwareVariables => Path.Combine(StateDirectory, "firmware-vars.fd");
    public string TpmLog => Path.Combine(StateDirectory, "swtpm.log");
    public string TpmState => Path.Combine(StateDirectory, "tpm");
}
