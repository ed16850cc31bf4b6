using KvmPortal.Host.Consoles;

namespace KvmPortal.Host.Tests.Consoles;

public sealed class SerialHistoryTests
{
    [Fact]
    public void It_keeps_the_first_and_the_latest_half_as_a_plain_list_would()
    {
        foreach (var seed in Enumerable.Range(1, 40))
        {
            var random = new Random(seed);
            var half = random.Next(4096, 20_000);
            var history = new SerialHistory(half);
            var all = new List<byte>();
            for (var i = 0; i < 60; i++)
            {
                var bytes = new byte[random.Next(0, 3000)];
                random.NextBytes(bytes);
                history.Append(bytes);
                all.AddRange(bytes);
                Assert.Equal(all.Count, history.End);
                var (asked, most) = (random.Next(-5, all.Count + 5), random.Next(1, 5000));
                var (at, read) = history.Read(asked, most);
                var expected = Math.Clamp(asked, 0, all.Count);
                if (expected >= half)
                    expected = Math.Max(expected, all.Count - half);
                Assert.Equal(expected, at);
                Assert.Equal(all.GetRange((int)at, read.Length), read);
                Assert.True(read.Length > 0 || at == all.Count, "Nothing came although there is more.");
            }
        }
    }

    [Fact]
    public void A_reader_in_the_gap_is_moved_on()
    {
        var history = new SerialHistory(4096);
        for (var i = 0; i < 20; i++)
            history.Append(new byte[1000]);
        Assert.Equal((20_000 - 4096, 4096), history.Read(5000, 1 << 20) is var (at, read) ? ((int)at, read.Length) : default);
    }
}
