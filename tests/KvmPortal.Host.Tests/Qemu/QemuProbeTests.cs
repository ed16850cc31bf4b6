using System.Text.Json.Nodes;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Qemu;
using Microsoft.Extensions.Logging.Abstractions;

namespace KvmPortal.Host.Tests.Qemu;

public sealed class QemuProbeTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_installed_QEMU_is_read()
    {
        var qemu = await InstalledQemu.CapabilitiesAsync();
        Assert.True(File.Exists(qemu.Binary));
        Assert.True(qemu.Version >= new Version(7, 2));
        Assert.Matches(@"^pc-q35-\d+\.\d+$", qemu.Q35Machine);
        Assert.Superset(new HashSet<string> { "virtio-blk-pci", "virtio-net-pci", "pcie-root-port", "isa-serial" }, qemu.Devices.ToHashSet());
        Assert.Equal(File.Exists("/usr/share/OVMF/OVMF_CODE_4M.fd"), qemu.Uefi is { Code: "/usr/share/OVMF/OVMF_CODE_4M.fd" });
    }

    [Fact]
    public async Task CPU_models_are_asked_for_each_accelerator_and_each_says_what_it_lacks()
    {
        using var folder = new ScratchFolder();
        var probe = Probe(folder);
        var models = await probe.CpuModelsAsync(Accelerator.Tcg, Ct);
        Assert.Same(models, await probe.CpuModelsAsync(Accelerator.Tcg, Ct));
        Assert.Empty(models.Single(m => m.Name == "max").Missing);
        Assert.Contains("kvm", models.Single(m => m.Name == "host").Missing);
        Assert.Contains("avx512f", models.Single(m => m.Name == "Icelake-Server-v1").Missing);
        Assert.DoesNotContain(models, m => m.Name == "Icelake-Server");
        var missing = await Assert.ThrowsAsync<HostException>(() => new QemuProbe(folder.In("nothing"), folder.In("c"), NullLogger.Instance).CpuModelsAsync(Accelerator.Tcg, Ct));
        Assert.Equal(HostError.Missing, missing.Error);
    }

    [Fact]
    public async Task The_answer_is_kept_and_not_asked_for_again()
    {
        using var folder = new ScratchFolder();
        var first = await Probe(folder).ProbeAsync(Ct);
        var file = Assert.Single(Directory.GetFiles(folder.Path, "*.json"));
        // A mark in the kept answer shows where the second one came from.
        var kept = JsonNode.Parse(await File.ReadAllTextAsync(file, Ct))!;
        Assert.Matches("^[0-9a-f]{64}$", kept["Digest"]!.GetValue<string>());
        kept["Q35Machine"] = "from-the-cache";
        await File.WriteAllTextAsync(file, kept.ToJsonString(), Ct);
        var second = await Probe(folder).ProbeAsync(Ct);
        Assert.Equal("from-the-cache", second!.Q35Machine);
        Assert.NotEqual("from-the-cache", first!.Q35Machine);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("{\"Stamp\":\"of another file\"}")]
    public async Task A_damaged_or_foreign_cache_is_asked_anew(string content)
    {
        using var folder = new ScratchFolder();
        await File.WriteAllTextAsync(folder.In("qemu-capabilities.json"), content, Ct);
        Assert.NotNull((await Probe(folder).ProbeAsync(Ct))?.Q35Machine);
    }

    [Fact]
    public async Task A_changed_binary_is_asked_again_by_the_same_probe()
    {
        using var folder = new ScratchFolder();
        var binary = folder.In("qemu");
        await ScriptAsync(binary, "exec qemu-system-x86_64 \"$@\"");
        var probe = new QemuProbe(binary, folder.In("cache"), NullLogger.Instance);
        Assert.NotNull(await probe.ProbeAsync(Ct));
        await ScriptAsync(binary, "echo broken now >&2; exit 1");
        Assert.Null(await probe.ProbeAsync(Ct));
    }

    [Theory]
    [InlineData("exit 1")]
    [InlineData("echo nonsense")]
    [InlineData("echo '{\"QMP\":{}}'")]
    public async Task What_is_not_QEMU_is_no_QEMU(string script)
    {
        using var folder = new ScratchFolder();
        await ScriptAsync(folder.In("qemu"), script);
        Assert.Null(await new QemuProbe(folder.In("qemu"), folder.In("cache"), NullLogger.Instance).ProbeAsync(Ct));
    }

    [Fact]
    public async Task No_QEMU_is_no_error()
    {
        using var folder = new ScratchFolder();
        Assert.Null(await new QemuProbe("no-such-qemu", folder.Path, NullLogger.Instance).ProbeAsync(Ct));
        Assert.Null(await new QemuProbe(folder.In("missing"), folder.Path, NullLogger.Instance).ProbeAsync(Ct));
    }

    private static QemuProbe Probe(ScratchFolder folder) => new("qemu-system-x86_64", folder.Path, NullLogger.Instance);

    private static async Task ScriptAsync(string path, string body)
    {
        await File.WriteAllTextAsync(path, $"#!/bin/sh\n{body}\n", Ct);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }
}
