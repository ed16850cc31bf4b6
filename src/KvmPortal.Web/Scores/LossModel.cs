using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Benchmarks;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Scores;

/// <summary>The benchmarks of one machine, and the form of the next.</summary>
public sealed class LossModel(BenchmarkOperations benchmarks, ImageOperations images, JobOperations jobs)
{
    /// <summary>Newest first; null before they were read.</summary>
    public IReadOnlyList<LossReport>? Reports { get; private set; }
    public IReadOnlyList<ImageView> Kernels { get; private set; } = [];
    public IReadOnlyList<ImageView> Initrds { get; private set; } = [];
    public ProblemInfo? Problem { get; private set; }
    public JobView? Job { get; private set; }
    public BenchmarkOptions Options { get; set; } = new();

    public bool Busy => Job is { State: JobState.Queued or JobState.Running };

    public async Task ReadAsync(Caller caller, VmId id, CancellationToken ct)
    {
        try
        {
            Reports = await benchmarks.ListAsync(caller, id, ct);
            var all = (await images.ListAsync(caller, new ListQuery(500), ct)).Items.Where(i => i.State == ImageState.Ready).ToList();
            (Kernels, Initrds, Problem) = ([.. all.Where(i => i.Kind == ImageKind.Kernel)], [.. all.Where(i => i.Kind == ImageKind.Initrd)], null);
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
    }

    public Task<Plan> PlanAsync(Caller caller, VmId id) => benchmarks.PlanAsync(caller, id, Options, CancellationToken.None);

    public async Task<object?> StartAsync(Caller caller, VmId id) => Job = await benchmarks.StartAsync(caller, id, Options, CancellationToken.None);

    /// <summary>Follows the job to its end, and reads anew.</summary>
    public async Task FollowAsync(Caller caller, VmId id, Action changed, CancellationToken ct)
    {
        try
        {
            while (Busy)
            {
                changed();
                Job = await jobs.WaitAsync(caller, Job!.Id, TimeSpan.FromSeconds(2), ct);
            }

            await ReadAsync(caller, id, ct);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }

        changed();
    }
}
