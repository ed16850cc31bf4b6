using KvmPortal.Engine.Plans.Placement;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Plans.Placement;

/// <summary>Short ways to ask and to look at answers.</summary>
internal static class Asked
{
    public static PlacementRequest For(Profile profile, int vcpus, long gib, params DeviceNeed[] devices) =>
        new() { Vm = "vm", Vcpus = vcpus, MemoryMiB = gib * 1024, Profile = profile, Devices = devices };

    public static DeviceNeed Function(string of) => new() { FunctionOf = of };

    public static DeviceNeed At(string address) => new() { Address = address };

    public static PlacementOutcome On(this PlacementRequest request, HostInventory host, Ledger? ledger = null, PlacementPolicy? policy = null, HostCondition? condition = null) =>
        PlacementPlanner.Plan(host, ledger ?? Ledger.Empty, policy ?? new PlacementPolicy(), request, condition ?? new HostCondition());

    public static PlacementPlan Planned(this PlacementOutcome outcome) =>
        outcome is PlacementRefusal refusal ? throw new Xunit.Sdk.XunitException($"{refusal.CodeName}: {refusal.Message.Text}") : (PlacementPlan)outcome;

    public static PlacementRefusal Refused(this PlacementOutcome outcome) => Assert.IsType<PlacementRefusal>(outcome);

    public static string Cpus(this PlacementPlan plan) => CpuSet.Union(plan.Vcpus.Select(v => v.Cpus)).ToString();

    /// <summary>What the refusal offers does fit, all of it.</summary>
    public static PlacementRefusal Honest(this PlacementRefusal refusal, HostInventory host, Ledger? ledger = null, PlacementPolicy? policy = null, HostCondition? condition = null)
    {
        Assert.NotEmpty(refusal.Remedies);
        Assert.All(refusal.Remedies, r => Assert.False(string.IsNullOrEmpty(r.Advice.Code)));
        foreach (var remedy in refusal.Remedies.Where(r => r.Request is not null))
            remedy.Request!.On(host, ledger, policy, condition).Planned();
        if (refusal.Remedies.FirstOrDefault(r => r.Request is not null) is { } first)
            Assert.Equal(first.Request, refusal.Nearest);
        else
            Assert.Null(refusal.Nearest);
        return refusal;
    }
}
