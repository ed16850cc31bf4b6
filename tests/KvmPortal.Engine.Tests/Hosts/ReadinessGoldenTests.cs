using System.Text;
using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Hosts;

/// <summary>
/// What the doctor says about the made-up hosts of the inventory's tests: committed, one file a host. KVMPORTAL_REWRITE_GOLDEN=1 writes them anew.
/// </summary>
public sealed class ReadinessGoldenTests
{
    private static readonly string Inventories = Path.Combine(Root(), "tests/KvmPortal.Host.Tests/Golden/inventory");
    private static readonly string Verdicts = Path.Combine(Root(), "tests/KvmPortal.Engine.Tests/Golden/readiness");

    public static TheoryData<string> Hosts => [.. Directory.GetFiles(Inventories, "*.json").Select(f => Path.GetFileNameWithoutExtension(f)!).Order()];

    [Theory]
    [MemberData(nameof(Hosts))]
    public async Task A_made_up_host_gets_its_verdicts(string name)
    {
        var said = Text(Doctor.Examine(Input(await ReadAsync(name), name)));
        var path = Path.Combine(Verdicts, $"{name}.txt");
        if (Environment.GetEnvironmentVariable("KVMPORTAL_REWRITE_GOLDEN") == "1")
        {
            Directory.CreateDirectory(Verdicts);
            await File.WriteAllTextAsync(path, said);
        }

        Assert.Equal(await File.ReadAllTextAsync(path), said);
    }

    [Fact]
    public void Every_inventory_has_its_verdicts_and_no_verdict_is_left_over() =>
        Assert.Equal(Hosts.Select(h => h.Data).Order(), Directory.GetFiles(Verdicts).Select(f => Path.GetFileNameWithoutExtension(f)!).Order());

    /// <summary>Whatever is missing, the report is complete, and what does not depend on it stays.</summary>
    [Theory]
    [MemberData(nameof(Hosts))]
    public async Task Missing_parts_change_only_verdicts_that_depend_on_them(string name)
    {
        var whole = await ReadAsync(name);
        var before = Doctor.Examine(Input(whole, name)).Checks.ToDictionary(c => c.Id, c => c.Verdict);
        (HostInventory Host, string[] Touched)[] cuts =
        [
            (whole with { Irqs = [], Software = [.. whole.Software.Reverse()], Cpus = [.. whole.Cpus.Reverse()], PciDevices = [.. whole.PciDevices.Reverse()], NumaNodes = [.. whole.NumaNodes.Reverse()] }, []),
            (whole with { Nics = [] }, ["multiqueue-nic"]),
            (whole with { BlockDevices = [] }, ["fast-storage"]),
            (whole with { PciDevices = [] }, ["gpu", "sriov", "dpdk-nic", "pci-links", "device-locality", "iommu-groups"]),
            (whole with { Kernel = new KernelInventory() }, ["transparent-huge-pages", "ksm", "numa-balancing", "swap", "idle-states", "clock-source", "mitigations", "cgroup-v2", "security-module", "time-sync", "irqbalance", "smt"]),
            (whole with { NumaNodes = [], Cpus = [] }, ["huge-pages", "giant-pages", "numa-balancing", "device-locality", "core-kinds", "smt", "governor", "isolation-parameters"]),
            (whole with { Kvm = new KvmInventory(false, [], new Dictionary<string, string>()) }, ["kvm-device", "kvm-proof", "cpu-virtualization", "second-level-paging", "interrupt-virtualization", "nested", "vhost-net", "vhost-vsock", "vfio"]),
            (whole with { Security = new SecurityInventory(null, false, null, null, null) }, ["tpm", "secure-boot", "confidential-computing"]),
        ];
        foreach (var (cut, touched) in cuts)
        {
            var after = Doctor.Examine(Input(cut, name));
            Assert.Equal(before.Count, after.Checks.Count);
            Assert.All(after.Checks.Where(c => !touched.Contains(c.Id)), c => Assert.True(before[c.Id] == c.Verdict, $"{c.Id}: {before[c.Id]} became {c.Verdict}"));
        }
    }

    [Fact]
    public async Task The_cloud_host_whose_kvm_fails_is_told_so_and_offered_huge_pages()
    {
        var report = Doctor.Examine(Input(await ReadAsync("f4a-cloud-kvm-unusable"), "f4a-cloud-kvm-unusable"));
        var proof = report.Checks.Single(c => c.Id == "kvm-proof");
        Assert.Equal(Verdict.Missing, proof.Verdict);
        Assert.Contains("hung", Assert.Single(proof.Evidence).Content, StringComparison.Ordinal);
        Assert.Equal(Verdict.Missing, report.Checks.Single(c => c.Id == "iommu").Verdict);
        Assert.Equal(Verdict.WorksBut, report.Purposes.Single(p => p.Purpose == Purpose.OrdinaryVms).Verdict);
        Assert.Equal(Verdict.Missing, report.Purposes.Single(p => p.Purpose == Purpose.BareMetal).Verdict);
    }

    /// <summary>Only the cloud host's proof is known: it is its point.</summary>
    private static ReadinessInput Input(HostInventory host, string name) => new(host, name.StartsWith("f4a", StringComparison.Ordinal) ? new HostFacts
    {
        HostName = "f4",
        KernelVersion = "6.1",
        OsName = "Debian 12",
        BootId = "b",
        Cpu = new("", "", 4, "x86_64"),
        Memory = new(24_000, 20_000),
        Kvm = new(KvmVerdict.Broken, "/dev/kvm is there, but a tiny test guest hung on it.", null),
        Qemu = new() { Version = "7.2.0" },
        Storage = new("/data", 250L << 30, 100L << 30),
        Folders = new("/run", "/s", "/d", "/i"),
    } : null, name.StartsWith("f4a", StringComparison.Ordinal) ? true : null, (70_000, 73_999));

    private static string Text(ReadinessReport report)
    {
        var text = new StringBuilder();
        foreach (var purpose in report.Purposes)
            text.Append($"{PortalJson.Text(purpose.Purpose)}: {PortalJson.Text(purpose.Verdict)} [{string.Join(" ", purpose.Next)}]\n");
        foreach (var check in report.Checks)
        {
            text.Append($"\n{check.Id}: {PortalJson.Text(check.Verdict)}: {check.Text.Text}\n");
            foreach (var fix in check.Fixes)
                text.Append($"  {PortalJson.Text(fix.Kind)}: {fix.BootLine ?? fix.Text.Text}\n");
        }

        return text.ToString();
    }

    private static async Task<HostInventory> ReadAsync(string name) => JsonSerializer.Deserialize<HostInventory>(await File.ReadAllTextAsync(Path.Combine(Inventories, $"{name}.json")), PortalJson.Options)!;

    private static string Root()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "KvmPortal.sln")))
                return folder.FullName;
        throw new InvalidOperationException("The tests run from inside of the repository.");
    }
}
