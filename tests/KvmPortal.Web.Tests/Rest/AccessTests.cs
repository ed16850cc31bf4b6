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
    public async Task A_cookie_client_gets_its_antiforgery_token_from_me_and_a_token_client_needs_none()
    {
        var (http, jar) = portal.Browser();
        using var _ = http;
        await SignInAsync(http, RunningPortal.UserName, RunningPortal.Password, "/");
        // Only the sign-in cookie is kept: what else the change needs comes from the answer.
        foreach (Cookie cookie in jar.GetAllCookies())
            cookie.Expired = cookie.Name != "kvmportal";
        var me = JsonNode.Parse(await http.GetStringAsync("/api/v1/me"))!;
        var token = me["antiforgeryToken"]!.GetValue<string>();
        Assert.Equal(HttpStatusCode.OK, (await PostVmAsync(http, token, null)).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await PostVmAsync(http, token + "x", null)).StatusCode);
        var byToken = await portal.JsonAsync("/api/v1/me");
        Assert.True(byToken.ContainsKey("antiforgeryToken"));
        Assert.Null(byToken["antiforgeryToken"]);
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

public sealed class SignInSecrecyTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    [Fact]
    public async Task An_unknown_name_and_a_wrong_password_take_the_same_time()
    {
        using var http = portal.Browser().Http;
        var (known, unknown) = (new List<double>(), new List<double>());
        for (var i = 0; i < 4; i++)
        {
            unknown.Add(await TimeAsync(http, $"nobody-{i}"));
            known.Add(await TimeAsync(http, RunningPortal.UserName));
        }

        // The floor hides what hash and database cost; without it an unknown name is answered in a few milliseconds.
        Assert.All(unknown.Concat(known), t => Assert.True(t >= 290, $"{t} ms"));
    }

    private static async Task<double> TimeAsync(HttpClient http, string name)
    {
        var token = AccessTests.TokenIn(await http.GetStringAsync("/sign-in"));
        var begun = System.Diagnostics.Stopwatch.GetTimestamp();
        var answer = await http.PostAsync("/account/sign-in", new FormUrlEncodedContent([new("userName", name), new("password", "wrong wrong wrong"), new("__RequestVerificationToken", token)]));
        Assert.Contains("error=wrong", answer.Headers.Location!.ToString(), StringComparison.Ordinal);
        return System.Diagnostics.Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
    }
}

public sealed class SignInLimitTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    [Fact]
    public async Task Too_many_attempts_lead_back_to_the_form_with_words_and_give_programs_a_problem()
    {
        using var http = portal.Browser().Http;
        for (var i = 0; i < 30; i++)
            await http.PostAsync("/api/v1/setup", new StringContent("{}", System.Text.Encoding.UTF8, "application/json"));
        var form = await http.PostAsync("/account/sign-in", new FormUrlEncodedContent([new("userName", "ada"), new("password", "x")]));
        Assert.Equal(HttpStatusCode.Found, form.StatusCode);
        Assert.Equal("/sign-in?error=limited", form.Headers.Location!.ToString());
        Assert.Contains("Too many attempts from this address", await http.GetStringAsync(form.Headers.Location), StringComparison.Ordinal);
        Assert.Equal("/setup?error=limited", (await http.PostAsync("/account/setup", new FormUrlEncodedContent([new("userName", "ada")]))).Headers.Location!.ToString());
        await ProblemAssert.IsAsync(await http.PostAsync("/api/v1/setup", new StringContent("{}", System.Text.Encoding.UTF8, "application/json")), 429, "too-many");
    }
}
