using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;

namespace KvmPortal.Web.Hosting;

/// <summary>`Idempotency-Key` on POST: the same key and body get the same answer for 24 hours; the same key with another body is refused.</summary>
internal sealed class Idempotency(IdempotencyStore store) : IMiddleware
{
    private const int MostBody = 1 << 20;

    /// <inheritdoc/>
    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var key = context.Request.Headers["Idempotency-Key"].ToString();
        if (key.Length == 0 || !HttpMethods.IsPost(context.Request.Method) || !context.Request.Path.StartsWithSegments("/api/v1") || Secret(context.Request.Path) || context.Caller().UserId is not { } user)
        {
            await next(context);
            return;
        }

        if (key.Length > 128)
            throw new PortalException(ErrorCode.Malformed, "An Idempotency-Key has at most 128 characters.");
        var ct = context.RequestAborted;
        if (await store.BeginAsync(user, key, await DigestAsync(context.Request, ct), ct) is { } kept)
        {
            await ReplayAsync(context, kept);
            return;
        }

        var answer = context.Response.Body;
        using var copy = new MemoryStream();
        context.Response.Body = copy;
        try
        {
            await next(context);
        }
        catch
        {
            context.Response.Body = answer;
            await store.ForgetAsync(user, key, CancellationToken.None);
            throw;
        }

        context.Response.Body = answer;
        if (context.Response.StatusCode < 300)
            await store.EndAsync(user, key, new KeptAnswer(context.Response.StatusCode, context.Response.Headers.Location, context.Response.ContentType, copy.ToArray()), CancellationToken.None);
        else
            await store.ForgetAsync(user, key, CancellationToken.None);
        copy.Position = 0;
        await copy.CopyToAsync(answer, ct);
    }

    /// <summary>Answers that show a secret once are never kept: the key has no effect there, and each request gets a secret of its own.</summary>
    private static bool Secret(PathString path) => path.StartsWithSegments("/api/v1/tokens") || path.Value!.EndsWith("/consoles", StringComparison.OrdinalIgnoreCase);

    private static async Task ReplayAsync(HttpContext context, KeptAnswer kept)
    {
        context.Response.StatusCode = kept.Status;
        context.Response.ContentType = kept.ContentType;
        if (kept.Location is not null)
            context.Response.Headers.Location = kept.Location;
        if (EtagOf(kept) is { } etag)
            context.Response.Headers.ETag = etag;
        context.Response.Headers["Idempotency-Replayed"] = "true";
        await context.Response.Body.WriteAsync(kept.Body, context.RequestAborted);
    }

    /// <summary>The etag stands in the bodies of editable resources too.</summary>
    private static string? EtagOf(KeptAnswer kept)
    {
        if (kept.ContentType?.StartsWith("application/json", StringComparison.Ordinal) != true)
            return null;
        using var body = JsonDocument.Parse(kept.Body);
        return body.RootElement.ValueKind == JsonValueKind.Object && body.RootElement.TryGetProperty("etag", out var etag) ? etag.GetString() : null;
    }

    /// <summary>Method, address and body; of an upload the announced length and digest stand for the body.</summary>
    private static async Task<string> DigestAsync(HttpRequest request, CancellationToken ct)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{request.Method} {request.Path}{request.QueryString}\n{request.ContentLength}\n{request.Headers["Content-Digest"]}\n"));
        if (request.ContentLength is null or <= MostBody && request.ContentType?.StartsWith("application/octet-stream", StringComparison.Ordinal) != true)
        {
            request.EnableBuffering(MostBody);
            var buffer = new byte[16 * 1024];
            var total = 0;
            while (await request.Body.ReadAsync(buffer, ct) is > 0 and var read)
            {
                total += read;
                if (total > MostBody)
                    throw new PortalException(ErrorCode.TooLarge, "With an Idempotency-Key a body has at most 1 MiB, except uploads (application/octet-stream).");
                hash.AppendData(buffer, 0, read);
            }

            request.Body.Position = 0;
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
