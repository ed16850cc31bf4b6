using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Vms;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Engine.Storage;

/// <summary>
/// A full file system stops the machines that write to it, before they could lose anything. This resumes them, as ordinary jobs, when the file system of that
/// disk has room again; one that stops again soon is tried ever more seldom. What a person has paused, or another error stopped, is left alone.
/// </summary>
internal sealed class ResumesWhenRoom(VmTracker tracker, VmOperations vms, (PortalStore Store, EngineOptions Options) data, TimeProvider time, ILogger<ResumesWhenRoom> logger) : BackgroundService
{
    private static readonly Caller Caller = Caller.System("room-again");
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(10);
    private const long WantedBytes = 64L << 20;
    private readonly Dictionary<VmId, (long At, TimeSpan Pause)> tried = [];

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            using var timer = new PeriodicTimer(StorageWatch.Interval, time);
            while (await timer.WaitForNextTickAsync(stoppingToken))
                await LookAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
    }

    /// <summary>One look at the machines that a full file system stopped.</summary>
    internal async Task LookAsync(CancellationToken ct)
    {
        foreach (var (id, earlier) in tried.ToList())
            if (time.GetElapsedTime(earlier.At) > 2 * Longest)
                tried.Remove(id);
        foreach (var vm in (await tracker.AllAsync(ct)).Where(v => v.Status.State == VmState.Paused && v.Status.Reason?.Code == Say.CodeOf(nameof(Say.DiskFull))))
        {
            try
            {
                if (Patient(vm.Id) && await HasRoomAsync(vm.Id, vm.Status.Reason!.Values["disk"].Text, ct))
                    await vms.ActAsync(Caller, vm.Id, VmAction.Resume, new VmActionOptions(), ct);
            }
            catch (Exception e) when (e is PortalException or IOException or Host.Contract.HostException)
            {
                logger.LogWarning(e, "{Vm} waits for room on its disk and could not be resumed.", vm.Name);
            }
        }
    }

    /// <summary>At once the first time; then 10, 20, 40 … 600 s after the last.</summary>
    private bool Patient(VmId id) => !tried.TryGetValue(id, out var last) || time.GetElapsedTime(last.At) >= last.Pause;

    private async Task<bool> HasRoomAsync(VmId id, string disk, CancellationToken ct)
    {
        var path = await data.Store.ReadAsync(db => db.Disks.Where(d => d.VmId == id && d.Name == disk).Select(d => d.Path).FirstOrDefaultAsync(ct), ct);
        // What failed was one write of up to some MiB: a little room that is left of before is not room for it.
        if (path is null || StorageRoom.Measure(path, data.Options) is not { State: not StorageState.Full } now || now.FreeBytes < Math.Min(WantedBytes, now.TotalBytes / 10))
            return false;
        var pause = tried.TryGetValue(id, out var last) ? last.Pause * 2 : StorageWatch.Interval;
        tried[id] = (time.GetTimestamp(), pause < Longest ? pause : Longest);
        return true;
    }
}
