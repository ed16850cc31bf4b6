using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>Requests that no honest client sends: each gets a problem of the 4xx kind, and the portal goes on.</summary>
public sealed class HostileRequestTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    public static TheoryData<string> Unreadable() =>
    [
        "", "{", "[]", "null", "\"text\"", "5", "{\"name\":\"x\"}trailing", "{\"name\":\"x\",}", "{/*c*/\"name\":\"x\"}", "{}",
        """{"name":"x","nothing":1}""", """{"name":"x","name":"y"}""", """{"name":"x","Name":"y"}""", """{"name":5}""", """{"name":null}""",
        """{"name":"x","cpu":null}""", """{"name":"x","tags":null}""", """{"name":"x","nics":[{}]}""",
        """{"name":"x","cpu":{"count":"2"}}""", """{"name":"x","cpu":{"count":1.5}}""", """{"name":"x","cpu":{"count":99999999999999999999}}""", """{"name":"x","cpu":{"count":1e400}}""",
        """{"name":"x","profile":1}""", """{"name":"x","start":"yes"}""", """{"name":"x","boot":{"direct":{}}}""", """{"name":"\ud800"}""",
        """{"name":"x","\ud800":1}""", """{"name":"x","disks":[{"name":"a","name":"b"}]}""", """{"name":"x","cpu":{"threads":true}}""", """{"$type":"x","name":"x"}""",
        $$"""{"name":"x","devices":{{new string('[', 200)}}{{new string(']', 200)}}}""", $$"""{"name":"x","devices":{{new string('[', 100_000)}}""",
    ];

    [Theory]
    [MemberData(nameof(Unreadable))]
    public async Task A_body_that_is_not_a_definition_is_refused(string body)
    {
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms", body), 400, "malformed");
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms?dryRun=true", body), 400, "malformed");
    }

    [Theory]
    [InlineData("{\"name\":\"a\u0001b\"}")]
    [InlineData("""{"name":"x","tags":[null]}""")]
    [InlineData("""{"name":"x","disks":[null]}""")]
    [InlineData("""{"name":"x","nics":[null]}""")]
    [InlineData("""{"name":"x","boot":{"order":[null]}}""")]
    [InlineData("""{"name":"x","devices":[{}]}""")]
    [InlineData("""{"name":"x","cpu":{"count":2147483647}}""")]
    [InlineData("""{"name":"x","memory":{"sizeMiB":2147483647}}""")]
    [InlineData("""{"name":"x","memory":{"sizeMiB":-2147483648}}""")]
    [InlineData("""{"name":"x","disks":[{"name":"disk0","sizeGiB":2147483647}]}""")]
    [InlineData("""{"name":"x","disks":[{"name":"disk0","sizeGiB":1,"limits":{"iops":-1}}]}""")]
    [InlineData("""{"name":"x","disks":[{"name":"disk0","sizeGiB":1,"pool":"../../etc"}]}""")]
    [InlineData("""{"name":"x","disks":[{"name":"../disk","sizeGiB":1}]}""")]
    [InlineData("""{"name":"x","disks":[{"name":"disk0","image":"/etc/shadow"}]}""")]
    [InlineData("""{"name":"x","cpu":{"model":"host,+vmx -device evil"}}""")]
    [InlineData("""{"name":"x","nics":[{"name":"net0","mac":"zz"}]}""")]
    [InlineData("""{"name":"x","nics":[{"name":"net0","forwards":[{"hostPort":0,"guestPort":70000}]}]}""")]
    [InlineData("""{"name":"x","nics":[{"name":"net0","forwards":[{"hostAddress":"1.2.3.4,evil","hostPort":1,"guestPort":2}]}]}""")]
    [InlineData("""{"name":"x","boot":{"order":["nothing"]}}""")]
    public async Task A_definition_that_means_nothing_good_is_refused(string body)
    {
        var answer = await portal.SendAsync("POST", "/api/v1/vms", body);
        Assert.True((int)answer.StatusCode is 400 or 422, $"{(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");
        var problem = await ProblemAssert.IsAsync(answer, (int)answer.StatusCode);
        Assert.NotEmpty(problem["errors"]!.AsArray());
    }

    [Theory]
    [InlineData("a,b")]
    [InlineData("a\"b")]
    [InlineData("../../etc/passwd")]
    [InlineData("-daemonize")]
    [InlineData(".hidden")]
    [InlineData("a b")]
    [InlineData("a\nb")]
    [InlineData("a\n")]
    [InlineData("😀")]
    [InlineData("ａ")]
    [InlineData("")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    public async Task A_name_that_is_none_is_refused(string name)
    {
        var problem = await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms", RunningPortal.Definition(name)), 422, "invalid");
        Assert.Equal("/name", problem["errors"]![0]!["pointer"]!.GetValue<string>());
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", $"/api/v1/images?name={Uri.EscapeDataString(name)}", new byte[16]), 422, "invalid");
    }

    [Fact]
    public async Task The_longest_name_is_taken()
    {
        var name = "A" + new string('z', 62);
        await portal.MachineAsync(name);
        Assert.Equal(name, (await portal.JsonAsync($"/api/v1/vms/{name}"))["name"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("/api/v1/vms/nothing")]
    [InlineData("/api/v1/vms/00000000-0000-0000-0000-000000000000")]
    [InlineData("/api/v1/vms/..%2F..%2Fetc%2Fpasswd")]
    [InlineData("/api/v1/vms/%F0%9F%98%80")]
    [InlineData("/api/v1/vms/nothing/status")]
    [InlineData("/api/v1/vms/nothing/metrics")]
    [InlineData("/api/v1/vms/nothing/events")]
    [InlineData("/api/v1/vms/nothing/serial")]
    [InlineData("/api/v1/jobs/nothing")]
    [InlineData("/api/v1/jobs/00000000-0000-0000-0000-000000000000")]
    [InlineData("/api/v1/jobs/00000000-0000-0000-0000-000000000000/log")]
    [InlineData("/api/v1/jobs/{00000000-0000-0000-0000-000000000000}?wait=1")]
    [InlineData("/api/v1/images/nothing")]
    [InlineData("/api/v1/hosts/nothing")]
    [InlineData("/api/v1/hosts/nothing/metrics")]
    [InlineData("/api/v1/nothing")]
    [InlineData("/api/v2/vms")]
    public async Task What_is_not_there_is_404(string path) => await ProblemAssert.IsAsync(await portal.GetAsync(path), 404, "not-found");

    [Fact]
    public async Task Methods_and_types_that_an_address_does_not_take_are_refused()
    {
        await ProblemAssert.IsAsync(await portal.SendAsync("DELETE", "/api/v1/vms"), 405, "method-not-allowed");
        await ProblemAssert.IsAsync(await portal.SendAsync("PUT", "/api/v1/jobs", "{}"), 405);
        var xml = new StringContent("<vm/>", Encoding.UTF8, "application/xml");
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms", xml), 415, "unsupported-media-type");
        var form = new FormUrlEncodedContent([new("name", "x")]);
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/setup", form), 415);
    }

    [Fact]
    public async Task Invalid_utf8_is_refused_wherever_it_stands()
    {
        foreach (var text in new[] { "{\"name\":\"a?b\"}", "{\"na?me\":\"ab\"}", "{\"name\":\"ab\",\"?\":1}", "{\"name\":\"x\",\"tags\":[\"?\"]}", "?{}" })
        {
            var bytes = Encoding.ASCII.GetBytes(text);
            bytes[Array.IndexOf(bytes, (byte)'?')] = 0xFF;
            var content = new ByteArrayContent(bytes);
            content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms", content), 400, "malformed");
        }
    }

    [Theory]
    [InlineData(false, null)]
    [InlineData(true, null)]
    [InlineData(false, "long-1")]
    [InlineData(true, "long-2")]
    public async Task A_body_of_two_mebibytes_is_too_large(bool chunked, string? key)
    {
        var bytes = Encoding.ASCII.GetBytes("{\"name\":\"x\",\"description\":\"" + new string('a', 2 << 20) + "\"}");
        HttpContent content = chunked ? new StreamContent(new Unsized(bytes)) : new ByteArrayContent(bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/vms", content, key is null ? [] : [$"Idempotency-Key: {key}"]), 413, "too-large");
    }

    [Fact]
    public async Task A_request_that_breaks_the_protocol_does_not_break_the_portal()
    {
        foreach (var raw in new[] { "GET / HTTP/9.9\r\n\r\n", "\0\0\0\0\r\n\r\n", "POST /api/v1/vms HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" })
        {
            using var socket = new TcpClient();
            await socket.ConnectAsync(portal.Address.Host, portal.Address.Port);
            await socket.GetStream().WriteAsync(Encoding.ASCII.GetBytes(raw));
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
            var answer = new byte[64];
            var read = await socket.GetStream().ReadAsync(answer, limit.Token);
            var text = Encoding.ASCII.GetString(answer, 0, read);
            Assert.True(read == 0 || text.StartsWith("HTTP/1.1 4", StringComparison.Ordinal) || text.StartsWith("HTTP/1.1 505", StringComparison.Ordinal), text);
        }

        Assert.Equal(HttpStatusCode.OK, (await portal.GetAsync("/healthz")).StatusCode);
    }

    [Theory]
    [InlineData("Bearer nothing")]
    [InlineData("Bearer kvp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("Bearer ")]
    [InlineData("Basic YWRhOmFkYQ==")]
    public async Task A_wrong_token_is_401(string authorization)
    {
        using var nobody = portal.Anonymous();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/vms");
        request.Headers.TryAddWithoutValidation("Authorization", authorization);
        await ProblemAssert.IsAsync(await nobody.SendAsync(request), 401, "not-signed-in");
    }

    /// <summary>A stream that does not tell its length, so that it is sent in chunks.</summary>
    private sealed class Unsized(byte[] bytes) : MemoryStream(bytes)
    {
        public override bool CanSeek => false;
    }
}
