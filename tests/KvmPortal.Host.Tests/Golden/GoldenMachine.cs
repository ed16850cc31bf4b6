using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Tests.Golden;

/// <summary>One <c>name.machine.json</c>: a machine, the QEMU and the host it is for, and what the case shows.</summary>
internal sealed record GoldenMachine
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        Converters = { new JsonStringEnumConverter() },
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    };

    public required string About { get; init; }
    /// <summary>A name of <see cref="Qemu.CapabilitySets"/>.</summary>
    public required string Capabilities { get; init; }
    public required int OnlineCpus { get; init; }
    public string CpuVendor { get; init; } = "GenuineIntel";
    public required MachineSpec Machine { get; init; }

    public static string Folder { get; } = Path.GetDirectoryName(Here())!;

    public static IEnumerable<string> Names() =>
        Directory.GetFiles(Folder, "*.machine.json").Select(f => Path.GetFileName(f)[..^".machine.json".Length]).Order(StringComparer.Ordinal);

    public static GoldenMachine Read(string name) =>
        JsonSerializer.Deserialize<GoldenMachine>(File.ReadAllText(Path.Combine(Folder, $"{name}.machine.json")), Json)!;

    public static HostFacts Facts(int onlineCpus, HostFolders folders, string cpuVendor = "GenuineIntel") => new()
    {
        HostName = "host",
        KernelVersion = "6.12",
        OsName = "Linux",
        BootId = "boot",
        Cpu = new("cpu", cpuVendor, onlineCpus, "x86_64"),
        Memory = new(65536, 65536),
        Kvm = new(KvmVerdict.Works, "", null),
        Qemu = new QemuFacts(),
        Storage = new(folders.Disks, 1L << 40, 1L << 40),
        Folders = folders,
    };

    private static string Here([CallerFilePath] string path = "") => path;
}
