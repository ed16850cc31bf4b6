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
    /// <summary>The spec that runs, so that a restarted portal knows what it adopts.</summary>
    public string SpecFile => Path.Combine(RunDirectory, "spec.json");
    public string StderrFile => Path.Combine(StateDirectory, "stderr.log");
    public string FirmwareVariables => Path.Combine(StateDirectory, "firmware-vars.fd");
    public string TpmState => Path.Combine(StateDirectory, "tpm");
}
