using System.Text.Json;
using System.Text.Json.Nodes;
using KvmPortal.Engine;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Tests.Rest;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace KvmPortal.Web.Tests.Contracts;

/// <summary>What clients and operators rely on is committed: a change of it shows in review.</summary>
public sealed class ContractTests(RunningPortal portal) : IClassFixture<RunningPortal>
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Fact]
    public async Task The_committed_document_is_the_generated_one()
    {
        var document = await portal.JsonAsync("/openapi/v1.json");
        CommittedFile.Matches("openapi.json", document.ToJsonString(Indented) + "\n");
    }

    [Fact]
    public async Task Every_operation_has_an_id_of_its_own_and_a_summary()
    {
        var document = await portal.JsonAsync("/openapi/v1.json");
        var ids = new List<string>();
        foreach (var (path, item) in document["paths"]!.AsObject())
            foreach (var (method, operation) in item!.AsObject())
            {
                Assert.False(string.IsNullOrWhiteSpace(operation!["summary"]?.GetValue<string>()), $"{method} {path} has no summary");
                ids.Add(operation["operationId"]?.GetValue<string>() ?? $"none: {method} {path}");
            }

        Assert.DoesNotContain(ids, i => i.StartsWith("none", StringComparison.Ordinal));
        Assert.Equal(ids.Count, ids.Distinct().Count());
        Assert.True(ids.Count >= 35, $"{ids.Count} operations");
    }

    [Fact]
    public void Every_endpoint_asks_for_sign_in_unless_the_committed_list_says_otherwise()
    {
        var lines = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var endpoint in portal.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>())
        {
            var requirement = endpoint.Metadata.GetMetadata<IAllowAnonymous>() is not null ? "anonymous"
                : endpoint.Metadata.GetMetadata<IAuthorizeData>() is { Policy: { } policy } ? policy : "signed-in";
            var route = "/" + (endpoint.RoutePattern.RawText ?? "").TrimStart('/');
            if (IsAsset(route))
                Assert.Contains(route.Split('/')[1], Folders.Concat(Directory.GetFiles(Path.Combine(CommittedFile.Root, "wwwroot")).Select(Path.GetFileName)).ToList()!);
            else
                foreach (var method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods is { Count: > 0 } methods ? methods : ["*"])
                    lines.Add($"{method} {route} {requirement}");
        }

        CommittedFile.Matches("endpoint-permissions.txt", string.Join('\n', lines) + "\n");
    }

    private static readonly string[] Folders = ["_content", "_framework", "css", "js", "embed", "lib", "img", "fonts"];

    /// <summary>Files of wwwroot are many and carry nothing that is secret; their fingerprints change with every build.</summary>
    private static bool IsAsset(string route) => !route.Contains('{', StringComparison.Ordinal) && Path.GetExtension(route) is ".js" or ".css" or ".svg" or ".ico" or ".png" or ".woff2" or ".html" or ".map" or ".gz" or ".br" or ".txt";

    [Fact]
    public async Task What_asks_for_sign_in_does_so_when_called()
    {
        using var nobody = portal.Anonymous();
        foreach (var (path, item) in (await portal.JsonAsync("/openapi/v1.json"))["paths"]!.AsObject())
            foreach (var (method, _) in item!.AsObject())
            {
                if (path == "/api/v1/setup")
                    continue;
                using var request = new HttpRequestMessage(new HttpMethod(method.ToUpperInvariant()), path.Replace("{", "", StringComparison.Ordinal).Replace("}", "", StringComparison.Ordinal));
                var answer = await nobody.SendAsync(request);
                await ProblemAssert.IsAsync(answer, 401, "not-signed-in");
            }
    }

    [Fact]
    public void The_settings_are_the_committed_ones() =>
        CommittedFile.Matches("config-keys.txt", string.Join('\n', PortalSettings.Keys.Order(StringComparer.Ordinal)) + "\n");

    [Theory]
    [InlineData("simulated", "many")]
    [InlineData("simulated", "-1")]
    [InlineData("Engine:ParallelJobs", "0")]
    [InlineData("Host:KvmProofSeconds", "61")]
    [InlineData("Host:MaxImageGiB", "99999999999999999999")]
    [InlineData("Host:ImageFolders", "relative/folder")]
    [InlineData("Consoles:EmbedOrigins", "https://example.org/path")]
    [InlineData("Consoles:EmbedOrigins", "'none'; script-src *")]
    public void A_wrong_setting_stops_the_start_and_is_named(string key, string value)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([new(key, value)]).Build();
        var refused = Assert.Throws<PortalException>(() => PortalSettings.Read(configuration));
        Assert.Contains(key, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_setting_has_a_default()
    {
        var settings = PortalSettings.Read(new ConfigurationBuilder().Build());
        Assert.Null(settings.Engine.Simulated);
        Assert.Empty(settings.Consoles.EmbedOrigins);
        Assert.True(Path.IsPathRooted(settings.Engine.DataRoot));
    }
}
