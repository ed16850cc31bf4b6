using System.Text.Json.Nodes;

namespace KvmPortal.Web.Tests.Rest;

internal static class ProblemAssert
{
    /// <summary>The answer is a problem of this status and code in the contract's shape, and tells nothing about the inside.</summary>
    public static async Task<JsonObject> IsAsync(HttpResponseMessage answer, int status, string? code = null)
    {
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True((int)answer.StatusCode == status, $"{(int)answer.StatusCode} instead of {status}: {text}");
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        var problem = JsonNode.Parse(text)!.AsObject();
        Assert.Equal(status, problem["status"]!.GetValue<int>());
        Assert.Matches("^[a-z][a-z0-9-]+$", problem["code"]!.GetValue<string>());
        Assert.False(string.IsNullOrWhiteSpace(problem["title"]!.GetValue<string>()));
        Assert.False(string.IsNullOrWhiteSpace(problem["requestId"]!.GetValue<string>()));
        foreach (var error in problem["errors"]!.AsArray())
            Assert.True(error!["pointer"] is not null && error["code"] is not null && error["message"] is not null, text);
        Assert.DoesNotContain("   at ", text, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", text, StringComparison.Ordinal);
        Assert.DoesNotContain("KvmPortal.", text, StringComparison.Ordinal);
        if (code is not null)
            Assert.Equal(code, problem["code"]!.GetValue<string>());
        return problem;
    }
}
