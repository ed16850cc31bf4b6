using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Web.Shared;

/// <param name="Kind">machines, images or jobs.</param>
/// <param name="Address">Relative address of its page.</param>
public sealed record SearchHit(string Kind, string Name, string Address, VmState? VmState = null, JobState? JobState = null, string? JobKind = null);

/// <summary>Searches machines, images and jobs at once; a newer search makes an older one's answer void.</summary>
public sealed class GlobalSearchModel(VmOperations vms, ImageOperations images, JobOperations jobs)
{
    private const int PerKind = 6;
    private int generation;

    public IReadOnlyList<SearchHit> Hits { get; private set; } = [];

    public bool Searching { get; private set; }

    /// <summary>Searches a moment later, so that typing fast asks once.</summary>
    public async Task SearchAsync(Caller caller, string text, Action changed, CancellationToken ct)
    {
        var mine = ++generation;
        text = text.Trim();
        if (text.Length is 0 or > 200)
        {
            (Hits, Searching) = ([], false);
            return;
        }

        Searching = true;
        try
        {
            await Task.Delay(120, ct);
            if (mine != generation)
                return;
            var query = new ListQuery(PerKind, Text: text);
            var hits = new List<SearchHit>();
            hits.AddRange((await vms.ListAsync(caller, query, ct)).Items.Select(v => new SearchHit("machines", v.Name, $"machines/{v.Id}", VmState: v.Status.State)));
            hits.AddRange((await images.ListAsync(caller, query, ct)).Items.Select(i => new SearchHit("images", i.Name, $"images?q={Uri.EscapeDataString(i.Name)}")));
            hits.AddRange((await jobs.ListAsync(caller, query, ct)).Items.Select(j => new SearchHit("jobs", j.Target.Name, $"jobs/{j.Id}", JobState: j.State, JobKind: j.Kind)));
            if (mine == generation)
                (Hits, Searching) = (hits, false);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        catch (PortalException)
        {
            // Half-typed text may not be searchable; the next key asks again.
            if (mine == generation)
                (Hits, Searching) = ([], false);
        }

        changed();
    }
}
