using System.Text.Json.Nodes;
using KvmPortal.Web.Tests.Hosting;

namespace KvmPortal.Web.Tests.Rest;

public sealed class InventoryTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    [Fact]
    public async Task The_inventory_is_there_in_versions()
    {
        var now = await portal.JsonAsync("/api/v1/hosts/local/inventory");
        var version = now["version"]!.GetValue<long>();
        Assert.EndsWith("Z", now["takenAt"]!.GetValue<string>(), StringComparison.Ordinal);
        var inventory = now["inventory"]!.AsObject();
        Assert.All((string[])["cpus", "numaNodes", "pciDevices", "nics", "blockDevices", "iommuGroups", "irqs"], name => Assert.IsType<JsonArray>(inventory[name]));
        Assert.Equal("0-15,32-47", inventory["numaNodes"]![0]!["cpus"]!.GetValue<string>());
        Assert.Equal(version, (await portal.JsonAsync($"/api/v1/hosts/local/inventory?version={version}"))["version"]!.GetValue<long>());
        var versions = (await portal.JsonAsync("/api/v1/hosts/local/inventory/versions?limit=1"))["items"]!.AsArray();
        Assert.Equal(version, versions[0]!["version"]!.GetValue<long>());
        Assert.Empty(versions[0]!["changes"]!.AsArray());
        var again = await portal.SendAsync("POST", "/api/v1/hosts/local/inventory/refresh");
        Assert.Equal(200, (int)again.StatusCode);
        Assert.Equal(version, (await RunningPortal.BodyAsync(again))["version"]!.GetValue<long>());
    }

    [Fact]
    public async Task What_is_not_there_is_said()
    {
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/hosts/local/inventory?version=999999"), 404, "not-found");
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/hosts/local/inventory?version=-1"), 400);
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/hosts/nothing/inventory"), 404, "not-found");
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/hosts/local/inventory/versions?cursor=zzz"), 400);
    }

    [Fact]
    public async Task Facts_are_told_without_a_portal_and_captured_ones_too()
    {
        var folder = Directory.CreateTempSubdirectory("kvmportal-facts-").FullName;
        try
        {
            var (code, said) = await PortalProcess.RunAsync("facts", "--json");
            Assert.Equal(0, code);
            var here = JsonNode.Parse(said)!;
            Assert.Equal(Environment.ProcessorCount, here["cpus"]!.AsArray().Count(c => c!["online"]!.GetValue<bool>()));
            Assert.Equal(0, (await PortalProcess.RunAsync("facts", "--capture", $"{folder}/host.tar.gz")).Code);
            Directory.CreateDirectory($"{folder}/tree");
            await using (var gzip = new System.IO.Compression.GZipStream(File.OpenRead($"{folder}/host.tar.gz"), System.IO.Compression.CompressionMode.Decompress))
                await System.Formats.Tar.TarFile.ExtractToDirectoryAsync(gzip, $"{folder}/tree", overwriteFiles: false, TestContext.Current.CancellationToken);
            var captured = JsonNode.Parse((await PortalProcess.RunAsync("facts", "--json", "--root", $"{folder}/tree")).Said)!;
            Assert.All((string[])["cpus", "pciDevices", "nics", "kvm", "security", "software"], part => Assert.Equal(here[part]!.ToJsonString(), captured[part]!.ToJsonString()));
            Assert.Contains("Processor", (await PortalProcess.RunAsync("facts", "--root", $"{folder}/tree")).Said, StringComparison.Ordinal);
            Assert.Equal(2, (await PortalProcess.RunAsync("facts", "--root", $"{folder}/none")).Code);
            Assert.Equal(2, (await PortalProcess.RunAsync("facts", "--capture", $"{folder}/host.tar.gz")).Code);
            Assert.Equal(2, (await PortalProcess.RunAsync("facts", "--nonsense")).Code);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
