using System.Text.Json;
using System.Text.Json.Nodes;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Hosts.Preparations;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Scores;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Scores;

/// <summary>The score of one machine, what was measured of it, and the changes that its rows offer.</summary>
public sealed class ScoreModel(ScoreOperations scores, EvidenceOperations evidence, VmOperations vms, PreparationOperations preparations)
{
    public ScoreReport? Report { get; private set; }
    public EvidenceReport? Evidence { get; private set; }
    public ProblemInfo? Problem { get; private set; }
    public ProblemInfo? EvidenceProblem { get; private set; }
    public bool Measuring { get; private set; }

    public async Task ReadAsync(Caller caller, VmId id, CancellationToken ct)
    {
        try
        {
            (Report, Problem) = (await scores.ScoreAsync(caller, id, ct), null);
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
    }

    /// <summary>What was measured of another run says nothing of this one.</summary>
    public void Forget() => (Evidence, EvidenceProblem) = (null, null);

    public async Task MeasureAsync(Caller caller, VmId id, CancellationToken ct)
    {
        (Measuring, EvidenceProblem) = (true, null);
        try
        {
            Evidence = await evidence.MeasureAsync(caller, id, TimeSpan.FromSeconds(2), ct);
        }
        catch (PortalException e)
        {
            EvidenceProblem = Failures.From(e);
        }
        finally
        {
            Measuring = false;
        }
    }

    public Task<Plan> PlanAsync(Caller caller, VmView vm, JsonObject patch) => vms.PlanReplaceAsync(caller, vm.Id, Patched(vm.Definition, patch), vm.Version, CancellationToken.None);

    public async Task<object?> ApplyAsync(Caller caller, VmView vm, JsonObject patch) => await vms.ReplaceAsync(caller, vm.Id, Patched(vm.Definition, patch), vm.Version, CancellationToken.None);

    public Task<Plan> PlanAsync(Caller caller, HostSetting setting) => preparations.PlanPrepareAsync(caller, [setting], true, CancellationToken.None);

    public async Task<object?> ApplyAsync(Caller caller, HostSetting setting) => await preparations.PrepareAsync(caller, [setting], true, CancellationToken.None);

    private static VmDefinition Patched(VmDefinition definition, JsonObject patch) =>
        MergePatch.Apply(JsonSerializer.SerializeToNode(definition, PortalJson.Options)!.AsObject(), (JsonObject)patch.DeepClone()).Deserialize<VmDefinition>(PortalJson.Options)!;
}
