using System.Text.Json;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Qemu;
using KvmPortal.Host.Tests.Golden;

namespace KvmPortal.Host.Tests.Qemu;

public sealed class QemuCommandLineTests
{
    private static readonly HostFolders Folders = new("/run/kp", "/s", "/d", "/i");

    /// <summary>What a user, an image or an old database row might hold.</summary>
    public static TheoryData<string> Nasty =>
    [
        "a,b", "a,,b", "a=b,c=on", "\"", "'", "\\", "\\\"}", "a\",\"driver\":\"file\",\"x\":\"", "{}", "}]", "%s%n", "-drive", "--", "a b\tc", "$(id)", "`id`", "a;b|c&d", "a\nb", "é磁盘🖴", "\ud800",
        "json:{\"driver\":\"null-co\"}", "nbd://host/x", "fat:rw:/", "a\u0001b", new string('x', 5000),
    ];

    [Theory]
    [MemberData(nameof(Nasty))]
    public void A_value_stays_inside_its_own_argument(string value)
    {
        var plain = Spec("x");
        var expected = Build(plain);
        var actual = Build(Spec(value));
        // As many arguments, the same options, and every JSON argument has the same members as with a harmless value.
        Assert.Equal(expected.Count, actual.Count);
        for (var i = 0; i < expected.Count; i++)
        {
            if (expected[i].StartsWith('{'))
                Assert.Equal(Shape(expected[i]), Shape(actual[i]));
            else if (expected[i].StartsWith('-'))
                Assert.Equal(expected[i], actual[i]);
        }

        // Where QEMU takes no JSON, the number of single commas, which is what it splits at, is unchanged.
        Assert.Equal(Splits(After(expected, "-name")), Splits(After(actual, "-name")));
        var shown = JsonSerializer.Deserialize<string>(JsonSerializer.Serialize(value));
        var file = actual.Where(a => a.StartsWith('{')).Select(a => JsonDocument.Parse(a).RootElement).Single(e => e.TryGetProperty("driver", out var d) && d.GetString() == "file");
        Assert.Equal($"/d/{shown}", file.GetProperty("filename").GetString());
        Assert.Contains(value, actual);
    }

    [Theory]
    [InlineData("max,+vmx")]
    [InlineData("host ")]
    [InlineData("")]
    [InlineData("-cpu")]
    [InlineData("max\n")]
    public void A_CPU_model_is_a_plain_word(string model) => Refused(Spec("x") with { Cpu = new(1, 1, model, 1) });

    [Theory]
    [InlineData("pc-q35-7.2,kernel=/etc/shadow")]
    [InlineData("type=q35")]
    [InlineData("")]
    public void A_machine_type_is_a_plain_word(string type) => Refused(Spec("x") with { MachineType = type });

    [Theory]
    [InlineData("127.0.0.1:22-:22,hostfwd=tcp:0.0.0.0")]
    [InlineData("localhost")]
    [InlineData("::1")]
    [InlineData("")]
    public void A_forward_listens_on_an_IPv4_address(string address) =>
        Refused(Spec("x") with { Nics = [new() { Name = "net0", Kind = NicKind.User, Mac = "52:54:00:00:00:01", Forwards = [new(ForwardProtocol.Tcp, address, 2222, 22)] }] });

    [Fact]
    public void A_NUL_is_refused_wherever_it_would_end_an_argument() => Refused(Spec("x") with { DirectBoot = new("/i/k", null, "quiet\0init=/bin/sh") });

    [Theory]
    [InlineData(DiskBus.VirtioBlk, true)]
    [InlineData(DiskBus.Sata, false)]
    public void A_read_only_drive_on_a_bus_that_has_none_is_refused(DiskBus bus, bool cdrom) =>
        Refused(Spec("x") with { Disks = [new() { Name = "d", Bus = bus, Format = DiskFormat.Raw, Path = "/d/d", Cdrom = cdrom, ReadOnly = true }] });

    [Fact]
    public void UEFI_that_is_not_installed_is_named()
    {
        var spec = Spec("x") with { Firmware = new(FirmwareType.Uefi, false) };
        var error = Assert.Throws<HostException>(() => QemuCommandLine.Build(spec, GoldenMachine.Facts(4, Folders), CapabilitySets.Get("qemu-8.2-minimal")));
        Assert.Equal(HostError.Missing, error.Error);
        Assert.NotNull(error.Hint);
    }

    [Fact]
    public void Commas_in_the_portals_own_folders_are_escaped()
    {
        var folders = new HostFolders("/run/a,b", "/s,t", "/d", "/i");
        var argv = QemuCommandLine.Build(Spec("x"), GoldenMachine.Facts(4, folders), CapabilitySets.Get("qemu-7.2"));
        Assert.All(argv.Where(a => a.StartsWith("socket,", StringComparison.Ordinal) || a.StartsWith("unix:", StringComparison.Ordinal)), a => Assert.Contains("/run/a,,b/", a));
    }

    private static void Refused(MachineSpec spec) => Assert.Equal(HostError.NotAllowed, Assert.Throws<HostException>(() => Build(spec)).Error);

    private static IReadOnlyList<string> Build(MachineSpec spec) => QemuCommandLine.Build(spec, GoldenMachine.Facts(4, Folders), CapabilitySets.Get("qemu-7.2"));

    private static MachineSpec Spec(string value) => new()
    {
        Id = new Guid("0f1e2d3c-4b5a-4968-8777-665544332211"),
        Name = value,
        Accelerator = Accelerator.Tcg,
        Family = MachineFamily.Q35,
        MachineType = "pc-q35-7.2",
        Cpu = new(1, 1, "max", 1),
        Memory = new(256, 4),
        Firmware = new(FirmwareType.Bios, false),
        DirectBoot = new("/i/kernel", null, value),
        Disks = [new() { Name = value, Bus = DiskBus.VirtioBlk, Format = DiskFormat.Raw, Path = $"/d/{value}" }],
        Nics = [new() { Name = value, Kind = NicKind.User, Mac = value, Forwards = [new(ForwardProtocol.Tcp, "127.0.0.1", 2222, 22)] }],
    };

    private static string After(IReadOnlyList<string> argv, string option) => argv[argv.ToList().IndexOf(option) + 1];

    private static int Splits(string value) => value.Replace(",,", "", StringComparison.Ordinal).Count(c => c == ',');

    /// <summary>Members and kinds of a JSON value, without the values.</summary>
    private static string Shape(string json)
    {
        using var document = JsonDocument.Parse(json);
        return Walk(document.RootElement);

        static string Walk(JsonElement e) => e.ValueKind switch
        {
            JsonValueKind.Object => $"{{{string.Join(',', e.EnumerateObject().Select(p => $"{p.Name}:{Walk(p.Value)}"))}}}",
            JsonValueKind.Array => $"[{string.Join(',', e.EnumerateArray().Select(Walk))}]",
            _ => e.ValueKind.ToString(),
        };
    }
}
