using System.Text.Json;
using KvmPortal.Engine.Jobs;

namespace KvmPortal.Engine.Events;

/// <summary>One entry of the append-only log.</summary>
/// <param name="Seq">1, 2, 3 … without holes.</param>
/// <param name="Type">vm.created, vm.changed, vm.deleted, vm.state, vm.notice, job.queued, job.started, job.ended, image.added, image.deleted, host.connected, host.lost, user.signed-in …</param>
/// <param name="Text">One sentence for people, in English; pages translate by type and data.</param>
/// <param name="Data">Type-specific members.</param>
public sealed record PortalEvent(long Seq, DateTimeOffset At, string Type, JobTarget? Target, string Actor, bool Warning, string Text, JsonElement? Data);

/// <summary>What a watcher receives: an event, or the announcement that events <paramref name="From"/>..<paramref name="To"/> are no longer kept or were skipped.</summary>
public sealed record EventOrGap(PortalEvent? Event, long From = 0, long To = 0);
