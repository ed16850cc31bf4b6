using KvmPortal.Host.Contract;
using KvmPortal.Host.Qmp;

namespace KvmPortal.Host.Launch;

// What QEMU says, and what it means for the machine.
internal sealed partial class MachineSupervisor
{
    private async Task HandleAsync(QmpEvent happened)
    {
        switch (happened.Name)
        {
            case "STOP" or "RESUME" or "SUSPEND" or "WAKEUP":
                await RefreshAsync(null, CancellationToken.None);
                break;
            case "SHUTDOWN":
                await ShutDownAsync(happened);
                break;
            case "RESET":
                if (Text(happened, "reason") == "guest-reset")
                    voice.Notice("guest-reset", "The guest restarted itself.");
                await RefreshAsync(null, CancellationToken.None);
                break;
            case "GUEST_PANICKED":
                Become(MachineRunState.Panicked, "The guest's kernel panicked.");
                break;
            case "BLOCK_IO_ERROR":
                IoError(happened);
                break;
            case "WATCHDOG":
                voice.Notice("watchdog", $"The guest's watchdog expired (action {Text(happened, "action")}).", warning: true);
                break;
            case "DEVICE_DELETED":
                await DeviceGoneAsync();
                break;
            case "MEMORY_DEVICE_SIZE_CHANGE" or "ACPI_DEVICE_OST" or "DEVICE_UNPLUG_GUEST_ERROR":
                HardwareMoved();
                break;
            case "VNC_CONNECTED":
                voice.Notice("vnc-connected", "A viewer connected to the display.");
                break;
            case "VNC_DISCONNECTED":
                voice.Notice("vnc-disconnected", "A viewer left the display.");
                break;
        }
    }

    private async Task ShutDownAsync(QmpEvent happened)
    {
        var reason = Text(happened, "reason");
        var how = reason switch
        {
            "guest-shutdown" => MachineEnd.GuestPowerOff,
            "host-signal" => MachineEnd.HostSignal,
            "host-qmp-quit" => MachineEnd.Quit,
            "guest-panic" => MachineEnd.Crashed,
            _ => MachineEnd.Unknown,
        };
        if (expected is null)
            Expect(how);
        if (reason is "host-signal" or "host-qmp-quit")
            return;
        Become(MachineRunState.ShutDown, null);
        await Qmp.QuitAsync(CancellationToken.None);
    }

    private void IoError(QmpEvent happened)
    {
        var disk = Text(happened, "node-name");
        var full = happened.Data.TryGetProperty("nospace", out var nospace) && nospace.ValueKind == System.Text.Json.JsonValueKind.True;
        var text = MachineEndings.DiskStopped(disk, full, Text(happened, "operation"));
        if (Text(happened, "action") == "stop")
            Become(MachineRunState.IoError, text);
        else
            voice.Notice("block-io-error", text, warning: true);
    }

    private void Become(MachineRunState state, string? reason)
    {
        // A panic or an I/O error stops the machine; the STOP that follows must not hide the cause.
        if (state == MachineRunState.Paused && State is MachineRunState.Panicked or MachineRunState.IoError && reason is null)
            return;
        if (state == State && (reason is null || reason == lastReason))
            return;
        (State, StoppedBy, lastReason) = (state, state == MachineRunState.IoError ? reason : null, reason);
        voice.Changed(state, reason);
    }

    private static string? Text(QmpEvent happened, string member) =>
        happened.Data.TryGetProperty(member, out var value) && value.ValueKind == System.Text.Json.JsonValueKind.String ? PeerText.Clean(value.GetString()!, 100) : null;
}
