using System.Text.Json.Nodes;

namespace KvmPortal.Host.Qemu.Devices;

/// <summary>Channel of the guest agent.</summary>
internal static class GuestAgentArguments
{
    public static void Add(BuildContext c)
    {
        if (!c.Spec.GuestAgent)
            return;
        c.Arguments.Json("-device", new JsonObject { ["driver"] = c.Virtio("serial"), ["id"] = "channels" });
        c.Arguments.Add("-chardev", $"socket,id=agent,path={ArgumentList.Escape(c.Paths.GuestAgentSocket)},server=on,wait=off");
        c.Arguments.Json("-device", new JsonObject { ["driver"] = "virtserialport", ["bus"] = "channels.0", ["chardev"] = "agent", ["id"] = "agent0", ["name"] = "org.qemu.guest_agent.0" });
    }
}

/// <summary>Balloon; free-page reporting gives memory that the guest has freed back to the host by itself.</summary>
internal static class BalloonArguments
{
    public static void Add(BuildContext c)
    {
        if (c.Spec.Balloon)
            c.Arguments.Json("-device", new JsonObject { ["driver"] = c.Virtio("balloon"), ["id"] = "balloon0", ["free-page-reporting"] = true, ["deflate-on-oom"] = true });
    }
}

/// <summary>Entropy from the host's urandom.</summary>
internal static class RngArguments
{
    public static void Add(BuildContext c)
    {
        if (!c.Spec.Rng)
            return;
        c.Arguments.Json("-object", new JsonObject { ["qom-type"] = "rng-random", ["id"] = "random", ["filename"] = "/dev/urandom" });
        c.Arguments.Json("-device", new JsonObject { ["driver"] = c.Virtio("rng"), ["id"] = "rng0", ["rng"] = "random" });
    }
}

/// <summary>VM generation id: tells a guest that it was copied or restored.</summary>
internal static class GenerationIdArguments
{
    public static void Add(BuildContext c)
    {
        if (c is { Microvm: false, Spec.GenerationId: { } id })
            c.Arguments.Json("-device", new JsonObject { ["driver"] = "vmgenid", ["id"] = "generation0", ["guid"] = id.ToString("D") });
    }
}

/// <summary>Lets a guest kernel report its panic.</summary>
internal static class PanicArguments
{
    public static void Add(BuildContext c)
    {
        if (!c.Microvm && c.Capabilities.Devices.Contains("pvpanic-pci"))
            c.Arguments.Json("-device", new JsonObject { ["driver"] = "pvpanic-pci", ["id"] = "panic0" });
    }
}

/// <summary>TPM 2.0 by swtpm, started before QEMU.</summary>
internal static class TpmArguments
{
    public static void Add(BuildContext c)
    {
        if (!c.Spec.Tpm)
            return;
        c.Arguments.Add("-chardev", $"socket,id=tpm,path={ArgumentList.Escape(c.Paths.TpmSocket)}");
        c.Arguments.Add("-tpmdev", "emulator,id=tpm0,chardev=tpm");
        c.Arguments.Json("-device", new JsonObject { ["driver"] = "tpm-crb", ["id"] = "tpm0-dev", ["tpmdev"] = "tpm0" });
    }
}

/// <summary>VGA and VNC on a unix socket, which the portal relays; no port is ever opened.</summary>
internal static class DisplayArguments
{
    public static void Add(BuildContext c)
    {
        if (!c.Spec.Vnc || c.Microvm)
        {
            c.Arguments.Add("-display", "none");
            return;
        }

        c.Arguments.Json("-device", new JsonObject { ["driver"] = "VGA", ["id"] = "video0", ["vgamem_mb"] = 16 });
        c.Arguments.Add("-vnc", $"unix:{ArgumentList.Escape(c.Paths.VncSocket)}");
    }
}
