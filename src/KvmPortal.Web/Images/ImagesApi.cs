using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Access;
using KvmPortal.Web.Hosting;
using KvmPortal.Web.Jobs;
using Microsoft.AspNetCore.Http.Features;

namespace KvmPortal.Web.Images;

/// <param name="Name">Of the new image.</param>
/// <param name="Path">A file in one of the folders that the operator allowed (Host:ImageFolders).</param>
public sealed record RegisterRequest(string Name, string Path);

/// <summary>An image that a job still makes.</summary>
public sealed record RegisteredAnswer(ImageView Image, JobAnswer Job);

/// <summary>/api/v1/images. {id} is an id or a name.</summary>
internal static class ImagesApi
{
    private const string AnyType = "application/octet-stream";

    public static void MapImages(this IEndpointRouteBuilder routes)
    {
        var images = routes.MapApi("images");
        images.MapGet("", ListAsync).WithName("listImages").Produces<ListPage<ImageView>>();
        images.MapPost("", UploadAsync).WithName("uploadImage").Accepts<Stream>(AnyType).Produces<ImageView>(201);
        images.MapPut("/{name}", PutAsync).WithName("putImage").Accepts<Stream>(AnyType).Produces<ImageView>(201);
        images.MapGet("/host-files", FilesAsync).WithName("listHostFiles").Produces<ListPage<HostFile>>();
        images.MapPost("/actions/register", RegisterAsync).WithName("registerImage").Produces<JobAnswer>(202);
        images.MapGet("/{id}", GetAsync).WithName("getImage").Produces<ImageView>();
        images.MapDelete("/{id}", DeleteAsync).WithName("deleteImage").TakesDryRun().Produces<JobAnswer>(202);
    }

    /// <summary>Images, by name.</summary>
    private static async Task<IResult> ListAsync(HttpContext http, [AsParameters] ListParameters list, ImageOperations images, CancellationToken ct) =>
        Results.Ok(await images.ListAsync(http.Caller(), list.ToQuery(), ct));

    /// <summary>Takes an image file as the request's body. Content-Digest (sha-256) is checked when sent.</summary>
    /// <param name="name">Of the new image.</param>
    /// <param name="kind">qcow2, raw, iso, kernel or initrd; left out: what the file's header says.</param>
    private static Task<IResult> UploadAsync(HttpContext http, string name, string? kind, ImageOperations images, CancellationToken ct) => ReceiveAsync(http, name, kind, images, ct);

    /// <summary>The same for clients that put files, like curl -T. An image is never replaced: a name that is taken is refused.</summary>
    /// <param name="name">Of the new image.</param>
    /// <param name="kind">qcow2, raw, iso, kernel or initrd; left out: what the file's header says.</param>
    private static Task<IResult> PutAsync(HttpContext http, string name, string? kind, ImageOperations images, CancellationToken ct) => ReceiveAsync(http, name, kind, images, ct);

    /// <summary>An image.</summary>
    private static async Task<IResult> GetAsync(HttpContext http, string id, ImageOperations images, CancellationToken ct) => Results.Ok(await images.GetAsync(http.Caller(), id, ct));

    /// <summary>Files that could be registered.</summary>
    private static async Task<IResult> FilesAsync(HttpContext http, ImageOperations images, CancellationToken ct) => Results.Ok(new ListPage<HostFile>(await images.ListHostFilesAsync(http.Caller(), ct), null));

    /// <summary>Copies a file of the host, as a job.</summary>
    private static async Task<IResult> RegisterAsync(HttpContext http, RegisterRequest body, ImageOperations images, JobAnswers answers, CancellationToken ct) =>
        await answers.SendAsync(http, (await images.RegisterAsync(http.Caller(), body.Name, body.Path, ct)).Job);

    /// <summary>Deletes an image that no VM needs.</summary>
    private static async Task<IResult> DeleteAsync(HttpContext http, string id, ImageOperations images, JobAnswers answers, CancellationToken ct)
    {
        var image = (await images.GetAsync(http.Caller(), id, ct)).Id;
        return http.IsDryRun() ? JobAnswers.Plan(await images.PlanDeleteAsync(http.Caller(), image, ct)) : await answers.SendAsync(http, await images.DeleteAsync(http.Caller(), image, ct));
    }

    private static async Task<IResult> ReceiveAsync(HttpContext http, string name, string? kind, ImageOperations images, CancellationToken ct)
    {
        if (http.Request.HasFormContentType)
            throw new BadHttpRequestException("form", 415);
        ImageKind? declared = kind is null ? null : Enum.GetValues<ImageKind>().Where(k => PortalJson.Text(k) == kind).Select(k => (ImageKind?)k).FirstOrDefault()
            ?? throw new PortalException(ErrorCode.Malformed, "kind is not one of the kinds of images.") { Problems = [new Problem("?kind", "wrong-type", "Give qcow2, raw, iso, kernel or initrd.")] };
        var digest = ContentDigest.Sha256(http.Request.Headers["Content-Digest"].ToString());
        // The operation has a limit of its own (Host:MaxImageGiB).
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
            limit.MaxRequestBodySize = null;
        var image = await images.ReceiveAsync(http.Caller(), name, http.Request.ContentLength, digest, declared, http.Request.Body, ct);
        return Results.Created($"/api/v1/images/{image.Id}", image);
    }
}
