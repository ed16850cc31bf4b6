namespace KvmPortal.Web.Tests.Rest;

public sealed class SetupTests(FreshPortal portal) : IClassFixture<FreshPortal>
{
    [Fact]
    public async Task The_first_administrator_is_made_once_and_with_the_right_token_only()
    {
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(portal.Data, await Ready())));
        var token = await portal.BootstrapTokenAsync();
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/setup", new { token = "wrong", userName = "ada", password = RunningPortal.Password }), 403, "forbidden");
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/setup", new { token = "Ünicode, and longer than the right one is, by far", userName = "ada", password = RunningPortal.Password }), 403);
        foreach (var weak in new[] { "", "short", "aaaaaaaaaaaaaaaa" })
        {
            var problem = await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/setup", new { token, userName = "ada", password = weak }), 422);
            Assert.Contains(problem["errors"]!.AsArray(), e => e!["pointer"]!.GetValue<string>() == "/password");
        }

        foreach (var name in new[] { "", "a b", "<script>", new string('a', 300) })
            await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/setup", new { token, userName = name, password = RunningPortal.Password }), 422);
        foreach (var body in new[] { "{}", "{\"token\":null,\"userName\":\"a\",\"password\":\"b\"}", "[]", "null", "{\"token\":\"x\"}" })
            await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/setup", body), 400, "malformed");

        var made = await portal.SendAsync("POST", "/api/v1/setup", new { token, userName = "ada", password = RunningPortal.Password });
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        var answer = await RunningPortal.BodyAsync(made);
        Assert.True(Guid.TryParse(answer["userId"]!.GetValue<string>(), out _));
        Assert.StartsWith("kvp_", answer["apiToken"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(portal.Data, "bootstrap-token")));
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/setup", new { token, userName = "eve", password = RunningPortal.Password }), 409, "conflict");
    }

    private async Task<string> Ready()
    {
        await portal.BootstrapTokenAsync();
        return "bootstrap-token";
    }
}
