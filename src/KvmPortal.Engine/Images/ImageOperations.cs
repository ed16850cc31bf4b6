using System.Text.RegularExpressions;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Host;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Images;

/// <summary>The verbs on images that both doors call.</summary>
public sealed partial class ImageOperations
{
    private readonly PortalStore store;
    private readonly ImageReader reader;
    private readonly JobQueue queue;
    private readonly ImageOperationsContext context;

    internal ImageOperations(PortalStore store, ImageReader reader, JobQueue queue, ImageOperationsContext context)
    {
        this.store = store;
        this.reader = reader;
        this.queue = queue;
        this.context = context;
    }

    /// <summary>By name.</summary>
    public async Task<ListPage<ImageView>> ListAsync(Caller caller, ListQuery query, CancellationToken ct)
    {
        if (query.Limit is < 1 or > 500)
            throw PortalException.Invalid([new Problem("?limit", "out-of-range", Say.NumberFromTo(1, 500))]);
        var after = query.Cursor;
        var text = query.Text?.Trim();
        var rows = await store.ReadAsync(db => db.Images.Where(i => (after == null || i.Name.CompareTo(after) > 0) && (string.IsNullOrEmpty(text) || i.Name.Contains(text)))
            .OrderBy(i => i.Name).Take(query.Limit + 1).ToListAsync(ct), ct);
        var users = await reader.UsersOfAllAsync(ct);
        var page = rows.Take(query.Limit).Select(i => View(i, users.GetValueOrDefault(i.Id, []))).ToList();
        return new ListPage<ImageView>(page, rows.Count > query.Limit ? page[^1].Name : null);
    }

    public async Task<ImageView> GetAsync(Caller caller, string idOrName, CancellationToken ct)
    {
        var image = await reader.ResolveAsync(idOrName, ct);
        return View(image, await reader.UsersAsync(image.Id, ct));
    }

    /// <summary>Takes the bytes, checks digest and header, publishes. Throws NameTaken, ImageRefused, TooLarge, Malformed (truncated, digest).</summary>
    public async Task<ImageView> ReceiveAsync(Caller caller, string name, long? length, string? sha256, ImageKind? declared, Stream content, CancellationToken ct)
    {
        var image = await ReserveAsync(caller, name, (_, _) => Task.FromResult(0), ct);
        try
        {
            var received = await context.Host.ReceiveImageAsync(new ReceiveImage(image.Id.Value, length, sha256, declared, context.MaxImageBytes), content, ct);
            image = await PublishAsync(store, image.Id, received, ct);
        }
        catch (Exception e)
        {
            // On a full disk the row goes when there is room again; nobody waits for that.
            var forgotten = store.WriteWithPatienceAsync(db => db.Images.Where(i => i.Id == image.Id).ExecuteDeleteAsync(CancellationToken.None), CancellationToken.None);
            await Task.WhenAny(forgotten, Task.Delay(TimeSpan.FromSeconds(2), context.Time, CancellationToken.None));
            context.Live.Publish(new ImagesChanged());
            if (e is HostException refused)
                throw refused is { Error: HostError.NoRoom, InnerException: IOException full } ? store.Room.Full(context.ImagesFolder, full) : Translate(refused);
            throw;
        }

        context.Live.Publish(new ImagesChanged());
        await context.Events.AppendAsync("image.added", Target(image), caller.Name, $"{caller.Name} added the image {image.Name}.", ct: ct);
        return View(image, []);
    }

    /// <summary>Copies a file of an allowed host folder, as a job.</summary>
    public async Task<ImageWithJob> RegisterAsync(Caller caller, string name, string path, CancellationToken ct)
    {
        await RequireAllowedAsync(caller, path, ct);
        Job? job = null;
        var image = await ReserveAsync(caller, name, async (db, row) =>
        {
            var intent = new RegisterImageIntent(row.Id, path);
            job = await queue.AddAsync(db, caller, "register-image", Target(row), intent, ImagePlanner.Register(intent), ct);
            return 0;
        }, ct);
        context.Live.Publish(new ImagesChanged());
        return new ImageWithJob(View(image, []), (await queue.CommittedAsync(job))!);
    }

    /// <summary>What <see cref="RegisterAsync"/> would do; throws what it would throw.</summary>
    public async Task<Plan> PlanRegisterAsync(Caller caller, string name, string path, CancellationToken ct)
    {
        await RequireAllowedAsync(caller, path, ct);
        RequireName(name);
        if (await store.ReadAsync(db => db.Images.AnyAsync(i => i.Name == name, ct), ct))
            throw NameTaken(name);
        return ImagePlanner.Register(new RegisterImageIntent(ImageId.New(context.Time), path));
    }

    /// <summary>Files in the allowed host folders.</summary>
    public async Task<IReadOnlyList<HostFile>> ListHostFilesAsync(Caller caller, CancellationToken ct)
    {
        var files = new List<HostFile>();
        foreach (var folder in context.Folders)
            files.AddRange(await context.Host.ListFilesAsync(folder, ct));
        return files;
    }

    /// <summary>Deletes, as a job. In use: Conflict that names the VMs.</summary>
    public async Task<JobView> DeleteAsync(Caller caller, ImageId id, CancellationToken ct)
    {
        var image = await reader.GetAsync(id, ct);
        var plan = ImagePlanner.Delete(image, await reader.UsersAsync(id, ct));
        var job = await store.WriteAsync(db => queue.AddAsync(db, caller, "delete-image", Target(image), new DeleteImageIntent(id), plan, ct), ct);
        return (await queue.CommittedAsync(job))!;
    }

    public async Task<Plan> PlanDeleteAsync(Caller caller, ImageId id, CancellationToken ct) =>
        ImagePlanner.Delete(await reader.GetAsync(id, ct), await reader.UsersAsync(id, ct));

    /// <summary>Puts what the host found into the row.</summary>
    internal static Task<Image> PublishAsync(PortalStore store, ImageId id, ReceivedImage found, CancellationToken ct) => store.WriteAsync(async db =>
    {
        var row = await db.Images.FirstOrDefaultAsync(i => i.Id == id, ct) ?? throw PortalException.NotFound("image", id.ToString());
        (row.State, row.Kind, row.Path) = (ImageState.Ready, found.Kind, found.Path);
        (row.FileSizeBytes, row.VirtualSizeBytes, row.Sha256, row.Error) = (found.FileSizeBytes, found.VirtualSizeBytes, found.Sha256, null);
        return row;
    }, ct);

    internal static JobTarget Target(Image image) => new(TargetType.Image, image.Id.Value, image.Name);

    private async Task<Image> ReserveAsync(Caller caller, string name, Func<PortalDb, Image, Task<int>> also, CancellationToken ct)
    {
        RequireName(name);
        return await store.WriteAsync(async db =>
        {
            if (await db.Images.AnyAsync(i => i.Name == name, ct))
                throw NameTaken(name);
            var image = new Image { Id = ImageId.New(context.Time), Name = name, State = ImageState.Receiving, CreatedAt = context.Time.GetUtcNow(), CreatedBy = caller.Name };
            db.Images.Add(image);
            await also(db, image);
            return image;
        }, ct);
    }

    private async Task RequireAllowedAsync(Caller caller, string path, CancellationToken ct)
    {
        if ((await ListHostFilesAsync(caller, ct)).All(f => f.Path != path))
            throw PortalException.Invalid([new Problem("/path", "not-allowed", Say.ImagePathNotAllowed)]);
    }

    private static void RequireName(string name)
    {
        if (!NamePattern().IsMatch(name))
            throw PortalException.Invalid([new Problem("?name", "invalid-name", Say.ImageNameRule)]);
    }

    private static PortalException NameTaken(string name) => new(ErrorCode.NameTaken, Say.ImageNameTaken(name)) { Problems = [new Problem("?name", "taken", Say.ChooseAnother)] };

    private static PortalException Translate(HostException e) => e.Error switch
    {
        HostError.ImageRefused => new PortalException(ErrorCode.ImageRefused, e.Message, e) { Hint = e.Hint },
        HostError.DigestMismatch => new PortalException(ErrorCode.Malformed, e.Message, e) { Hint = e.Hint },
        HostError.NoRoom => new PortalException(ErrorCode.NoRoom, e.Message, e) { Hint = e.Hint },
        _ => new PortalException(ErrorCode.HostFailed, e.Message, e) { Hint = e.Hint },
    };

    private static ImageView View(Image i, IReadOnlyList<string> usedBy) => new()
    {
        Id = i.Id,
        Name = i.Name,
        State = i.State,
        Kind = i.Kind,
        FileSizeBytes = i.FileSizeBytes,
        VirtualSizeBytes = i.VirtualSizeBytes,
        Sha256 = i.Sha256,
        CreatedAt = i.CreatedAt,
        CreatedBy = i.CreatedBy,
        Error = i.Error,
        UsedBy = usedBy,
    };

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}\z")]
    private static partial Regex NamePattern();
}

/// <summary>What operations on images need besides the stores.</summary>
internal sealed record ImageOperationsContext(IMachineHost Host, LiveFeed Live, PortalEvents Events, HostOptions? HostOptions, TimeProvider Time)
{
    public IReadOnlyList<string> Folders => HostOptions?.ImageFolders ?? [];

    public string ImagesFolder => Path.Combine(HostOptions?.DataRoot ?? ".", "images");

    public long MaxImageBytes => (HostOptions?.MaxImageGiB ?? 256) * (1L << 30);
}
