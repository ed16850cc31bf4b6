using System.Security.Cryptography;
using System.Text;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Web.Access;

namespace KvmPortal.Web.Hosting;

/// <summary>
/// POST with an <c>Idempotency-Key</c>: done once, answered as often as asked. A body that is a file is not read for the digest; its announced digest and
/// length stand for it.
/// </summary>
internal static class IdempotentPosts
{
    private const int MostKept = 1 << 20;

    public static void UseIdempotentPosts(this WebApplication app) => app.Use(async (http, next) =>
    {
        if (!HttpMethods.IsPost(http.Request.Method) || !http.Request.Path.StartsWithSegments("/api") || http.Request.Headers["Idempotency-Key"].ToString() is not { Length: > 0 } key
            || http.User.Identity?.IsAuthenticated != true || http.GetEndpoint() is null)
        {
            await next(http);
            return;
        }

        var (user, memory) = (http.Caller().UserId!.Value, http.RequestServices.GetRequiredService<Idempotency>());
        if (await memory.BeginAsync(user, key, await DigestAsync(http), http.RequestAborted) is { } earlier)
        {
            await RepeatAsync(http, earlier);
            return;
        }

        await RunAsync(http, next, answer => memory.EndAsync(user, key, answer));
    });

    private static async Task RunAsync(HttpContext http, RequestDelegate next, Func<StoredAnswer?, Task> end)
    {
        var client = http.Response.Body;
        using var gathered = new MemoryStream();
        http.Response.Body = gathered;
        StoredAnswer? answer = null;
        try
        {
            try
            {
                await next(http);
            }
            catch (Exception e) when (!http.RequestAborted.IsCancellationRequested)
            {
                await Faults.RefuseAsync(http, e);
            }

            // What may go better next time is not kept.
            if (http.Response.StatusCode is not (401 or 403 or 429 or 499 or >= 500) && gathered.Length <= MostKept)
                answer = new StoredAnswer(http.Response.StatusCode, http.Response.Headers.Location, http.Response.ContentType, gathered.ToArray());
        }
        finally
        {
            http.Response.Body = client;
            await end(answer);
        }

        await client.WriteAsync(gathered.GetBuffer().AsMemory(0, (int)gathered.Length), http.RequestAborted);
    }

    private static async Task RepeatAsync(HttpContext http, StoredAnswer earlier)
    {
        http.Response.StatusCode = earlier.Status;
        http.Response.Headers["Idempotency-Replayed"] = "true";
        http.Response.ContentType = earlier.ContentType;
        if (earlier.Location is not null)
            http.Response.Headers.Location = earlier.Location;
        await http.Response.Body.WriteAsync(earlier.Body, http.RequestAborted);
    }

    private static async Task<string> DigestAsync(HttpContext http)
    {
        var request = http.Request;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{request.Method}\n{request.Path}{request.QueryString}\n"));
        if (request.HasJsonContentType())
        {
            request.EnableBuffering(MostKept, Startup.MostJsonBytes);
            var buffer = new byte[16 * 1024];
            int read;
            while ((read = await request.Body.ReadAsync(buffer, http.RequestAborted)) > 0)
                hash.AppendData(buffer, 0, read);
            request.Body.Position = 0;
        }
        else
            hash.AppendData(Encoding.UTF8.GetBytes($"{request.ContentType}\n{request.ContentLength}\n{request.Headers["Content-Digest"]}"));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
