using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Tests.Pages;

public sealed class ThrottleTests
{
    [Fact]
    public async Task A_hundred_requests_are_a_few_calls_and_the_last_one_is_not_lost()
    {
        var (calls, value, seen) = (0, 0, 0);
        using var throttle = new Throttle(TimeProvider.System, TimeSpan.FromMilliseconds(100), () => { Interlocked.Increment(ref calls); Volatile.Write(ref seen, Volatile.Read(ref value)); });
        for (var i = 1; i <= 100; i++)
        {
            Volatile.Write(ref value, i);
            throttle.Request();
            await Task.Delay(2);
        }

        await PagePortal.UntilAsync(() => Volatile.Read(ref seen) == 100, "the last value");
        Assert.InRange(calls, 2, 20);
    }

    [Fact]
    public async Task What_is_ready_comes_as_one_batch()
    {
        var batches = new List<int>();
        await foreach (var batch in Batches.Of(Numbers(), TestContext.Current.CancellationToken))
            batches.Add(batch.Count);
        Assert.Equal(3000, batches.Sum());
        Assert.True(batches.Count < 1000, $"{batches.Count} batches");

        static async IAsyncEnumerable<int> Numbers()
        {
            for (var i = 0; i < 3000; i++)
                yield return i;
            await Task.Yield();
        }
    }

    [Fact]
    public async Task A_stream_that_fails_fails_its_batches()
    {
        await Assert.ThrowsAnyAsync<InvalidOperationException>(async () =>
        {
            await foreach (var _ in Batches.Of(Broken(), TestContext.Current.CancellationToken))
            {
            }
        });

        static async IAsyncEnumerable<int> Broken()
        {
            yield return 1;
            await Task.Yield();
            throw new InvalidOperationException("broken");
        }
    }
}
