using System.Diagnostics;
using System.Runtime.CompilerServices;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace KvmPortal.Faults.Tests;

/// <summary>The real host, with a trigger around each step and its undoing.</summary>
internal sealed class FaultyHost(IMachineHost inner, Trigger trigger) : IMachineHost
{
    public IAsyncEnumerable<StepReport> ApplyAsync(HostStep step, CancellationToken cancellationToken) => WatchedAsync(step, false, inner.ApplyAsync(step, cancellationToken), cancellationToken);

    public IAsyncEnumerable<StepReport> UndoAsync(HostStep step, CancellationToken cancellationToken) => WatchedAsync(step, true, inner.UndoAsync(step, cancellationToken), cancellationToken);

    public Task<HostFacts> GetFactsAsync(CancellationToken cancellationToken) => inner.GetFactsAsync(cancellationToken);

    public Task<IReadOnlyList<string>> ComposeAsync(MachineSpec spec, CancellationToken cancellationToken) => inner.ComposeAsync(spec, cancellationToken);

    public IAsyncEnumerable<HostEvent> WatchAsync(CancellationToken cancellationToken) => inner.WatchAsync(cancellationToken);

    public IAsyncEnumerable<HostSample> SampleAsync(TimeSpan interval, CancellationToken cancellationToken) => inner.SampleAsync(interval, cancellationToken);

    public IAsyncEnumerable<SerialChunk> ReadSerialAsync(Guid machineId, long fromOffset, CancellationToken cancellationToken) => inner.ReadSerialAsync(machineId, fromOffset, cancellationToken);

    public Task WriteSerialAsync(Guid machineId, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken) => inner.WriteSerialAsync(machineId, bytes, cancellationToken);

    public Task<Stream> OpenVncAsync(Guid machineId, CancellationToken cancellationToken) => inner.OpenVncAsync(machineId, cancellationToken);

    public Task<byte[]> TakeScreenshotAsync(Guid machineId, CancellationToken cancellationToken) => inner.TakeScreenshotAsync(machineId, cancellationToken);

    public async Task<ReceivedImage> ReceiveImageAsync(ReceiveImage request, Stream content, CancellationToken cancellationToken)
    {
        var number = await trigger.BeginAsync();
        var begun = Stopwatch.GetTimestamp();
        var received = await inner.ReceiveImageAsync(request, content, cancellationToken);
        trigger.End(number, "receive-image", false, Stopwatch.GetElapsedTime(begun));
        return received;
    }

    public IAsyncEnumerable<HardwareChange> WatchHardwareAsync(CancellationToken cancellationToken) => inner.WatchHardwareAsync(cancellationToken);

    public Task<IReadOnlyList<CpuModelFacts>> ReadCpuModelsAsync(Accelerator accelerator, CancellationToken cancellationToken) => inner.ReadCpuModelsAsync(accelerator, cancellationToken);

    public Task<HostInventory> ReadInventoryAsync(CancellationToken cancellationToken) => inner.ReadInventoryAsync(cancellationToken);

    public Task<SettingLook> LookAtSettingAsync(HostSetting setting, Guid? preparationId, CancellationToken cancellationToken) => inner.LookAtSettingAsync(setting, preparationId, cancellationToken);

    public Task<PlacementReport> InspectPlacementAsync(Guid machineId, CancellationToken cancellationToken) => inner.InspectPlacementAsync(machineId, cancellationToken);

    public Task<MachineEvidence> MeasureAsync(Guid machineId, CancellationToken cancellationToken) => inner.MeasureAsync(machineId, cancellationToken);

    public Task<IReadOnlyList<Stranger>> FindStrangersAsync(CancellationToken cancellationToken) => inner.FindStrangersAsync(cancellationToken);

    public Task<IReadOnlyList<HostFile>> ListFilesAsync(string folder, CancellationToken cancellationToken) => inner.ListFilesAsync(folder, cancellationToken);

    private async IAsyncEnumerable<StepReport> WatchedAsync(HostStep step, bool undo, IAsyncEnumerable<StepReport> reports, [EnumeratorCancellation] CancellationToken ct)
    {
        var number = await trigger.BeginAsync();
        var begun = Stopwatch.GetTimestamp();
        await using var each = reports.GetAsyncEnumerator(ct);
        while (true)
        {
            try
            {
                if (!await each.MoveNextAsync())
                    break;
            }
            catch
            {
                trigger.End(number, step.Kind, undo, Stopwatch.GetElapsedTime(begun));
                throw;
            }

            yield return each.Current;
        }

        trigger.End(number, step.Kind, undo, Stopwatch.GetElapsedTime(begun));
    }
}

/// <summary>Tells the trigger when a job is about to be stored: from then on the points count.</summary>
internal sealed class QueueWatch(Trigger trigger) : SaveChangesInterceptor
{
    public override ValueTask<InterceptionResult<int>> SavingChangesAsync(DbContextEventData eventData, InterceptionResult<int> result, CancellationToken cancellationToken = default)
    {
        if (trigger.ArmsWhenQueued && eventData.Context!.ChangeTracker.Entries().Any(e => e.State == EntityState.Added && e.Entity is Job or Image))
            trigger.Arm();
        return ValueTask.FromResult(result);
    }
}

/// <summary>Tells the trigger of each transaction when it is on the disk.</summary>
internal sealed class CommitCounter(Trigger trigger) : DbTransactionInterceptor
{
    public override void TransactionCommitted(System.Data.Common.DbTransaction transaction, TransactionEndEventData eventData) => trigger.Committed();

    public override Task TransactionCommittedAsync(System.Data.Common.DbTransaction transaction, TransactionEndEventData eventData, CancellationToken cancellationToken = default)
    {
        trigger.Committed();
        return Task.CompletedTask;
    }
}
