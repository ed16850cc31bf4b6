using KvmPortal.Host.Linux.Inventory;

namespace KvmPortal.Host.Tests.Linux;

public sealed class SharedReadingTests
{
    [Fact]
    public async Task Who_comes_during_a_reading_shares_the_next_one()
    {
        using var go = new SemaphoreSlim(0);
        using var began = new SemaphoreSlim(0);
        var (reads, most, now) = (0, 0, 0);
        var shared = new SharedReading<int>(() =>
        {
            most = Math.Max(most, Interlocked.Increment(ref now));
            began.Release();
            Assert.True(go.Wait(TimeSpan.FromSeconds(10)));
            Interlocked.Decrement(ref now);
            return Interlocked.Increment(ref reads);
        });
        var ct = TestContext.Current.CancellationToken;
        var first = shared.ReadAsync(ct);
        await began.WaitAsync(ct);
        var others = Enumerable.Range(0, 50).Select(_ => shared.ReadAsync(ct)).ToList();
        go.Release(3);
        Assert.Equal(1, await first);
        Assert.All(await Task.WhenAll(others), number => Assert.Equal(2, number));
        Assert.Equal(3, await shared.ReadAsync(ct));
        Assert.Equal(1, most);
    }

    [Fact]
    public async Task A_reading_that_fails_fails_for_those_who_share_it_only()
    {
        var fail = true;
        var shared = new SharedReading<int>(() => fail ? throw new IOException("no") : 1);
        await Assert.ThrowsAsync<IOException>(() => shared.ReadAsync(TestContext.Current.CancellationToken));
        fail = false;
        Assert.Equal(1, await shared.ReadAsync(TestContext.Current.CancellationToken));
    }
}
