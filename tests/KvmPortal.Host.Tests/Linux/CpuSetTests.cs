using System.Text.Json;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Tests.Linux;

public sealed class CpuSetTests
{
    [Theory]
    [InlineData("", 0, "")]
    [InlineData("\n", 0, "")]
    [InlineData("(null)", 0, "")]
    [InlineData("0", 1, "0")]
    [InlineData("0-3,8,10-11\n", 7, "0-3,8,10-11")]
    [InlineData("64-127,0-1,2", 67, "0-2,64-127")]
    [InlineData("5-5", 1, "5")]
    public void Reads_and_writes_the_kernels_list(string text, int count, string written)
    {
        var set = CpuSet.Parse(text);
        Assert.Equal(count, set.Count);
        Assert.Equal(written, set.ToString());
        Assert.Equal(set, CpuSet.Parse(written));
        Assert.Equal(set.GetHashCode(), CpuSet.Of(set).GetHashCode());
    }

    [Theory]
    [InlineData("3-1")]
    [InlineData("a")]
    [InlineData("1,,2")]
    [InlineData("-1")]
    [InlineData("0-")]
    [InlineData("8192")]
    [InlineData("0-99999999999999999999")]
    [InlineData("0x1")]
    public void Refuses_what_is_no_list(string text) => Assert.False(CpuSet.TryParse(text, out _));

    [Fact]
    public void Behaves_as_a_set()
    {
        var random = new Random(3);
        for (var i = 0; i < 500; i++)
        {
            var (a, b) = (Some(random), Some(random));
            var (x, y) = (CpuSet.Of(a), CpuSet.Of(b));
            Assert.Equal(a.Union(b).Order(), x | y);
            Assert.Equal(a.Intersect(b).Order(), x & y);
            Assert.Equal(a.Except(b).Order(), x - y);
            Assert.Equal(a.Overlaps(b), x.Overlaps(y));
            Assert.Equal(a.IsSubsetOf(b), x.IsSubsetOf(y));
            Assert.Equal(x | y, CpuSet.Union([y, x]));
            Assert.Equal((x - y) | (x & y), x);
            Assert.Equal(a.Contains(7), x.Contains(7));
            Assert.Equal(a.Count, x.Count);
        }
    }

    [Fact]
    public void Is_text_in_json()
    {
        Assert.Equal("\"0-1,4\"", JsonSerializer.Serialize(CpuSet.Of(4, 0, 1)));
        Assert.Equal(CpuSet.Range(0, 3), JsonSerializer.Deserialize<CpuSet>("\"0-3\""));
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<CpuSet>("\"x\""));
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<CpuSet>("3"));
    }

    private static HashSet<int> Some(Random random) => [.. Enumerable.Range(0, random.Next(0, 20)).Select(_ => random.Next(200))];
}
