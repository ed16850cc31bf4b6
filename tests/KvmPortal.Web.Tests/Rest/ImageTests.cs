using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace KvmPortal.Web.Tests.Rest;

public sealed class ImageTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    private static readonly byte[] Iso = MakeIso();

    [Fact]
    public async Task An_image_is_uploaded_with_its_digest_listed_and_deleted()
    {
        var answer = await portal.SendAsync("POST", "/api/v1/images?name=tiny-1", Iso, $"Content-Digest: {DigestOf(Iso)}");
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        var image = await RunningPortal.BodyAsync(answer);
        Assert.Equal($"/api/v1/images/{image["id"]}", answer.Headers.Location!.ToString());
        Assert.Equal("iso", image["kind"]!.GetValue<string>());
        Assert.Equal("ready", image["state"]!.GetValue<string>());
        Assert.Equal(Iso.Length, image["fileSizeBytes"]!.GetValue<long>());
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(Iso)), image["sha256"]!.GetValue<string>());
        Assert.Equal(image["id"]!.ToString(), (await portal.JsonAsync("/api/v1/images/tiny-1"))["id"]!.ToString());
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/images?name=tiny-1", Iso), 409, "name-taken");
        Assert.NotEmpty((await RunningPortal.BodyAsync(await portal.SendAsync("DELETE", "/api/v1/images/tiny-1?dryRun=true")))["steps"]!.AsArray());
        Assert.Equal(HttpStatusCode.OK, (await portal.SendAsync("DELETE", "/api/v1/images/tiny-1", null, "Prefer: wait=30")).StatusCode);
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/images/tiny-1"), 404);
    }

    [Fact]
    public async Task Put_takes_what_curl_sends()
    {
        var content = new ByteArrayContent(Iso);
        Assert.Equal(HttpStatusCode.Created, (await portal.SendAsync("PUT", "/api/v1/images/by-curl", content)).StatusCode);
        Assert.Equal("ready", (await portal.JsonAsync("/api/v1/images/by-curl"))["state"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:")]
    [InlineData("sha-256=nothing")]
    [InlineData("sha-256=:AAAA:")]
    [InlineData("md5=:AAAA:")]
    public async Task A_wrong_digest_leaves_nothing(string digest)
    {
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/images?name=wrong", Iso, $"Content-Digest: {digest}"), 400);
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/images/wrong"), 404);
    }

    [Fact]
    public async Task An_upload_that_breaks_off_leaves_nothing()
    {
        using (var socket = new TcpClient())
        {
            await socket.ConnectAsync(portal.Address.Host, portal.Address.Port);
            await socket.GetStream().WriteAsync(Encoding.ASCII.GetBytes($"POST /api/v1/images?name=broken HTTP/1.1\r\nHost: {portal.Address.Authority}\r\nAuthorization: Bearer {portal.ApiToken}\r\nContent-Length: 65536\r\n\r\nonly this"));
            await Task.Delay(300);
        }

        for (var i = 0; (await portal.GetAsync("/api/v1/images/broken")).StatusCode != HttpStatusCode.NotFound; i++)
        {
            Assert.True(i < 100, "the broken upload is still listed");
            await Task.Delay(50);
        }

        Assert.Equal(HttpStatusCode.Created, (await portal.SendAsync("POST", "/api/v1/images?name=broken", Iso)).StatusCode);
    }

    [Theory]
    [InlineData("qcow2", 422)]
    [InlineData("zip", 400)]
    public async Task Another_kind_than_declared_is_refused(string kind, int status)
    {
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", $"/api/v1/images?name=kind&kind={kind}", Iso), status);
        await ProblemAssert.IsAsync(await portal.GetAsync("/api/v1/images/kind"), 404);
    }

    [Fact]
    public async Task An_image_in_use_stays()
    {
        await portal.SendAsync("POST", "/api/v1/images?name=used", Iso);
        var definition = RunningPortal.Definition("user-of-it");
        definition["disks"]!.AsArray().Add(new System.Text.Json.Nodes.JsonObject { ["name"] = "cd0", ["bus"] = "sata", ["cdrom"] = true, ["image"] = "used" });
        Assert.Equal(HttpStatusCode.Created, (await portal.SendAsync("POST", "/api/v1/vms", definition, "Prefer: wait=30")).StatusCode);
        var problem = await ProblemAssert.IsAsync(await portal.SendAsync("DELETE", "/api/v1/images/used"), 409, "conflict");
        Assert.Contains("user-of-it", problem.ToJsonString(), StringComparison.Ordinal);
        Assert.Equal("user-of-it", (await portal.JsonAsync("/api/v1/images/used"))["usedBy"]![0]!.GetValue<string>());
    }

    [Fact]
    public async Task A_path_of_the_host_that_was_not_allowed_is_refused()
    {
        foreach (var path in new[] { "/etc/shadow", "../../etc/shadow", "" })
            await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/images/actions/register", new { name = "shadow", path }), 422, "invalid");
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/images/actions/register", "{}"), 400);
        Assert.Empty((await portal.JsonAsync("/api/v1/images/host-files"))["items"]!.AsArray());
    }

    private static string DigestOf(byte[] bytes) => $"sha-256=:{Convert.ToBase64String(SHA256.HashData(bytes))}:";

    private static byte[] MakeIso()
    {
        var bytes = new byte[64 * 1024];
        "\u0001CD001\u0001"u8.CopyTo(bytes.AsSpan(32768));
        return bytes;
    }
}
