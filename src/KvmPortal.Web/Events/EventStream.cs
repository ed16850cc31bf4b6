using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;

namespace KvmPortal.Web.Events;

/// <summary>Writes events as server-sent events, with a line now and then, because neither side notices by itself that the other is gone.</summary>
internal static class EventStream
{
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    public static async Task SendAsync(HttpResponse response, IAsyncEnumerable<EventOrGap> watching, CancellationToken ct)
    {
        await WriteAsync(response, ": connected\n\n", ct);
        await using var events = watching.GetAsyncEnumerator(ct);
        while (true)
        {
            var next = events.MoveNextAsync().AsTask();
            while (!next.IsCompleted)
            {
                using var pause = CancellationTokenSource.CreateLinkedTokenSource(ct);
                if (await Task.WhenAny(next, Task.Delay(Heartbeat, pause.Token)) != next && !ct.IsCancellationRequested)
                    await WriteAsync(response, ": still here\n\n", ct);
                await pause.CancelAsync();
            }

            if (!await next)
                return;
            await WriteAsync(response, Text(events.Current), ct);
        }
    }

    /// <summary>The last word: an event without number of type `portal.stopping`.</summary>
    public static Task SayStoppingAsync(HttpResponse response, CancellationToken ct) =>
        WriteAsync(response, $"event: portal.stopping\nretry: 2000\ndata: {JsonSerializer.Serialize(new { Reason = Say.PortalStops }, PortalJson.Options)}\n\n", ct);

    private static string Text(EventOrGap item) => item.Event is { } e
        ? $"id: {e.Seq}\nevent: {e.Type}\ndata: {JsonSerializer.Serialize(e, PortalJson.Options)}\n\n"
        : $"id: {item.To}\nevent: gap\ndata: {JsonSerializer.Serialize(new { item.From, item.To }, PortalJson.Options)}\n\n";

    private static async Task WriteAsync(HttpResponse response, string text, CancellationToken ct)
    {
        await response.WriteAsync(text, ct);
        await response.Body.FlushAsync(ct);
    }
}
