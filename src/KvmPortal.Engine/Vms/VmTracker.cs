using System.Collections.Concurrent;
using System.Collections.Immutable;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Vms;

/// <summary>
/// What is true of every VM now, in memory: summaries for lists, and states derived from what the host says (see <see cref="VmLifecycle"/>).
/// Readers get immutable snapshots; each change grows the VM's generation, so "newer than N" can be waited for. Rows are written behind.
/// </summary>
internal sealed class VmTracker(PortalStore store, LiveFeed live, VmStatusWriter writer, TimeProvider time)
{
    private readonly ConcurrentDictionary<VmId, Entry> entries = new();
    private readonly SemaphoreSlim loading = new(1, 1);
    private volatile bool loaded;

    private sealed class Entry
    {
        public required VmSummary Summary { get; set; }
        public MachineTruth Truth { get; set; } = new(null, null, null);
        public VmActivity Activity { get; set; }
        public bool Suspended { get; set; }
        public TaskCompletionSource Changed { get; set; } = NewSignal();
    }

    /// <summary>All VMs by name. Cheap: kept until something changes.</summary>
    public async ValueTask<ImmutableArray<VmSummary>> AllAsync(CancellationToken ct)
    {
        await LoadAsync(ct);
        if (Volatile.Read(ref byNameBox) is { } kept)
            return kept.Items;
        var stamp = Interlocked.Read(ref changes);
        // States change all the time, names seldom: the order is kept apart.
        var named = Interlocked.Read(ref names);
        var order = Volatile.Read(ref ordered) is { } known && known.Stamp == named ? known
            : new Order(named, [.. entries.Values.OrderBy(e => e.Summary.Name, StringComparer.OrdinalIgnoreCase)]);
        Volatile.Write(ref ordered, order);
        var made = order.Entries.Select(e => e.Summary).ToImmutableArray();
        if (stamp == Interlocked.Read(ref changes))
            Volatile.Write(ref byNameBox, new Box(made));
        return made;
    }

    public async ValueTask<VmSummary?> FindAsync(VmId id, CancellationToken ct)
    {
        await LoadAsync(ct);
        return entries.TryGetValue(id, out var entry) ? entry.Summary : null;
    }

    public async ValueTask<bool> HasProcessAsync(VmId id, CancellationToken ct)
    {
        await LoadAsync(ct);
        return entries.TryGetValue(id, out var entry) && entry.Truth.Run is not null;
    }

    /// <summary>A VM was created or its definition changed.</summary>
    public void Put(Vm vm)
    {
        var summary = SummaryOf(vm);
        var entry = entries.AddOrUpdate(vm.Id, _ => NewEntry(vm, summary), (_, old) =>
        {
            lock (old)
                old.Summary = summary with { Status = old.Summary.Status };
            return old;
        });
        Interlocked.Increment(ref names);
        Touch();
        live.Publish(new VmChanged(entry.Summary));
    }

    public void Remove(VmId id)
    {
        if (!entries.TryRemove(id, out var entry))
            return;
        Interlocked.Increment(ref names);
        Touch();
        live.Publish(new VmRemoved(id));
        entry.Changed.TrySetResult();
    }

    /// <summary>The portal begins doing something to a VM, or ends it (None).</summary>
    public void SetActivity(VmId id, VmActivity activity) => Change(id, entry => entry.Activity = activity);

    public void SetSuspended(VmId id, bool suspended) => Change(id, entry => entry.Suspended = suspended);

    /// <summary>The host says how a machine is. Unknown machines are ignored here; the host page shows them.</summary>
    public VmSummary? SetTruth(VmId id, MachineTruth truth, int? pid = null, Accelerator? accelerator = null) => Change(id, entry =>
    {
        entry.Truth = truth;
        var status = entry.Summary.Status;
        entry.Summary = entry.Summary with
        {
            Status = truth.Run is null ? status with { Pid = null, Accelerator = null } : status with { Pid = pid ?? status.Pid, Accelerator = accelerator ?? status.Accelerator },
        };
    });

    /// <summary>Ids of VMs that were thought to have a process.</summary>
    public async Task<IReadOnlyList<VmId>> ThoughtRunningAsync(CancellationToken ct)
    {
        await LoadAsync(ct);
        return [.. entries.Where(e => e.Value.Truth.Run is not null || e.Value.Summary.Status.Pid is not null).Select(e => e.Key)];
    }

    /// <summary>Derives all states anew: what was stored last may be older than what was recorded beside it.</summary>
    public void DeriveAll()
    {
        foreach (var id in entries.Keys)
            Change(id, _ => { });
    }

    /// <summary>Waits until the VM's state satisfies <paramref name="wanted"/>; false when it did not within <paramref name="timeout"/>.</summary>
    public async Task<bool> WaitForAsync(VmId id, Func<VmStatus, bool> wanted, TimeSpan timeout, CancellationToken ct)
    {
        var deadline = Task.Delay(timeout, time, ct);
        while (entries.TryGetValue(id, out var entry))
        {
            Task changed;
            lock (entry)
            {
                if (wanted(entry.Summary.Status))
                    return true;
                changed = entry.Changed.Task;
            }

            if (await Task.WhenAny(changed, deadline) == deadline)
            {
                ct.ThrowIfCancellationRequested();
                return false;
            }
        }

        return false;
    }

    /// <summary>Reads the rows once, at first need: columns only, no definitions.</summary>
    public async ValueTask LoadAsync(CancellationToken ct)
    {
        if (loaded)
            return;
        await loading.WaitAsync(ct);
        try
        {
            if (loaded)
                return;
            var rows = await store.ReadAsync(db => db.Vms.Select(v => new
            {
                v.Id,
                v.Name,
                v.TagIndex,
                v.Profile,
                v.CpuCount,
                v.MemoryMiB,
                v.State,
                v.Since,
                v.Reason,
                v.Accelerator,
                v.Pid,
                v.Generation,
                v.CreatedAt,
                Suspended = v.SuspendPath != null,
            }).ToListAsync(ct), ct);
            foreach (var v in rows)
            {
                var summary = new VmSummary
                {
                    Id = v.Id,
                    Name = v.Name,
                    Tags = Tags(v.TagIndex),
                    Profile = v.Profile,
                    CpuCount = v.CpuCount,
                    MemoryMiB = v.MemoryMiB,
                    CreatedAt = v.CreatedAt,
                    Status = new VmStatus(v.State, v.Since, v.Reason, v.Accelerator, v.Pid, v.Generation),
                };
                entries.TryAdd(v.Id, new Entry { Summary = summary, Suspended = v.Suspended, Truth = new MachineTruth(null, v.State == VmState.Crashed ? MachineEnd.Crashed : null, v.Reason) });
            }

            loaded = true;
        }
        finally
        {
            loading.Release();
        }
    }

    private VmSummary? Change(VmId id, Action<Entry> change)
    {
        if (!entries.TryGetValue(id, out var entry))
            return null;
        VmSummary summary;
        TaskCompletionSource signal;
        lock (entry)
        {
            var before = entry.Summary.Status;
            change(entry);
            var state = VmLifecycle.Derive(entry.Truth, entry.Activity, entry.Suspended);
            var reason = entry.Truth.Reason;
            var after = entry.Summary.Status with { State = state, Reason = reason, Since = state == before.State ? before.Since : time.GetUtcNow() };
            if (after == before)
                return entry.Summary;
            summary = entry.Summary = entry.Summary with { Status = after with { Generation = before.Generation + 1 } };
            signal = entry.Changed;
            entry.Changed = NewSignal();
        }

        Touch();
        writer.Write(id, summary.Status);
        live.Publish(new VmChanged(summary));
        signal.TrySetResult();
        return summary;
    }

    private static Entry NewEntry(Vm vm, VmSummary summary) => new() { Summary = summary, Suspended = vm.SuspendPath is not null };

    public static VmSummary SummaryOf(Vm vm) => new()
    {
        Id = vm.Id,
        Name = vm.Name,
        Tags = vm.Definition.Tags,
        Profile = vm.Profile,
        CpuCount = vm.CpuCount,
        MemoryMiB = vm.MemoryMiB,
        Status = vm.Status,
        CreatedAt = vm.CreatedAt,
    };

    private static string[] Tags(string index) => index.Split(',', StringSplitOptions.RemoveEmptyEntries);

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private sealed record Box(ImmutableArray<VmSummary> Items);

    private Box? byNameBox;
    private sealed record Order(long Stamp, Entry[] Entries);

    private Order? ordered;
    private long names;
    private long changes;

    private void Touch()
    {
        Interlocked.Increment(ref changes);
        Volatile.Write(ref byNameBox, null);
    }
}
