using System.Text;
using KvmPortal.Engine.Events;
using KvmPortal.Web.Events;
using Microsoft.AspNetCore.Http;

namespace KvmPortal.Web.Tests.Hosting;

public sealed class EventStreamTests
{
    [Fact]
    public async Task Events_and_gaps_are_framed_so_that_a_reader_can_resume()
    {
        var text = await WriteAsync(
            new EventOrGap(null, 1, 4),
            new EventOrGap(new PortalEvent(5, DateTimeOffset.UnixEpoch, "vm.created", null, "ada", false, "two\nlines", null)));
        var frames = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(": connected", frames[0]);
        Assert.Equal(["id: 4", "event: gap", """data: {"from":1,"to":4}"""], frames[1].Split('\n'));
        var lines = frames[2].Split('\n');
        Assert.Equal(3, lines.Length);
        Assert.Equal("id: 5", lines[0]);
        Assert.Equal("event: vm.created", lines[1]);
        Assert.StartsWith("data: {\"seq\":5,", lines[2], StringComparison.Ordinal);
    }

    private static async Task<string> WriteAsync(params EventOrGap[] items)
    {
        var context = new DefaultHttpContext();
        using var body = new MemoryStream();
        context.Response.Body = body;
        await EventStream.SendAsync(context.Response, items.ToAsyncEnumerable(), TestContext.Current.CancellationToken);
        return Encoding.UTF8.GetString(body.ToArray());
    }
}
