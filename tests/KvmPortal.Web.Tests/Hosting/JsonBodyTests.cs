using System.Text;
using KvmPortal.Engine;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using Microsoft.AspNetCore.Http;

namespace KvmPortal.Web.Tests.Hosting;

public sealed class JsonBodyTests
{
    [Fact]
    public async Task Every_missing_member_is_named_by_its_pointer()
    {
        var e = await Assert.ThrowsAsync<PortalException>(() => JsonBody.ReadAsync<SetupRequest>(Request("""{"token":"t"}"""), default));
        Assert.Equal(ErrorCode.Malformed, e.Code);
        Assert.Equal(["/userName", "/password"], e.Problems.Select(p => p.Pointer));
        Assert.All(e.Problems, p => Assert.Equal("required", p.Code));
    }

    [Fact]
    public async Task A_missing_member_deep_inside_has_its_whole_pointer()
    {
        var e = await Assert.ThrowsAsync<PortalException>(() => JsonBody.ReadAsync<VmDefinition>(Request("""{"name":"a","boot":{"direct":{}}}"""), default));
        Assert.Equal("/boot/direct/kernel", Assert.Single(e.Problems).Pointer);
    }

    [Theory]
    [InlineData("""{"name":"a","cpu":{"cnt":1}}""", "/cpu/cnt")]
    [InlineData("""{"name":"a","disks":[{"name":"d","sizeGiB":"x"}]}""", "/disks/0/sizeGiB")]
    [InlineData("""{"name":"a","memory":{"sizeMiB":99999999999999}}""", "/memory/sizeMiB")]
    public async Task A_wrong_member_is_named_by_its_pointer_and_no_type_of_ours_shows(string body, string pointer)
    {
        var e = await Assert.ThrowsAsync<PortalException>(() => JsonBody.ReadAsync<VmDefinition>(Request(body), default));
        Assert.Equal(pointer, Assert.Single(e.Problems).Pointer);
        Assert.DoesNotContain("KvmPortal", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", e.Message, StringComparison.Ordinal);
    }

    private static HttpRequest Request(string body)
    {
        var context = new DefaultHttpContext();
        context.Request.ContentType = "application/json";
        context.Request.Body = new MemoryStream(Encoding.UTF8.GetBytes(body));
        return context.Request;
    }
}
