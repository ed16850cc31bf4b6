using System.Text.Json.Nodes;
using KvmPortal.Web.Tests.Hosting;

namespace KvmPortal.Web.Tests.Rest;

public sealed class ReadinessTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    [Fact]
    public async Task A_report_says_per_purpose_what_to_do_next_and_every_check_has_evidence_and_words()
    {
        var report = await portal.JsonAsync("/api/v1/hosts/local/readiness");
        var purposes = report["purposes"]!.AsArray().ToDictionary(p => p!["purpose"]!.GetValue<string>(), p => p!);
        Assert.Equal(["bare-metal", "confidential-vms", "dpdk", "encrypted-migration", "gpu-passthrough", "kata-containers", "ordinary-vms", "sriov-networking"], purposes.Keys.Order());
        Assert.Equal("ready", purposes["ordinary-vms"]["verdict"]!.GetValue<string>());
        Assert.Equal("missing", purposes["confidential-vms"]["verdict"]!.GetValue<string>());
        Assert.Equal("confidential-computing", purposes["confidential-vms"]["next"]![0]!.GetValue<string>());
        var checks = report["checks"]!.AsArray().Select(c => c!.AsObject()).ToList();
        Assert.True(checks.Count >= 40);
        Assert.Equal(checks.Count, checks.Select(c => c["id"]!.GetValue<string>()).Distinct().Count());
        Assert.All(checks, c => Assert.All((string[])["title", "meaning", "text"], name => Assert.NotEmpty(c[name]!.GetValue<string>())));
        Assert.All(checks.Where(c => c["verdict"]!.GetValue<string>() == "missing"), c => Assert.NotEmpty(c["fixes"]!.AsArray()));
        var ksm = checks.Single(c => c["id"]!.GetValue<string>() == "numa-balancing");
        Assert.Equal("numa-balancing", ksm["fixes"]![0]!["setting"]!["kind"]!.GetValue<string>());
        Assert.Equal("now", ksm["fixes"]![0]!["kind"]!.GetValue<string>());
        var known = checks.Select(c => c["id"]!.GetValue<string>()).ToHashSet();
        Assert.All(purposes.Values.SelectMany(p => p["next"]!.AsArray()), id => Assert.Contains(id!.GetValue<string>(), known));
    }

    [Fact]
    public async Task An_unknown_host_has_none() => await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/hosts/nothing/readiness"), 404, "not-found");

    [Fact]
    public async Task The_doctor_speaks_without_a_portal()
    {
        var (code, said) = await PortalProcess.RunAsync("doctor", "--json");
        Assert.Contains(code, (int[])[0, 1, 3, 4]);
        var here = JsonNode.Parse(said)!;
        Assert.Equal(code, here["purposes"]!.AsArray().Single(p => p!["purpose"]!.GetValue<string>() == "ordinary-vms")!["verdict"]!.GetValue<string>() switch { "ready" => 0, "works-but" => 1, "missing" => 3, _ => 4 });
        var proof = here["checks"]!.AsArray().Single(c => c!["id"]!.GetValue<string>() == "kvm-proof")!;
        Assert.NotEqual("unknown", proof["verdict"]!.GetValue<string>());

        var empty = Directory.CreateTempSubdirectory("kvmportal-empty-");
        try
        {
            var (captured, text) = await PortalProcess.RunAsync("doctor", "--root", empty.FullName, "--purpose", "bare-metal");
            Assert.Equal(3, captured);
            Assert.Contains("kvm-device", text, StringComparison.Ordinal);
        }
        finally
        {
            empty.Delete();
        }

        Assert.Equal(2, (await PortalProcess.RunAsync("doctor", "--root", "/nothing/there")).Code);
        Assert.Equal(2, (await PortalProcess.RunAsync("doctor", "--purpose", "fun")).Code);
        Assert.Equal(2, (await PortalProcess.RunAsync("doctor", "--jsn")).Code);
    }
}
