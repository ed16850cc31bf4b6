using System.Globalization;
using System.Text;
using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Events;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;

namespace KvmPortal.Web.Events;

/// <summary>/api/v1/events: the log as a stream of server-sent events, or by pages.</summary>
internal static class EventsApi
{
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    public static void MapEvents(this IEndpointRouteBuilder routes) =>
        routes.MapApi("events").MapGet("", GetAsync).WithName("listEvents").Produces<ListPage<PortalEvent>>(200, "application/json", "text/event-stream");

    /// <summary>
    /// Events. By default server-sent events, live: each has its number as id and the event as JSON data; an event named gap announces numbers that are no
    /// longer kept. With "Accept: application/json" a page, newest first.
    /// </summary>
    /// <param name="since">Everything after this number first; Last-Event-ID counts instead when sent. Neither: only what happens from now on.</param>
    private static async Task<IResult> GetAsync(HttpContext http, [AsParameters] ListParameters list, long? since, PortalEvents events, TimeProvider time, CancellationToken ct)
    {
        var accept = http.Request.Headers.Accept.ToString();
        if (accept.Contains("application/json", StringComparison.OrdinalIgnoreCase) && !accept.Contains("text/event-stream", StringComparison.OrdinalIgnoreCase))
            return Results.Ok(await events.ListAsync(http.Caller(), list.ToQuery(), null, ct));
        var from = since;
        if (http.Request.Headers["Last-Event-ID"].ToString() is { Length: > 0 } last)
            from = long.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out var seq) ? seq : throw new PortalException(ErrorCode.Malformed, "Last-Event-ID is not the number of an event.");
        using var stopping = http.UntilStopping();
        var watching = events.WatchAsync(http.Caller(), from, stopping.Token);
        http.Response.ContentType = "text/event-stream";
        http.Response.Headers.CacheControl = "no-store";
        http.Response.Headers["X-Accel-Buffering"] = "no";
        await http.Response.WriteAsync("retry: 2000\n\n", stopping.Token);
        await http.Response.Body.FlushAsync(stopping.Token);
        try
        {
            await PumpAsync(http.Response, watching, time, stopping.Token);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The reader left, or the portal stops: it comes back with Last-Event-ID.
        }

        return Results.Empty;
    }

    private static async Task PumpAsync(HttpResponse response, IAsyncEnumerable<EventOrGap> watching, TimeProvider time, CancellationToken ct)
    {
        await using var events = watching.GetAsyncEnumerator(ct);
        while (true)
        {
            var next = events.MoveNextAsync().AsTask();
            while (!next.IsCompleted)
            {
                using var pause = CancellationTokenSource.CreateLinkedTokenSource(ct);
                if (await Task.WhenAny(next, Task.Delay(Heartbeat, time, pause.Token)) != next)
                    await SendAsync(response, ": still here\n\n", ct);
                await pause.CancelAsync();
            }

            if (!await next)
                return;
            await SendAsync(response, Text(events.Current), ct);
        }
    }

    private static string Text(EventOrGap item) => item.Event is { } e
        ? string.Create(CultureInfo.InvariantCulture, $"id: {e.Seq}\ndata: {JsonSerializer.Serialize(e, WireJson.Options)}\n\n")
        : string.Create(CultureInfo.InvariantCulture, $"event: gap\ndata: {{\"from\":{item.From},\"to\":{item.To}}}\n\n");

    private static async Task SendAsync(HttpResponse response, string text, CancellationToken ct)
    {
        await response.Body.WriteAsync(Encoding.UTF8.GetBytes(text), ct);
        await response.Body.FlushAsync(ct);
    }
}
