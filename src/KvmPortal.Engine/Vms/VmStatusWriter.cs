using System.Collections.Concurrent;
using System.Threading.Channels;
using KvmPortal.Engine.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Vms;

/// <summary>
/// Writes states behind: only the latest of each VM, many in one transaction. Losing the last moment in a crash is harmless, because the host is
/// asked at the next start what really runs.
/// </summary>
internal sealed class VmStatusWriter(PortalStore store, ILogger<VmStatusWriter> logger) : BackgroundService
{
    private readonly ConcurrentDictionary<VmId, VmStatus> waiting = new();
    private readonly Channel<bool> wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public void Write(VmId id, VmStatus status)
    {
        waiting.AddOrUpdate(id, status, (_, old) => old.Generation > status.Generation ? old : status);
        wake.Writer.TryWrite(true);
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            await foreach (var _ in wake.Reader.ReadAllAsync(stoppingToken))
                await FlushAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }

        await FlushAsync(CancellationToken.None);
    }

    private async Task FlushAsync(CancellationToken ct)
    {
        while (!waiting.IsEmpty)
        {
            var batch = waiting.Take(200).ToList();
            try
            {
                await store.WriteAsync(async db =>
                {
                    foreach (var (id, s) in batch)
                        await db.Vms.Where(v => v.Id == id).ExecuteUpdateAsync(set => set.SetProperty(v => v.State, s.State).SetProperty(v => v.Since, s.Since)
                            .SetProperty(v => v.Reason, s.Reason).SetProperty(v => v.Accelerator, s.Accelerator).SetProperty(v => v.Pid, s.Pid).SetProperty(v => v.Generation, s.Generation), ct);
                }, ct);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                logger.LogError(e, "States of {Count} machines could not be stored.", batch.Count);
                return;
            }

            foreach (var pair in batch)
                waiting.TryRemove(pair);
        }
    }
}
