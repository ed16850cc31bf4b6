using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Images;

/// <summary>The images page: what there is, what may be registered from the host's folders, and how deleting went.</summary>
public sealed class ImageListModel(ImageOperations images, LiveFeed feed)
{
    /// <summary>Something changed; raised on any thread.</summary>
    public event Action? Changed;

    public IReadOnlyList<ImageView> Items { get; private set; } = [];
    public bool Loaded { get; private set; }
    public ProblemInfo? Problem { get; private set; }
    public string? Text { get; private set; }

    public async Task ShowAsync(Caller caller, string? text, CancellationToken ct)
    {
        Text = string.IsNullOrWhiteSpace(text) ? null : text.Trim();
        await ReadAsync(caller, ct);
    }

    /// <summary>Follows changes until cancelled; call it before the first read.</summary>
    public async Task FollowAsync(Caller caller, CancellationToken ct)
    {
        try
        {
            await foreach (var change in feed.WatchAsync(ct))
                if (change is ImagesChanged or Resync)
                    await ReadAsync(caller, ct);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
        }
    }

    /// <summary>The plan of deleting; null, with <see cref="Problem"/> set, when it is refused.</summary>
    public Task<Plan?> PlanDeleteAsync(Caller caller, ImageView image, CancellationToken ct) => TryAsync(() => images.PlanDeleteAsync(caller, image.Id, ct));

    public Task DeleteAsync(Caller caller, ImageView image, CancellationToken ct) => TryAsync(() => images.DeleteAsync(caller, image.Id, ct));

    /// <summary>Files of the allowed host folders; none when there are no such folders.</summary>
    public async Task<IReadOnlyList<HostFile>> HostFilesAsync(Caller caller, CancellationToken ct) => await TryAsync(() => images.ListHostFilesAsync(caller, ct)) ?? [];

    /// <summary>Queues the copy of a host file; throws <see cref="PortalException"/> for the dialog to show.</summary>
    public Task<ImageWithJob> RegisterAsync(Caller caller, string name, string path, CancellationToken ct) => images.RegisterAsync(caller, name, path, ct);

    /// <summary>A name for a file: what its own name allows.</summary>
    public static string NameFor(string fileName)
    {
        var stem = fileName;
        foreach (var end in new[] { ".qcow2", ".img", ".raw", ".iso" })
            if (stem.EndsWith(end, StringComparison.OrdinalIgnoreCase))
                stem = stem[..^end.Length];
        var name = string.Concat(stem.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' ? c : '-')).Trim('-', '.', '_');
        return name.Length is 0 ? "image" : name.Length > 63 ? name[..63] : name;
    }

    private async Task<T?> TryAsync<T>(Func<Task<T>> ask) where T : class
    {
        Problem = null;
        try
        {
            return await ask();
        }
        catch (PortalException e)
        {
            Problem = Failures.From(e);
            return null;
        }
    }

    private async Task ReadAsync(Caller caller, CancellationToken ct)
    {
        if (await TryAsync(() => images.ListAsync(caller, new ListQuery(500, Text: Text), ct)) is { } page)
            Items = page.Items;
        Loaded = true;
        Changed?.Invoke();
    }
}
