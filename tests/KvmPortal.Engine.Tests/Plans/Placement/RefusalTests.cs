using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans.Placement;

/// <summary>Each refusal is said with its code, its evidence and something that really helps.</summary>
public sealed class RefusalTests
{
    private static readonly HostInventory Big = Hosts.TwoSockets();

    [Fact]
    public void Cores_that_others_hold_are_not_given_and_the_holders_are_named()
    {
        var ledger = Ledger.Empty;
        for (var i = 0; i < 2; i++)
            ledger = ledger.With((Asked.For(Profiles.Hpc, 28, 8) with { Vm = $"vm{i}" }).On(Big, ledger).Planned().ToReservation());
        var refusal = Asked.For(Profiles.Hpc, 10, 8).On(Big, ledger).Refused().Honest(Big, ledger);
        Assert.Equal(("NOT_ENOUGH_FREE_CORES", "6", 6), (refusal.CodeName, refusal.Evidence["free"], refusal.Nearest!.Vcpus));
        Assert.Contains(refusal.Remedies, r => r.Advice.Text.Contains("vm0, vm1", StringComparison.Ordinal));
        Assert.Contains(refusal.Remedies, r => r.Request?.Knobs.Threads == SmtUse.Pair);
        Assert.Equal(Asked.For(Profiles.Hpc, 28, 8).On(Big).Planned().Dedicated, (Asked.For(Profiles.Hpc, 28, 8) with { Vm = "vm0" }).On(Big, ledger).Planned().Dedicated);
    }

    [Fact]
    public void Ordinary_machines_keep_the_cpus_that_they_need()
    {
        var ledger = Ledger.Empty.With(new Reservation { Vm = "web", Vcpus = 200, Memory = [new MemoryHold(0, 1024)] });
        var refusal = Asked.For(Profiles.Hpc, 58, 8).On(Big, ledger).Refused().Honest(Big, ledger);
        Assert.Equal("SHARED_POOL_FLOOR", refusal.CodeName);
        Assert.Equal(("200", "200"), (refusal.Evidence["floor"], refusal.Evidence["widest"]));
        ledger = Ledger.Empty.With(new Reservation { Vm = "web", Vcpus = 40, Memory = [new MemoryHold(0, 1024)] });
        var floor = Asked.For(Profiles.Hpc, 50, 8).On(Big, ledger).Refused().Honest(Big, ledger);
        Assert.Equal(("SHARED_POOL_FLOOR", "24", "40"), (floor.CodeName, floor.Evidence["left"], floor.Evidence["floor"]));
        Assert.Equal(42, floor.Nearest!.Vcpus);
        Assert.Contains(floor.Nearest.On(Big, ledger).Planned().Warnings, w => w.Code == "warn-shared-shrinks");
        var most = Asked.For(Profiles.Hpc, 40, 8).On(Big, policy: new PlacementPolicy { DedicatedMaxPercent = 50 }).Refused().Honest(Big, policy: new PlacementPolicy { DedicatedMaxPercent = 50 });
        Assert.Equal(("SHARED_POOL_FLOOR", 32), (most.CodeName, most.Nearest!.Vcpus));
    }

    [Fact]
    public void Memory_is_never_promised_twice()
    {
        var host = Hosts.Cloud();
        var physical = 24103 - 2048 - 320;
        var ledger = Ledger.Empty.With(new Reservation { Vm = "a", Vcpus = 1, Memory = [new MemoryHold(0, 20000)] });
        var refusal = Asked.For(Profiles.General, 1, 4).On(host, ledger).Refused().Honest(host, ledger);
        Assert.Equal(("MEM_OVERCOMMIT_DENIED", "20000", $"{physical}"), (refusal.CodeName, refusal.Evidence["committed"], refusal.Evidence["physical"]));
        Assert.Equal((physical - 20000) / 64 * 64, refusal.Nearest!.MemoryMiB);
        var plan = Asked.For(Profiles.General, 1, 4).On(host, ledger, new PlacementPolicy { MemoryRatio = 1.5 }).Planned();
        var warning = plan.Warnings.Single(w => w.Code == "warn-memory-overcommit");
        Assert.Contains($"24096 MiB promised of {physical} MiB (1.11 times)", warning.Text, StringComparison.Ordinal);
        var small = Asked.For(Profiles.Hpc, 1, 4) with { Knobs = new ProfileOverrides { Pages = PageKind.Small } };
        Assert.Equal("NODE_MEMORY_SHORT", small.On(host, ledger).Refused().Honest(host, ledger).CodeName);
    }

    [Fact]
    public void Pages_can_be_made_while_the_host_runs_where_that_is_allowed()
    {
        var request = Asked.For(Profiles.LowLatency, 4, 80) with { Allow = new PlacementLeeway(GrowPool: true) };
        var plan = request.On(Big).Planned();
        Assert.Equal(16, plan.GuestNodes.Single().Memory.GrowPages);
        Assert.Contains(plan.HostActions, a => a is { Kind: HostActionKind.GrowPool, Subject: "node0/1048576kB", Value: "+16" });
        Assert.Contains(plan.Warnings, w => w.Code == "warn-grow-large");
        var ledger = Ledger.Empty.With(plan.ToReservation());
        Assert.Equal([1], (request with { Vm = "other", Allow = new PlacementLeeway() , MemoryMiB = 1024 }).On(Big, ledger).Planned().Nodes);
        var refusal = (request with { MemoryMiB = 300 * 1024 }).On(Big).Refused().Honest(Big);
        Assert.Equal("HUGEPAGES_SHORT", refusal.CodeName);
        var odd = (request with { MemoryMiB = 1500 }).On(Big).Refused().Honest(Big);
        Assert.Equal(("HUGEPAGE_SIZE_UNSUPPORTED", 2048), (odd.CodeName, odd.Nearest!.MemoryMiB));
        var smaller = (Asked.For(Profiles.LowLatency, 4, 8) with { MemoryMiB = 1500, Allow = new PlacementLeeway(HugeDowngrade: true, GrowPool: true) }).On(Big).Planned();
        Assert.Equal((2048L, 750L), (smaller.GuestNodes.Single().Memory.HugePageKiB, smaller.GuestNodes.Single().Memory.GrowPages));
    }

    [Fact]
    public void A_running_machine_keeps_what_it_has_when_it_is_planned_again()
    {
        var first = Asked.For(Profiles.LowLatency, 8, 60).On(Big).Planned();
        var running = Big with { NumaNodes = [.. Big.NumaNodes.Select(n => n.Id != 0 ? n : n with { HugePages = [.. n.HugePages.Select(p => p with { Free = Math.Max(0, p.Free - 60) })] })] };
        var ledger = Ledger.Empty.With(first.ToReservation(running: true));
        Assert.Equal(first.Dedicated, Asked.For(Profiles.LowLatency, 8, 60).On(running, ledger).Planned().Dedicated);
        Assert.Equal([1], (Asked.For(Profiles.LowLatency, 8, 60) with { Vm = "other" }).On(running, ledger).Planned().Nodes);
    }

    [Fact]
    public void A_device_whose_node_is_full_is_remote()
    {
        var ledger = Ledger.Empty.With((Asked.For(Profiles.LowLatency, 28, 8) with { Vm = "first", OnNodes = [0] }).On(Big).Planned().ToReservation());
        var refusal = Asked.For(Profiles.LowLatency, 8, 8, Asked.At("0000:31:00.0")).On(Big, ledger).Refused().Honest(Big, ledger);
        Assert.Equal("DEVICE_REMOTE", refusal.CodeName);
        Assert.Contains(refusal.Remedies, r => r.Request?.Devices[0].Address == "0000:b1:00.0");
        Assert.Contains(refusal.Remedies, r => r.Request?.Vcpus == 3);
        var plan = (Asked.For(Profiles.LowLatency, 8, 8, Asked.At("0000:31:00.0")) with { Allow = new PlacementLeeway(RemoteDevice: true) }).On(Big, ledger).Planned();
        Assert.Equal((1, true), (plan.Score.RemoteDevices, plan.Devices.Single().Remote));
        Assert.Contains(plan.Warnings, w => w.Code == "warn-remote");
    }

    [Theory]
    [InlineData("0000:65:00.0", "DEVICE_IN_USE")]
    [InlineData("0000:17:00.0", "IOMMU_GROUP_SHARED")]
    [InlineData("0000:99:00.0", "DEVICE_NOT_FOUND")]
    public void Devices_that_must_not_be_given_away_are_not(string address, string code)
    {
        var refusal = Asked.For(Profiles.Hpc, 2, 2, Asked.At(address)).On(Big).Refused().Honest(Big);
        Assert.Equal(code, refusal.CodeName);
        if (code == "IOMMU_GROUP_SHARED")
            Assert.Equal("0000:18:00.0", refusal.Evidence["members"]);
        Assert.Contains(refusal.Remedies, r => r.Request?.Devices.Count == 0);
    }

    [Fact]
    public void Functions_run_out_and_some_cards_have_none()
    {
        var ledger = Ledger.Empty;
        for (var i = 0; i < 2; i++)
            ledger = ledger.With((Asked.For(Profiles.General, 1, 1, Asked.Function("0000:4b:00.0")) with { Vm = $"vm{i}" }).On(Big, ledger).Planned().ToReservation());
        Assert.Equal(["0000:4b:00.2", "0000:4b:00.3"], ledger.Reservations.SelectMany(r => r.Devices));
        var refusal = Asked.For(Profiles.LowLatency, 2, 2, Asked.Function("0000:4b:00.0")).On(Big, ledger).Refused().Honest(Big, ledger);
        Assert.Equal(("SRIOV_VFS_EXHAUSTED", "8", "2"), (refusal.CodeName, refusal.Evidence["total"], refusal.Evidence["used"]));
        Assert.Equal("0000:4b:00.1", refusal.Nearest!.Devices.Single().FunctionOf);
        Assert.Equal("DEVICE_IN_USE", Asked.For(Profiles.Hpc, 1, 1, Asked.At("0000:4b:00.0")).On(Big, ledger).Refused().Honest(Big, ledger).CodeName);
        Assert.Equal("SRIOV_UNSUPPORTED", Asked.For(Profiles.Hpc, 1, 1, Asked.Function("0000:b1:00.0")).On(Big).Refused().Honest(Big).CodeName);
        var noReset = Big with { PciDevices = [.. Big.PciDevices.Select(d => d.Address == "0000:31:00.0" ? d with { ResetMethods = [] } : d)] };
        var reset = Asked.For(Profiles.AiMl, 4, 4, Asked.At("0000:31:00.0")).On(noReset).Refused().Honest(noReset);
        Assert.Equal(("NO_SAFE_RESET", "0000:b1:00.0"), (reset.CodeName, reset.Nearest!.Devices.Single().Address));
    }

    [Fact]
    public void A_port_that_carries_the_host_is_in_use()
    {
        var host = Big with { Nics = [new NetworkCard("ens5f0np0", "0000:4b:00.0", "mlx5_core", false, "up", 100000, 63, 63)] };
        var refusal = Asked.For(Profiles.Hpc, 1, 1, Asked.At("0000:4b:00.0")).On(host).Refused().Honest(host);
        Assert.Equal(("DEVICE_IN_USE", "ens5f0np0"), (refusal.CodeName, refusal.Evidence["by"]));
        Assert.Equal("0000:4b:00.1", refusal.Nearest!.Devices.Single().Address);
        Asked.For(Profiles.Hpc, 1, 1, Asked.Function("0000:4b:00.0")).On(host).Planned();
    }

    [Fact]
    public void What_the_host_lacks_is_said_before_any_place_is_looked_for()
    {
        var request = Asked.For(Profiles.LowLatency, 2, 2);
        var cgroup1 = Big with { Kernel = Big.Kernel with { CgroupVersion = "v1", CgroupControllers = [] } };
        Check("INVENTORY_STALE", request, Big, new HostCondition { InventoryAge = TimeSpan.FromSeconds(61) });
        Check("TCG_NOT_ALLOWED", request with { Allow = new PlacementLeeway(Emulation: true) }, Big, new HostCondition { Kvm = KvmVerdict.Absent }, new PlacementPolicy { EmulationAllowed = false });
        Check("CGROUP_V2_REQUIRED", request with { RequirePartition = true }, cgroup1);
        Check("PARTITION_INVALID", request with { RequirePartition = true }, Big, new HostCondition { PartitionProblem = "Parent is not a partition root" });
        Check("RT_KERNEL_REQUIRED", request with { Knobs = new ProfileOverrides { Realtime = true } }, Big);
        Check("CPU_MODEL_MISMATCH", request with { CpuFlags = ["vmx", "amx_tile"] }, Big);
        Check("LABEL_MISMATCH", request with { Label = "gpu-row" }, Big);
        Check("ARCH_UNSUPPORTED", request with { Architecture = "aarch64" }, Big);
        Check("MEMLOCK_LIMIT", request, Big, new HostCondition { LockLimitMiB = 1024 });
        Check("DEVICE_NODE_UNKNOWN", Asked.For(Profiles.Hpc, 1, 1, Asked.At("0000:05:00.0")), Hosts.Interleaved(), null, new PlacementPolicy { StrictDeviceNodes = true });
        (request with { Label = "gpu-row" }).On(Big, policy: new PlacementPolicy { Labels = ["gpu-row"] }).Planned();
        Assert.Equal(Exclusivity.Soft, request.On(cgroup1).Planned().Exclusivity);
    }

    [Fact]
    public void Tenants_do_not_share_threads_where_the_policy_forbids_it()
    {
        var ledger = Ledger.Empty.With(new Reservation { Vm = "a", Vcpus = 1, Tenant = "red", Memory = [new MemoryHold(0, 64)] });
        var request = Asked.For(Profiles.General, 1, 1) with { Tenant = "blue" };
        var strict = new PlacementPolicy { StrictTenants = true };
        Assert.Equal("TENANT_SMT_CONFLICT", request.On(Big, ledger, strict).Refused().Honest(Big, ledger, strict).CodeName);
        Assert.Contains(request.On(Big, ledger).Planned().Warnings, w => w.Code == "warn-tenant-threads");
        (request with { Tenant = "red" }).On(Big, ledger, strict).Planned();
        request.On(Hosts.Arm(), ledger, strict).Planned();
    }

    [Fact]
    public void Where_nothing_fits_there_is_still_something_to_do()
    {
        var host = Hosts.Cloud();
        var full = Ledger.Empty.With(new Reservation { Vm = "all", Vcpus = 12, Memory = [new MemoryHold(0, 21735)] });
        var refusal = Asked.For(Profiles.General, 1, 1).On(host, full).Refused().Honest(host, full);
        Assert.Null(refusal.Nearest);
        Assert.Contains(refusal.Remedies, r => r.Advice.Code == "fix-release");
    }

    [Theory]
    [InlineData(0, 1024, 1)]
    [InlineData(1, 0, 1)]
    [InlineData(1, 1024, 0)]
    [InlineData(100000, 1024, 1)]
    public void A_request_without_sense_is_an_error(int vcpus, long memory, int count) => Assert.ThrowsAny<ArgumentException>(() =>
        new PlacementRequest { Vm = "vm", Vcpus = vcpus, MemoryMiB = memory, Profile = Profiles.Hpc, Devices = [new DeviceNeed { Class = "03", Count = count }] }.On(Big));

    [Fact]
    public void Codes_have_the_documented_names() => Assert.Equal(
        ["KVM_UNAVAILABLE", "KVM_SMOKE_FAILED", "TCG_NOT_ALLOWED", "INVENTORY_STALE", "NOT_ENOUGH_FREE_CORES", "CORES_FRAGMENTED_ACROSS_NODES", "SHARED_POOL_FLOOR", "HUGEPAGES_SHORT",
            "HUGEPAGE_SIZE_UNSUPPORTED", "NODE_MEMORY_SHORT", "MEM_OVERCOMMIT_DENIED", "DEVICE_REMOTE", "DEVICES_SPLIT_NODES", "DEVICE_NODE_UNKNOWN", "DEVICE_NOT_FOUND", "IOMMU_OFF",
            "IOMMU_GROUP_SHARED", "NO_SAFE_RESET", "DEVICE_IN_USE", "SRIOV_VFS_EXHAUSTED", "SRIOV_UNSUPPORTED", "MEMLOCK_LIMIT", "CGROUP_V2_REQUIRED", "PARTITION_INVALID", "RT_KERNEL_REQUIRED",
            "CPU_MODEL_MISMATCH", "LABEL_MISMATCH", "TENANT_SMT_CONFLICT", "HYBRID_CORES_MIXED", "ARCH_UNSUPPORTED"],
        Enum.GetValues<PlacementCode>().Select(c => new PlacementRefusal(c, "", new Dictionary<string, string>(), [], null).CodeName));

    private static void Check(string code, PlacementRequest request, HostInventory host, HostCondition? condition = null, PlacementPolicy? policy = null) =>
        Assert.Equal(code, request.On(host, null, policy, condition).Refused().Honest(host, null, policy, condition).CodeName);
}
