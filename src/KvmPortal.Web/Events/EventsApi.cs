using System.Globalization;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Events;

/// <summary>The event log: as a stream of server-sent events, or as a page of JSON.</summary>
internal static class EventsApi
{
    public static void MapEventsApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/events", StreamAsync).WithName("watchEvents").Produces<ItemList<PortalEvent>>();
        api.MapGet("/vms/{id}/events", OfVmAsync).WithName("listVmEvents");
    }

    /// <summary>
    /// Server-sent events after `Last-Event-ID` or `?since=` (0: all that are kept; neither: new ones only). A gap is announced as an event of type `gap`.
    /// With `Accept: application/json`: a page, newest first.
    /// </summary>
    private static async Task StreamAsync(HttpContext context, PortalEvents events, Goodbye goodbye, CancellationToken aborted)
    {
        // A stream has no end of its own: without this the portal would wait for every reader when it stops.
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(aborted, goodbye.Token);
        var ct = ends.Token;
        if (context.Request.Headers.Accept.ToString().Contains("application/json", StringComparison.OrdinalIgnoreCase))
        {
            var page = await events.ListAsync(context.Caller(), context.Request.ListQuery(), null, ct);
            await context.Response.WriteAsJsonAsync(new ItemList<PortalEvent>(page.Items, page.NextCursor), PortalJson.Options, ct);
            return;
        }

        long? since = long.TryParse(context.Request.Headers["Last-Event-ID"], NumberStyles.None, CultureInfo.InvariantCulture, out var last) ? last
            : context.Request.Query.ContainsKey("since") ? context.Request.Offset("since") : null;
        // Watching begins before the client learns that it is connected: what it causes afterwards is not missed.
        var watching = events.WatchAsync(context.Caller(), since, ct);
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-cache";
        context.Response.Headers["X-Accel-Buffering"] = "no";
        try
        {
            await EventStream.SendAsync(context.Response, watching, ct);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // The reader left, or the portal stops: then it hears why, and comes back with Last-Event-ID.
            if (!aborted.IsCancellationRequested)
                await EventStream.SayStoppingAsync(context.Response, aborted);
        }
    }

    /// <summary>Events of one VM, newest first.</summary>
    private static async Task<ItemList<PortalEvent>> OfVmAsync(HttpContext context, VmOperations vms, PortalEvents events, string id, CancellationToken ct)
    {
        var vm = await vms.ResolveAsync(context.Caller(), id, ct);
        var page = await events.ListAsync(context.Caller(), context.Request.ListQuery(), vm.Value, ct);
        return new ItemList<PortalEvent>(page.Items, page.NextCursor);
    }
}
