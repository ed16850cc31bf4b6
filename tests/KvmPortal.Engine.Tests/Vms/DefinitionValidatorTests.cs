using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Vms;

public sealed class DefinitionValidatorTests
{
    private static readonly Dictionary<string, Image> Images = new()
    {
        ["debian"] = Ready("debian", ImageKind.Qcow2, 3L << 30),
        ["memtest"] = Ready("memtest", ImageKind.Iso, 5 << 20),
        ["vmlinuz"] = Ready("vmlinuz", ImageKind.Kernel, 8 << 20),
        ["initrd"] = Ready("initrd", ImageKind.Initrd, 8 << 20),
    };

    [Theory]
    [InlineData("""{"name":"a,b"}""", "/name")]
    [InlineData("""{"name":"-rf"}""", "/name")]
    [InlineData("""{"name":"../etc"}""", "/name")]
    [InlineData("""{"name":"a\nb"}""", "/name")]
    [InlineData("""{"name":"a\n"}""", "/name")]
    [InlineData("""{"name":"'; drop"}""", "/name")]
    [InlineData("""{"name":""}""", "/name")]
    [InlineData("""{"name":"v","cpu":{"count":0}}""", "/cpu/count")]
    [InlineData("""{"name":"v","cpu":{"count":4,"max":2}}""", "/cpu/max")]
    [InlineData("""{"name":"v","cpu":{"count":3,"threads":2}}""", "/cpu/threads")]
    [InlineData("""{"name":"v","cpu":{"model":"host,migratable=off"}}""", "/cpu/model")]
    [InlineData("""{"name":"v","memory":{"sizeMiB":2147483647}}""", "/memory/sizeMiB")]
    [InlineData("""{"name":"v","memory":{"sizeMiB":-1}}""", "/memory/sizeMiB")]
    [InlineData("""{"name":"v","tags":["Has Space"]}""", "/tags/0")]
    [InlineData("""{"name":"v","disks":[{"name":"disk0"}]}""", "/disks/0/sizeGiB")]
    [InlineData("""{"name":"v","disks":[{"name":"disk0","sizeGiB":1},{"name":"disk0","sizeGiB":1}]}""", "/disks/1/name")]
    [InlineData("""{"name":"v","disks":[{"name":"../d","sizeGiB":1}]}""", "/disks/0/name")]
    [InlineData("""{"name":"v","disks":[{"name":"d","sizeGiB":1,"image":"nope"}]}""", "/disks/0/image")]
    [InlineData("""{"name":"v","disks":[{"name":"d","sizeGiB":1,"image":"debian"}]}""", "/disks/0/sizeGiB")]
    [InlineData("""{"name":"v","disks":[{"name":"d","image":"memtest"}]}""", "/disks/0/image")]
    [InlineData("""{"name":"v","disks":[{"name":"d","cdrom":true,"image":"memtest"}]}""", "/disks/0/bus")]
    [InlineData("""{"name":"v","disks":[{"name":"d","bus":"sata","sizeGiB":1}]}""", "/disks/0/bus")]
    [InlineData("""{"name":"v","disks":[{"name":"d","sizeGiB":1,"pool":"fast"}]}""", "/disks/0/pool")]
    [InlineData("""{"name":"v","disks":[null]}""", "/disks/0")]
    [InlineData("""{"name":"v","nics":[{"name":"n","mac":"01:00:00:00:00:01"}]}""", "/nics/0/mac")]
    [InlineData("""{"name":"v","nics":[{"name":"n","network":"br0"}]}""", "/nics/0/network")]
    [InlineData("""{"name":"v","nics":[{"name":"n","forwards":[{"hostPort":0,"guestPort":22}]}]}""", "/nics/0/forwards/0/hostPort")]
    [InlineData("""{"name":"v","nics":[{"name":"n","forwards":[{"hostPort":1,"guestPort":22,"hostAddress":"::1,x"}]}]}""", "/nics/0/forwards/0/hostAddress")]
    [InlineData("""{"name":"v","boot":{"order":["nope"]}}""", "/boot/order/0")]
    [InlineData("""{"name":"v","boot":{"direct":{"kernel":"debian"}}}""", "/boot/direct/kernel")]
    [InlineData("""{"name":"v","firmware":{"secureBoot":true}}""", "/firmware/secureBoot")]
    [InlineData("""{"name":"v","firmware":{"type":"uefi","secureBoot":true},"boot":{"direct":{"kernel":"vmlinuz"}}}""", "/boot/direct")]
    [InlineData("""{"name":"v","machine":"microvm","boot":{"direct":{"kernel":"vmlinuz"}}}""", "/consoles/graphics")]
    [InlineData("""{"name":"v","devices":[{}]}""", "/devices")]
    [InlineData("""{"name":"v","cloudInit":{"hostname":"-x"}}""", "/cloudInit/hostname")]
    public void A_wrong_member_is_named_by_its_pointer(string json, string pointer) =>
        Assert.Contains(Validate(json), p => p.Pointer == pointer);

    [Fact]
    public void All_problems_are_reported_at_once()
    {
        var problems = Validate("""{"name":"?","cpu":{"count":0},"memory":{"sizeMiB":1},"disks":[{"name":"D"}],"nics":[{"name":"n","network":"x"}]}""");
        Assert.Equal(["/cpu/count", "/disks/0/name", "/disks/0/sizeGiB", "/memory/sizeMiB", "/name", "/nics/0/network"], problems.Select(p => p.Pointer).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("""{"name":"web-1"}""")]
    [InlineData("""{"name":"v","disks":[{"name":"disk0","image":"debian"},{"name":"cd0","bus":"sata","cdrom":true,"image":"memtest"},{"name":"cd1","bus":"virtio-scsi","cdrom":true}]}""")]
    [InlineData("""{"name":"v","machine":"microvm","consoles":{"graphics":"none"},"boot":{"direct":{"kernel":"vmlinuz","initrd":"initrd","commandLine":"console=ttyS0, \"x\""}}}""")]
    [InlineData("""{"name":"v","nics":[{"name":"net0","mac":"52:54:00:12:34:56","forwards":[{"protocol":"udp","hostPort":53,"guestPort":53}]}],"boot":{"order":["net0"]}}""")]
    public void A_right_definition_has_no_problem(string json) => Assert.Empty(Validate(json));

    [Fact]
    public void The_definition_of_the_contract_reads_and_writes_back_the_same()
    {
        var definition = JsonSerializer.Deserialize<VmDefinition>("""{"name":"v","cpu":{"count":2,"max":4,"model":"auto","threads":"auto"},"memory":{"pages":"auto","balloon":true}}""", PortalJson.Options)!;
        var again = JsonSerializer.Deserialize<VmDefinition>(JsonSerializer.Serialize(definition, PortalJson.Options), PortalJson.Options)!;
        Assert.Equal(JsonSerializer.Serialize(definition, PortalJson.Options), JsonSerializer.Serialize(again, PortalJson.Options));
        Assert.Contains("\"threads\":\"auto\"", JsonSerializer.Serialize(again, PortalJson.Options), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"name":"v","nmae":"x"}""")]
    [InlineData("""{"name":"v","name":"w"}""")]
    [InlineData("""{"name":null}""")]
    [InlineData("""{"name":"v","cpu":{"count":"2"}}""")]
    [InlineData("""{"name":"v","cpu":{"threads":"many"}}""")]
    [InlineData("""{"name":"v","profile":3}""")]
    public void What_the_schema_does_not_know_is_not_read(string json) =>
        Assert.ThrowsAny<JsonException>(() => JsonSerializer.Deserialize<VmDefinition>(json, PortalJson.Options));

    private static IReadOnlyList<Problem> Validate(string json) => DefinitionValidator.Validate(JsonSerializer.Deserialize<VmDefinition>(json, PortalJson.Options)!, Images);

    private static Image Ready(string name, ImageKind kind, long size) =>
        new() { Id = ImageId.New(TimeProvider.System), Name = name, State = ImageState.Ready, Kind = kind, Path = $"/images/{name}", VirtualSizeBytes = size, FileSizeBytes = size, CreatedBy = "test" };
}
