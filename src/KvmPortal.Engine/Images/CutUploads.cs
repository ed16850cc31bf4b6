using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Images;

/// <summary>An upload ends with its request: those that a former process was taking when it ended are undone, record and file.</summary>
internal sealed class CutUploads(PortalStore store, IMachineHost host, LiveFeed live, ILogger<CutUploads> logger) : BackgroundService
{
    private List<ImageId> cut = [];

    /// <inheritdoc/>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        // Read before the first request can begin a new one.
        cut = await store.ReadAsync(async db =>
        {
            var receiving = await db.Images.Where(i => i.State == ImageState.Receiving).Select(i => i.Id).ToListAsync(cancellationToken);
            var jobs = await db.Jobs.Where(j => j.TargetType == TargetType.Image && (j.State == JobState.Queued || j.State == JobState.Running)).Select(j => j.TargetId).ToListAsync(cancellationToken);
            return receiving.Where(id => !jobs.Contains(id.Value)).ToList();
        }, cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        foreach (var id in cut)
        {
            try
            {
                await foreach (var _ in host.UndoAsync(new RegisterImage { ImageId = id.Value, SourcePath = "" }, stoppingToken))
                {
                    // It says nothing that anybody waits for.
                }

                await store.WriteAsync(db => db.Images.Where(i => i.Id == id && i.State == ImageState.Receiving).ExecuteDeleteAsync(stoppingToken), stoppingToken);
                live.Publish(new ImagesChanged());
            }
            catch (Exception e) when (e is HostException or IOException or DbUpdateException)
            {
                logger.LogError(e, "The cut upload of image {Image} could not be undone.", id);
            }
        }
    }
}
