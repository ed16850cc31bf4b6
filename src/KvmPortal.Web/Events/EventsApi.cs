using System.Globalization;
using System.Text.Json;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Events;

/// <summary>The event log: as a stream of server-sent events, or as a page of JSON.</summary>
internal static class EventsApi
{
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    public static void MapEventsApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/events", StreamAsync).WithName("watchEvents").Produces<ItemList<PortalEvent>>();
        api.MapGet("/vms/{id}/events", OfVmAsync).WithName("listVmEvents");
    }

    /// <summary>
    /// Server-sent events after `Last-Event-ID` or `?since=` (0: all that are kept; neither: new ones only). A gap is announced as an event of type `gap`.
    /// With `Accept: application/json`: a page, newest first.
    /// </summary>
    private static async Task StreamAsync(HttpContext context, PortalEvents events, CancellationToken ct)
    {
        if (context.Request.Headers.Accept.ToString().Contains("application/json", StringComparison.OrdinalIgnoreCase))
        {
            var page = await events.ListAsync(context.Caller(), context.Request.ListQuery(), null, ct);
            await context.Response.WriteAsJsonAsync(new ItemList<PortalEvent>(page.Items, page.NextCursor), PortalJson.Options, ct);
            return;
        }

        long? since = long.TryParse(context.Request.Headers["Last-Event-ID"], NumberStyles.None, CultureInfo.InvariantCulture, out var last) ? last
            : context.Request.Query.ContainsKey("since") ? context.Request.Offset("since") : null;
        using var ends = context.UntilStopping();
        // Watching begins before the client learns that it is connected: what it causes afterwards is not missed.
        var watching = events.WatchAsync(context.Caller(), since, ends.Token);
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-cache";
        context.Response.Headers["X-Accel-Buffering"] = "no";
        try
        {
            await SendAsync(context.Response, ": connected\n\n", ends.Token);
            await PumpAsync(context.Response, watching, ends.Token);
        }
        catch (OperationCanceledException) when (ends.IsCancellationRequested)
        {
            // The reader left, or the portal stops: it comes back with Last-Event-ID.
        }
    }

    /// <summary>A line now and then, because neither side notices by itself that the other is gone.</summary>
    private static async Task PumpAsync(HttpResponse response, IAsyncEnumerable<EventOrGap> watching, CancellationToken ct)
    {
        await using var events = watching.GetAsyncEnumerator(ct);
        while (true)
        {
            var next = events.MoveNextAsync().AsTask();
            while (!next.IsCompleted)
            {
                using var heartbeat = CancellationTokenSource.CreateLinkedTokenSource(ct);
                if (await Task.WhenAny(next, Task.Delay(Heartbeat, heartbeat.Token)) != next && !ct.IsCancellationRequested)
                    await SendAsync(response, ": still here\n\n", ct);
                await heartbeat.CancelAsync();
            }

            if (!await next)
                return;
            await SendAsync(response, Text(events.Current), ct);
        }
    }

    private static string Text(EventOrGap item) => item.Event is { } e
        ? $"id: {e.Seq}\nevent: {e.Type}\ndata: {JsonSerializer.Serialize(e, PortalJson.Options)}\n\n"
        : $"id: {item.To}\nevent: gap\ndata: {JsonSerializer.Serialize(new { item.From, item.To }, PortalJson.Options)}\n\n";

    private static async Task SendAsync(HttpResponse response, string text, CancellationToken ct)
    {
        await response.WriteAsync(text, ct);
        await response.Body.FlushAsync(ct);
    }

    /// <summary>Events of one VM, newest first.</summary>
    private static async Task<ItemList<PortalEvent>> OfVmAsync(HttpContext context, VmOperations vms, PortalEvents events, string id, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        var page = await events.ListAsync(context.Caller(), context.Request.ListQuery(), vm.Value, ct);
        return new ItemList<PortalEvent>(page.Items, page.NextCursor);
    }
}
