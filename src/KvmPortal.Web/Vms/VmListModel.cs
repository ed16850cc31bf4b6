using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Vms;

/// <summary>State and verbs of the machine list: what is searched, where the cursor stands, what is selected, what an action met.</summary>
public sealed class VmListModel(VmOperations vms, VmSet set)
{
    private static readonly System.Buffers.SearchValues<char> Operators = System.Buffers.SearchValues.Create("=~<>()\"");
    private readonly HashSet<VmId> selected = [];

    public VmSet Set => set;

    public string Search { get; private set; } = "";

    /// <summary>Field name, `-` in front for descending.</summary>
    public string Sort { get; private set; } = "name";

    /// <summary>Row that the keyboard is on; -1 before the first key.</summary>
    public int Cursor { get; private set; } = -1;

    public IReadOnlyCollection<VmId> Selected => selected;

    /// <summary>What the last action or the search met; null when all went well.</summary>
    public ProblemInfo? Problem { get; private set; }

    /// <summary>True while actions are being handed over.</summary>
    public bool Acting { get; private set; }

    /// <summary>Reads the list anew for what the address says.</summary>
    public async Task ShowAsync(Caller caller, string? search, string? sort, CancellationToken ct)
    {
        (Search, Sort, Cursor) = (search?.Trim() ?? "", string.IsNullOrEmpty(sort) ? "name" : sort, -1);
        await set.LoadAsync(caller, Query(Search, Sort), ct);
        Problem = set.Failure is { } failure ? Failures.From(failure) : null;
        selected.IntersectWith(set.Items.Select(v => v.Id));
    }

    /// <summary>The search box takes both: words, and the filter grammar as soon as it holds an operator.</summary>
    public static ListQuery Query(string search, string sort) =>
        search.AsSpan().IndexOfAny(Operators) >= 0 || search.StartsWith("not ", StringComparison.Ordinal)
            ? new ListQuery(Sort: sort, Filter: search)
            : new ListQuery(Sort: sort, Text: search.Length == 0 ? null : search);

    /// <summary>The sort that a click on a column's head asks for.</summary>
    public string Toggled(string field) => Sort == field ? "-" + field : field;

    public bool IsSelected(VmId id) => selected.Contains(id);

    public void Toggle(VmId id)
    {
        if (!selected.Remove(id))
            selected.Add(id);
    }

    /// <summary>All that is listed, or none when all are selected already.</summary>
    public void ToggleAll()
    {
        var all = set.Items;
        if (selected.Count == all.Length)
            selected.Clear();
        else
            selected.UnionWith(all.Select(v => v.Id));
    }

    public void ClearSelection() => selected.Clear();

    public void ClearProblem() => Problem = null;

    /// <summary>Moves the keyboard's row; false when there is none.</summary>
    public bool Move(int by)
    {
        if (set.Items.Length == 0)
            return false;
        Cursor = Math.Clamp(Cursor < 0 ? 0 : Cursor + by, 0, set.Items.Length - 1);
        return true;
    }

    public VmSummary? AtCursor => Cursor >= 0 && Cursor < set.Items.Length ? set.Items[Cursor] : null;

    /// <summary>The selected machines on which an action makes sense now; the others are left out of the confirmation.</summary>
    public IReadOnlyList<VmSummary> Candidates(VmAction action) => [.. set.Items.Where(v => selected.Contains(v.Id) && Offers(action, v.Status.State))];

    /// <summary>Whether a list offers an action in a state. A courtesy: the engine decides.</summary>
    public static bool Offers(VmAction action, VmState state) => action switch
    {
        VmAction.Start => state is VmState.Stopped or VmState.Suspended or VmState.Crashed,
        VmAction.Shutdown => state is VmState.Running,
        VmAction.Stop => state is VmState.Running or VmState.Paused or VmState.Starting or VmState.Stopping or VmState.Crashed or VmState.Unknown,
        VmAction.Reset => state is VmState.Running or VmState.Paused,
        VmAction.Pause => state is VmState.Running,
        VmAction.Resume => state is VmState.Paused,
        VmAction.Suspend => state is VmState.Running or VmState.Paused,
    };

    /// <summary>Queues an action; for several machines as one job, with a child for each, that names what could not be done.</summary>
    public async Task ActAsync(Caller caller, IReadOnlyList<VmSummary> machines, VmAction action, CancellationToken ct)
    {
        (Acting, Problem) = (true, null);
        try
        {
            if (machines.Count > 1)
                await vms.ActOnManyAsync(caller, [.. machines.Select(m => m.Id)], action, new VmActionOptions(), new BulkOptions(), ct);
            else if (machines is [var vm])
                await vms.ActAsync(caller, vm.Id, action, new VmActionOptions(), ct);
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
        }
        finally
        {
            Acting = false;
        }
    }
}
