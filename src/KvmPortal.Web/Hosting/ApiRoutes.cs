using System.Globalization;
using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Web.Access;
using Microsoft.AspNetCore.Mvc;

namespace KvmPortal.Web.Hosting;

/// <summary>What a list is asked for; the same for every collection.</summary>
/// <param name="Limit">1 to 500, default 100.</param>
/// <param name="Cursor">nextCursor of the previous page.</param>
/// <param name="Sort">A field's name, with - in front for descending.</param>
/// <param name="Q">Free text.</param>
/// <param name="Filter">field op value, joined by and / or / not and parentheses; op is =, !=, ~ (contains), &lt;, &lt;=, &gt;, &gt;=.</param>
public sealed record ListParameters(
    [property: FromQuery(Name = "limit")] int? Limit,
    [property: FromQuery(Name = "cursor")] string? Cursor,
    [property: FromQuery(Name = "sort")] string? Sort,
    [property: FromQuery(Name = "q")] string? Q,
    [property: FromQuery(Name = "filter")] string? Filter)
{
    internal ListQuery ToQuery()
    {
        if (Limit is < 1 or > 500)
            throw PortalException.Invalid([new Problem("?limit", "out-of-range", "Give 1 to 500.")]);
        foreach (var (name, value) in new[] { ("cursor", Cursor), ("sort", Sort), ("q", Q), ("filter", Filter) })
            if (value?.Length > 2000)
                throw PortalException.Invalid([new Problem("?" + name, "too-long", "Give at most 2000 characters.")]);
        return new ListQuery(Limit ?? 100, Cursor, Sort, Q, Filter);
    }
}

/// <summary>What all routes of the API share.</summary>
internal static class ApiRoutes
{
    /// <summary>The JSON dialect, and bad requests as exceptions so that one place answers them.</summary>
    public static void AddApi(this IServiceCollection services)
    {
        services.ConfigureHttpJsonOptions(o => WireJson.Configure(o.SerializerOptions));
        services.Configure<RouteHandlerOptions>(o => o.ThrowOnBadRequest = true);
    }

    /// <summary>A collection below /api/v1.</summary>
    public static RouteGroupBuilder MapApi(this IEndpointRouteBuilder routes, string collection) => routes.MapGroup("/api/v1/" + collection).WithTags(collection).RequireAuthorization();

    /// <summary>The query parameter dryRun.</summary>
    public static bool IsDryRun(this HttpContext http) => http.Request.Query["dryRun"].ToString() switch
    {
        "" or "false" => false,
        "true" => true,
        _ => throw new PortalException(ErrorCode.Malformed, "dryRun is true or false.") { Problems = [new Problem("?dryRun", "wrong-type", "Give true or false.")] },
    };

    /// <summary>Seconds from a query parameter. Throws Invalid outside of 0 to <paramref name="most"/>.</summary>
    public static TimeSpan Seconds(string name, int? value, int most) =>
        value is < 0 || value > most ? throw PortalException.Invalid([new Problem("?" + name, "out-of-range", $"Give 0 to {most} seconds.")]) : TimeSpan.FromSeconds(value ?? 0);

    /// <summary>A duration like 90, 10s, 5m, 1h or 7d. Throws Malformed.</summary>
    public static TimeSpan Duration(string name, string? text, TimeSpan otherwise)
    {
        if (string.IsNullOrEmpty(text))
            return otherwise;
        var unit = text[^1] switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86_400, _ => 0 };
        var digits = unit == 0 ? text : text[..^1];
        if (int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count is > 0 and <= 100_000_000 && (long)count * Math.Max(unit, 1) <= 400L * 86_400)
            return TimeSpan.FromSeconds((long)count * Math.Max(unit, 1));
        throw new PortalException(ErrorCode.Malformed, $"{name} is not a duration.") { Problems = [new Problem("?" + name, "wrong-type", "Give a duration like 10s, 5m, 1h or 7d, of at most 400 days.")] };
    }

    /// <summary>
    /// The version that <c>If-Match</c> names; null for <c>*</c>. Throws VersionRequired when it is missing. A tag that this portal never gave is a version that
    /// no longer is: Stale.
    /// </summary>
    public static int? IfMatch(this HttpContext http)
    {
        var given = http.Request.Headers.IfMatch.ToString().Trim();
        if (given.Length == 0)
            throw new PortalException(ErrorCode.VersionRequired, "The header If-Match is missing.") { Hint = "Send the ETag of the version that you changed, or * for whatever is there." };
        if (given == "*")
            return null;
        return given.Length > 2 && given[0] == '"' && given[^1] == '"' && int.TryParse(given.AsSpan(1, given.Length - 2), NumberStyles.None, CultureInfo.InvariantCulture, out var version) && version > 0
            ? version : throw new PortalException(ErrorCode.Stale, "If-Match names no version of this.") { Hint = "Read it again, and send its ETag as it is, quotes included." };
    }

    /// <summary>A strong entity tag.</summary>
    public static string ETag(int version) => string.Create(CultureInfo.InvariantCulture, $"\"{version}\"");

    /// <summary>A list as on the wire.</summary>
    public static ListPage<TWire> Map<T, TWire>(this ListPage<T> page, Func<T, TWire> map) => new([.. page.Items.Select(map)], page.NextCursor);

    /// <summary>Reads a definition out of JSON, with pointers for what is wrong.</summary>
    public static T Read<T>(JsonElement json) => json.Deserialize<T>(WireJson.Options) ?? throw new JsonException("Give an object.");

    /// <summary>Ends with the request and with the portal: a stream must not hold up the shutdown.</summary>
    public static CancellationTokenSource UntilStopping(this HttpContext http) =>
        CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, http.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping);
}
