using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts;

/// <summary>The host as its page shows it. There is one; its id is fixed.</summary>
public sealed record HostView(Guid Id, HostFacts Facts, bool Connected, Sentence? ConnectionProblem, int RunningVms, int VmCount)
{
    /// <summary>Guests on the host that the portal does not know.</summary>
    public IReadOnlyList<Stranger> Strangers { get; init; } = [];
}

/// <summary>What callers can see of and do with the host.</summary>
public sealed class HostOperations
{
    private readonly IMachineHost host;
    private readonly HostLink link;
    private readonly StrangerWatch strangers;
    private readonly VmTracker tracker;
    private readonly PortalStore store;
    private readonly JobQueue queue;

    internal HostOperations(IMachineHost host, (HostLink Link, StrangerWatch Strangers) watch, VmTracker tracker, PortalStore store, JobQueue queue)
    {
        this.host = host;
        (link, strangers) = watch;
        this.tracker = tracker;
        this.store = store;
        this.queue = queue;
    }

    /// <summary>Id of the host that the portal runs on.</summary>
    public static Guid LocalHostId { get; } = new("00000000-0000-7000-8000-000000000001");

    /// <summary>Which CPU models machines can have here, what each costs, and which to take. Throws HostFailed with QEMU's words where it cannot be asked.</summary>
    public async Task<CpuAdvice> AdviseCpuAsync(Caller caller, CancellationToken ct)
    {
        var facts = await host.GetFactsAsync(ct);
        var accelerator = facts.Kvm.Verdict == KvmVerdict.Works ? Accelerator.Kvm : Accelerator.Tcg;
        try
        {
            return CpuAdvisor.Advise(accelerator, await host.ReadCpuModelsAsync(accelerator, ct), facts.Cpu.Vendor);
        }
        catch (HostException e)
        {
            throw new PortalException(ErrorCode.HostFailed, HostSentences.Read(e.Message), e) { Hint = e.Hint is { } hint ? HostSentences.Read(hint) : null };
        }
    }

    public async Task<HostView> GetAsync(Caller caller, CancellationToken ct)
    {
        var facts = await host.GetFactsAsync(ct);
        var all = await tracker.AllAsync(ct);
        return new HostView(LocalHostId, facts, link.Problem is null, link.Problem, all.Count(v => v.Status.Pid is not null), all.Length) { Strangers = strangers.Known };
    }

    /// <summary>What the proof does.</summary>
    public static Plan PlanProveAccelerator(Caller caller) => PlanProof();

    /// <summary>Proves (again) whether KVM can run a guest, as a job.</summary>
    public async Task<JobView> ProveAcceleratorAsync(Caller caller, CancellationToken ct)
    {
        var facts = await host.GetFactsAsync(ct);
        var plan = PlanProof();
        var target = new JobTarget(TargetType.Host, LocalHostId, facts.HostName);
        var job = await store.WriteAsync(db => queue.AddAsync(db, caller, "prove-accelerator", target, new ProveAcceleratorIntent(), plan, ct), ct);
        return (await queue.CommittedAsync(job))!;
    }

    internal static Plan PlanProof() => new() { Steps = [PlanStep.Host(new ProveAccelerator { Again = true }, Say.ProveKvm, Say.ProveKvmWhy)] };
}
