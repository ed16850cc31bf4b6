using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace KvmPortal.Web.Shared;

/// <summary>Groups what a stream has ready, so that an hour of history crosses to the browser in one call and not in thousands.</summary>
public static class Batches
{
    private const int Most = 4000;

    /// <summary>Whatever is there now, as lists; waits when there is nothing.</summary>
    public static async IAsyncEnumerable<IReadOnlyList<T>> Of<T>(IAsyncEnumerable<T> source, [EnumeratorCancellation] CancellationToken ct)
    {
        var channel = Channel.CreateBounded<T>(new BoundedChannelOptions(Most) { SingleReader = true, SingleWriter = true });
        var pumping = PumpAsync(source, channel.Writer, ct);
        while (await channel.Reader.WaitToReadAsync(ct))
        {
            var batch = new List<T>();
            while (batch.Count < Most && channel.Reader.TryRead(out var item))
                batch.Add(item);
            yield return batch;
        }

        await pumping;
    }

    private static async Task PumpAsync<T>(IAsyncEnumerable<T> source, ChannelWriter<T> writer, CancellationToken ct)
    {
        try
        {
            await foreach (var item in source.WithCancellation(ct))
                await writer.WriteAsync(item, ct);
            writer.TryComplete();
        }
        catch (Exception e)
        {
            writer.TryComplete(e);
        }
    }
}
