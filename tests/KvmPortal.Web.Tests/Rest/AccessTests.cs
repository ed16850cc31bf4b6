using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>Tokens, the cookie, and what a cookie alone must not do.</summary>
public sealed partial class AccessTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    [Fact]
    public async Task A_token_works_until_it_is_revoked()
    {
        var issued = await portal.SendAsync("POST", "/api/v1/tokens", new { name = "ci", expiresInDays = 1 });
        Assert.Equal(HttpStatusCode.Created, issued.StatusCode);
        var token = await RunningPortal.BodyAsync(issued);
        Assert.Equal(HttpStatusCode.OK, await WithTokenAsync(token));
        var list = await (await portal.GetAsync("/api/v1/tokens")).Content.ReadAsStringAsync();
        Assert.Contains(token["id"]!.ToString(), list, StringComparison.Ordinal);
        Assert.DoesNotContain(token["token"]!.ToString(), list, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NoContent, (await portal.SendAsync("DELETE", $"/api/v1/tokens/{token["id"]}")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, await WithTokenAsync(token));
        await ProblemAssert.IsAsync(await portal.SendAsync("DELETE", $"/api/v1/tokens/{token["id"]}"), 404);
        await ProblemAssert.IsAsync(await portal.SendAsync("DELETE", "/api/v1/tokens/nothing"), 404);
        foreach (var days in new[] { 0, -1, 367, int.MaxValue })
            await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/tokens", new { name = "ci", expiresInDays = days }), 422);
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/tokens", new { name = "" }), 422);
        await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/tokens", "{}"), 400);
        Assert.Equal("token", (await portal.JsonAsync("/api/v1/me"))["door"]!.GetValue<string>());
        Assert.Contains((await portal.JsonAsync("/api/v1/users"))["items"]!.AsArray(), u => u!["userName"]!.GetValue<string>() == RunningPortal.UserName);
    }

    [Fact]
    public async Task A_cookie_reads_but_changes_nothing_without_the_antiforgery_token()
    {
        var (http, jar) = portal.Browser();
        var signedIn = await SignInAsync(http, RunningPortal.UserName, RunningPortal.Password, "/machines");
        Assert.Equal("/machines", signedIn.Headers.Location!.ToString());
        var cookie = jar.GetAllCookies().Single(c => c.Name == "kvmportal");
        Assert.True(cookie.HttpOnly);
        Assert.Contains(signedIn.Headers.GetValues("Set-Cookie"), c => c.Contains("samesite=strict", StringComparison.OrdinalIgnoreCase));
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/api/v1/vms")).StatusCode);
        Assert.Equal("browser", JsonNode.Parse(await http.GetStringAsync("/api/v1/me"))!["door"]!.GetValue<string>());

        await ProblemAssert.IsAsync(await PostVmAsync(http, null, null), 403, "forbidden");
        await ProblemAssert.IsAsync(await PostVmAsync(http, "nonsense", null), 403, "forbidden");
        var token = TokenIn(await http.GetStringAsync("/sign-in"));
        await ProblemAssert.IsAsync(await PostVmAsync(http, token, "https://evil.example"), 403, "forbidden");
        await ProblemAssert.IsAsync(await PostVmAsync(http, token, "null"), 403, "forbidden");
        Assert.Equal(HttpStatusCode.OK, (await PostVmAsync(http, token, null)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await PostVmAsync(http, token, portal.Address.GetLeftPart(UriPartial.Authority))).StatusCode);

        // A wrong bearer token is not forgiven because a cookie is there.
        using var both = new HttpRequestMessage(HttpMethod.Get, "/api/v1/vms");
        both.Headers.TryAddWithoutValidation("Authorization", "Bearer wrong");
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.SendAsync(both)).StatusCode);
        http.Dispose();
    }

    [Theory]
    [InlineData("https://evil.example/")]
    [InlineData("//evil.example/")]
    [InlineData("/\\evil.example/")]
    [InlineData("\\\\evil.example")]
    [InlineData("/\t/evil.example")]
    [InlineData("javascript:alert(1)")]
    [InlineData("")]
    public async Task Sign_in_leads_to_this_portal_only(string returnUrl)
    {
        using var http = portal.Browser().Http;
        var answer = await SignInAsync(http, RunningPortal.UserName, RunningPortal.Password, returnUrl);
        Assert.Equal(HttpStatusCode.Found, answer.StatusCode);
        Assert.Equal("/", answer.Headers.Location!.ToString());
    }

    [Fact]
    public async Task The_forms_need_their_antiforgery_token_and_this_origin()
    {
        using var http = portal.Browser().Http;
        var bare = await http.PostAsync("/account/sign-in", new FormUrlEncodedContent([new("userName", RunningPortal.UserName), new("password", RunningPortal.Password)]));
        Assert.Equal(HttpStatusCode.BadRequest, bare.StatusCode);
        Assert.DoesNotContain("   at ", await bare.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        var token = TokenIn(await http.GetStringAsync("/sign-in"));
        using var foreign = new HttpRequestMessage(HttpMethod.Post, "/account/sign-in") { Content = new FormUrlEncodedContent([new("userName", RunningPortal.UserName), new("password", RunningPortal.Password), new("__RequestVerificationToken", token)]) };
        foreign.Headers.TryAddWithoutValidation("Origin", "https://evil.example");
        Assert.Equal(HttpStatusCode.Forbidden, (await http.SendAsync(foreign)).StatusCode);
    }

    [Fact]
    public async Task Pages_lead_to_sign_in_and_sign_out_ends_the_cookie()
    {
        using var http = portal.Browser().Http;
        var page = await http.GetAsync("/machines");
        Assert.Equal(HttpStatusCode.Found, page.StatusCode);
        Assert.Contains("/sign-in", page.Headers.Location!.ToString(), StringComparison.Ordinal);
        await SignInAsync(http, RunningPortal.UserName, RunningPortal.Password, "/");
        var token = TokenIn(await http.GetStringAsync("/sign-in"));
        await http.PostAsync("/account/sign-out", new FormUrlEncodedContent([new("__RequestVerificationToken", token)]));
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.GetAsync("/api/v1/vms")).StatusCode);
    }

    private static async Task<HttpResponseMessage> PostVmAsync(HttpClient http, string? token, string? origin)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/vms?dryRun=true") { Content = new StringContent("{\"name\":\"by-cookie\"}", System.Text.Encoding.UTF8, "application/json") };
        if (token is not null)
            request.Headers.TryAddWithoutValidation("RequestVerificationToken", token);
        if (origin is not null)
            request.Headers.TryAddWithoutValidation("Origin", origin);
        return await http.SendAsync(request);
    }

    private async Task<HttpStatusCode> WithTokenAsync(JsonObject token)
    {
        using var http = portal.Anonymous();
        http.DefaultRequestHeaders.Authorization = new("Bearer", token["token"]!.GetValue<string>());
        return (await http.GetAsync("/api/v1/vms")).StatusCode;
    }

    internal static async Task<HttpResponseMessage> SignInAsync(HttpClient http, string name, string password, string returnUrl)
    {
        var token = TokenIn(await http.GetStringAsync("/sign-in"));
        return await http.PostAsync("/account/sign-in", new FormUrlEncodedContent([new("userName", name), new("password", password), new("returnUrl", returnUrl), new("__RequestVerificationToken", token)]));
    }

    internal static string TokenIn(string html)
    {
        var found = AntiforgeryField().Match(html);
        Assert.True(found.Success, "the page has no anti-forgery token");
        return WebUtility.HtmlDecode(found.Groups[1].Value);
    }

    [GeneratedRegex("name=\"__RequestVerificationToken\"[^>]*value=\"([^\"]+)\"")]
    private static partial Regex AntiforgeryField();
}

public sealed class LockoutTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    [Fact]
    public async Task Five_wrong_passwords_lock_the_account_and_an_unknown_name_looks_the_same()
    {
        using var http = portal.Browser().Http;
        var unknown = await AccessTests.SignInAsync(http, "nobody", "wrong wrong wrong", "/");
        Assert.Contains("error=wrong", unknown.Headers.Location!.ToString(), StringComparison.Ordinal);
        for (var i = 0; i < 5; i++)
        {
            var refused = await AccessTests.SignInAsync(http, RunningPortal.UserName, "wrong wrong wrong", "/");
            Assert.Contains("/sign-in?error=", refused.Headers.Location!.ToString(), StringComparison.Ordinal);
        }

        var locked = await AccessTests.SignInAsync(http, RunningPortal.UserName, RunningPortal.Password, "/");
        Assert.Contains("error=locked", locked.Headers.Location!.ToString(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.GetAsync("/api/v1/vms")).StatusCode);
        Assert.True((await portal.JsonAsync("/api/v1/users"))["items"]![0]!["lockedOut"]!.GetValue<bool>());
    }
}
