namespace KvmPortal.Engine.Tests;

public sealed class FilterExpressionTests
{
    private sealed record Item(string Name, string State, int Cpu, string[] Tags);

    private static readonly Item[] Items = [new("web-1", "running", 2, ["qa", "web"]), new("web-2", "stopped", 4, ["prod"]), new("db", "running", 8, [])];

    private static readonly Dictionary<string, FilterField<Item>> Fields = new()
    {
        ["name"] = new(i => [i.Name]),
        ["state"] = new(i => [i.State]),
        ["tag"] = new(i => i.Tags),
        ["cpu"] = new(i => [$"{i.Cpu}"], i => i.Cpu),
    };

    [Theory]
    [InlineData(null, "web-1 web-2 db")]
    [InlineData("state = running", "web-1 db")]
    [InlineData("state=RUNNING and name~web", "web-1")]
    [InlineData("state = running name ~ web", "web-1")]
    [InlineData("not state = running", "web-2")]
    [InlineData("tag = qa or cpu >= 8", "web-1 db")]
    [InlineData("(tag = qa or tag = prod) and cpu < 4", "web-1")]
    [InlineData("tag != qa", "web-2 db")]
    [InlineData("web", "web-1 web-2")]
    [InlineData("name = \"web-2\"", "web-2")]
    public void A_filter_selects(string? text, string names) =>
        Assert.Equal(names, string.Join(' ', Items.Where(FilterExpression<Item>.Parse(text, Fields, (i, w) => i.Name.Contains(w, StringComparison.OrdinalIgnoreCase))).Select(i => i.Name)));

    [Theory]
    [InlineData("state =")]
    [InlineData("(state = running")]
    [InlineData("state = running)")]
    [InlineData("nope = 1")]
    [InlineData("cpu > many")]
    [InlineData("name < 3")]
    [InlineData("\"open")]
    [InlineData("and")]
    [InlineData("or or")]
    public void A_wrong_filter_says_what_is_wrong(string text)
    {
        var e = Assert.Throws<PortalException>(() => FilterExpression<Item>.Parse(text, Fields, (_, _) => true));
        Assert.Equal(ErrorCode.Malformed, e.Code);
        Assert.Equal("?filter", Assert.Single(e.Problems).Pointer);
    }

    [Fact]
    public void Deep_nesting_is_refused_instead_of_overflowing_the_stack() =>
        Assert.Throws<PortalException>(() => FilterExpression<Item>.Parse(new string('(', 100_000), Fields, (_, _) => true));
}
