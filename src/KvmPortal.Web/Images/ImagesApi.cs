using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;
using Microsoft.AspNetCore.Http.Features;

namespace KvmPortal.Web.Images;

public sealed record RegisterImageRequest(string Name, string Path);

/// <summary>Images: streamed in, registered from the host, listed, deleted.</summary>
internal static class ImagesApi
{
    public static void MapImagesApi(this IEndpointRouteBuilder api)
    {
        api.MapGet("/images", ListAsync).WithName("listImages");
        api.MapPost("/images", UploadAsync).WithName("uploadImage").Accepts<byte[]>("application/octet-stream", "*/*").Produces<ImageView>(201);
        api.MapPut("/images/{name}", UploadNamedAsync).WithName("putImage").Accepts<byte[]>("application/octet-stream", "*/*").Produces<ImageView>(201);
        api.MapPost("/images/actions/register", RegisterAsync).WithName("registerImage").Accepts<RegisterImageRequest>("application/json").Produces<JobResponse>(202);
        api.MapGet("/images/host-files", HostFilesAsync).WithName("listHostFiles");
        api.MapGet("/images/{id}", GetAsync).WithName("getImage");
        api.MapDelete("/images/{id}", DeleteAsync).WithName("deleteImage").Produces<JobResponse>(202);
    }

    /// <summary>Images by name.</summary>
    private static async Task<ItemList<ImageView>> ListAsync(HttpContext context, ImageOperations images, CancellationToken ct)
    {
        var page = await images.ListAsync(context.Caller(), context.Request.ListQuery(), ct);
        return new ItemList<ImageView>(page.Items, page.NextCursor);
    }

    /// <summary>Takes the file as the request's body. `Content-Digest: sha-256=:…:` (RFC 9530) is checked when sent; `?kind=` refuses anything else than declared.</summary>
    private static Task<IResult> UploadAsync(HttpContext context, ImageOperations images, CancellationToken ct) =>
        TakeAsync(context, images, context.Request.Query["name"].ToString(), ct);

    /// <summary>The same for `curl -T FILE …/images/NAME`.</summary>
    private static Task<IResult> UploadNamedAsync(HttpContext context, ImageOperations images, string name, CancellationToken ct) => TakeAsync(context, images, name, ct);

    private static async Task<IResult> TakeAsync(HttpContext context, ImageOperations images, string name, CancellationToken ct)
    {
        // Any type is the file as it is, but a form would be stored with its wrapping.
        if (context.Request.ContentType?.StartsWith("multipart/", StringComparison.OrdinalIgnoreCase) == true)
            throw new BadHttpRequestException("Multipart.", StatusCodes.Status415UnsupportedMediaType);
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
            limit.MaxRequestBodySize = null;
        ImageKind? kind = null;
        if (context.Request.Query["kind"].FirstOrDefault() is { Length: > 0 } text)
            kind = Enum.GetValues<ImageKind>().Cast<ImageKind?>().FirstOrDefault(k => PortalJson.Text(k!.Value) == text) ?? throw Requests.Invalid("kind", "Give qcow2, raw, iso, kernel or initrd.");
        var image = await images.ReceiveAsync(context.Caller(), name, context.Request.ContentLength, Digest(context.Request), kind, context.Request.Body, ct);
        context.Response.Headers.Location = $"/api/v1/images/{image.Id}";
        return Results.Json(image, PortalJson.Options, statusCode: 201);
    }

    /// <summary>Copies a file of an allowed host folder into the store, as a job.</summary>
    private static async Task<IResult> RegisterAsync(HttpContext context, ImageOperations images, JobOperations jobs, CancellationToken ct)
    {
        var request = await JsonBody.ReadAsync<RegisterImageRequest>(context.Request, ct);
        if (context.Request.DryRun())
            return Results.Json(PlanResponse.From(await images.PlanRegisterAsync(context.Caller(), request.Name, request.Path, ct)), PortalJson.Options);
        return await JobsApi.AnswerAsync(context, jobs, (await images.RegisterAsync(context.Caller(), request.Name, request.Path, ct)).Job, ct);
    }

    /// <summary>Files of the allowed host folders.</summary>
    private static async Task<ItemList<HostFile>> HostFilesAsync(HttpContext context, ImageOperations images, CancellationToken ct) => new(await images.ListHostFilesAsync(context.Caller(), ct));

    /// <summary>One image, by id or name.</summary>
    private static Task<ImageView> GetAsync(HttpContext context, ImageOperations images, string id, CancellationToken ct) => images.GetAsync(context.Caller(), id, ct);

    /// <summary>Deletes an image that nobody uses, as a job.</summary>
    private static async Task<IResult> DeleteAsync(HttpContext context, ImageOperations images, JobOperations jobs, string id, CancellationToken ct)
    {
        var image = await images.GetAsync(context.Caller(), id, ct);
        if (context.Request.DryRun())
            return Results.Json(PlanResponse.From(await images.PlanDeleteAsync(context.Caller(), image.Id, ct)), PortalJson.Options);
        return await JobsApi.AnswerAsync(context, jobs, await images.DeleteAsync(context.Caller(), image.Id, ct), ct);
    }

    /// <summary>The SHA-256 of `Content-Digest` as hex; other algorithms are not understood.</summary>
    private static string? Digest(HttpRequest request)
    {
        if (request.Headers["Content-Digest"].ToString() is not { Length: > 0 } header)
            return null;
        foreach (var part in header.Split(',', StringSplitOptions.TrimEntries))
        {
            if (!part.StartsWith("sha-256=:", StringComparison.OrdinalIgnoreCase) || !part.EndsWith(':'))
                continue;
            var digest = new byte[33];
            if (Convert.TryFromBase64String(part["sha-256=:".Length..^1], digest, out var length) && length == 32)
                return Convert.ToHexStringLower(digest.AsSpan(0, 32));
        }

        throw new PortalException(ErrorCode.Malformed, "Content-Digest must be of the form sha-256=:BASE64: (RFC 9530).");
    }
}
