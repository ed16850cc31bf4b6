using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Metrics;
using KvmPortal.Engine.Vms;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Faults.Tests;

/// <summary>Many real machines at once: states right, metrics each second, no thread per machine, order kept, and nothing left behind.</summary>
[Collection(nameof(ScaleTests))]
[CollectionDefinition(nameof(ScaleTests), DisableParallelization = true)]
public sealed class ScaleTests
{
    private const int Machines = 60;
    private const int Actions = 200;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Sixty_machines_and_two_hundred_starts_and_stops_at_once()
    {
        var template = await Template.CreateAsync();
        var folder = template.Copy();
        try
        {
            await using (var portal = await FaultPortal.StartAsync(folder, new Trigger(FaultPoint.None)))
            {
                var ids = new List<VmId>();
                for (var i = 0; i < Machines; i++)
                    ids.Add((await portal.CreateAsync(Define(i))).Id);
                var (descriptors, threads) = (Descriptors(), Threads());

                await BulkAsync(portal, ids, VmAction.Start);
                var rows = await portal.Store.ReadAsync(db => db.Vms.ToListAsync(Ct), Ct);
                Assert.Equal(Machines, rows.Select(v => v.Uid).Distinct().Count());
                Assert.All(rows, v => Assert.DoesNotContain(v.Confinement!.Measures, m => m.State == Host.Contract.MeasureState.Failed));
                Assert.Equal(Machines, (await portal.Tracker.AllAsync(Ct)).Count(v => v.Status.State == VmState.Running));
                Assert.Equal(Machines, Qemus(folder).Count);
                Assert.True(Threads() - threads < Machines / 2, $"{threads} threads before, {Threads()} with {Machines} machines");
                await AssertSampledEachSecondAsync(portal, ids);

                await ActAtRandomAsync(portal, ids);
                await BulkAsync(portal, ids, VmAction.Stop);
                Assert.Empty(Qemus(folder));
                Assert.All(await portal.Tracker.AllAsync(Ct), v => Assert.Equal(VmState.Stopped, v.Status.State));
                Assert.Empty(Directory.GetFileSystemEntries(folder.Run));
                // Connections are closed just after their machine is told as stopped; the runtime keeps a few files of its own.
                for (var i = 0; i < 100 && Descriptors() - descriptors >= 20; i++)
                    await Task.Delay(100, Ct);
                Assert.True(Descriptors() - descriptors < 20, $"{descriptors} open files before, {Descriptors()} after: {Kinds()}");

                foreach (var id in ids)
                    await portal.SucceededAsync((await portal.Vms.DeleteAsync(FaultPortal.Ada, id, null, Ct)).Id);
                Assert.Empty(Directory.GetFiles(Path.Combine(folder.Data, "disks")));
                Assert.Empty(Directory.GetDirectories(Path.Combine(folder.Data, "machines")));
            }
        }
        finally
        {
            Template.Remove(folder);
            template.Remove();
        }
    }

    private static VmDefinition Define(int i) => new()
    {
        Name = $"m{i}",
        Accelerator = AcceleratorChoice.Tcg,
        Memory = new() { SizeMiB = 32 },
        Disks = [new() { Name = "disk0", SizeGiB = 1 }],
        Consoles = new() { Graphics = GraphicsChoice.None },
    };

    private static async Task BulkAsync(FaultPortal portal, List<VmId> ids, VmAction action)
    {
        var job = await portal.Vms.ActOnManyAsync(FaultPortal.Ada, ids, action, new VmActionOptions(), new BulkOptions(Parallel: 16), Ct);
        var ended = await portal.Jobs.WaitAsync(FaultPortal.Ada, job.Id, TimeSpan.FromSeconds(120), Ct);
        Assert.True(ended.State == JobState.Succeeded, $"{ended.State}: {string.Join(" | ", (await portal.Jobs.LogAsync(FaultPortal.Ada, job.Id, 0, Ct)).Select(l => l.Text.Text))}");
    }

    private static async Task AssertSampledEachSecondAsync(FaultPortal portal, List<VmId> ids)
    {
        await Task.Delay(TimeSpan.FromSeconds(8), Ct);
        foreach (var id in ids)
        {
            var range = await portal.Metrics.VmRangeAsync(id, TimeSpan.FromSeconds(6), TimeSpan.FromSeconds(1), Ct);
            Assert.True(range.Points.Count >= 4, $"{range.Points.Count} points in 6 s");
        }
    }

    /// <summary>Stops and starts thrown at the machines without waiting; each machine's run in the order in which they were asked for.</summary>
    private static async Task ActAtRandomAsync(FaultPortal portal, List<VmId> ids)
    {
        var random = new Random(7);
        var asked = new List<JobId>();
        for (var i = 0; i < Actions / 2; i++)
        {
            var id = ids[random.Next(ids.Count)];
            foreach (var action in (VmAction[])[VmAction.Stop, VmAction.Start])
                asked.Add((await portal.Vms.ActAsync(FaultPortal.Ada, id, action, new VmActionOptions(), Ct)).Id);
        }

        foreach (var id in asked)
            await portal.SucceededAsync(id);
        var jobs = await portal.Store.ReadAsync(db => db.Jobs.Where(j => asked.Contains(j.Id)).ToListAsync(Ct), Ct);
        Assert.Equal(Actions, jobs.Count);
        foreach (var machine in jobs.GroupBy(j => j.SerialKey))
            Assert.Equal(machine.OrderBy(j => j.Seq).Select(j => j.Id), machine.OrderBy(j => j.StartedAt).ThenBy(j => j.Seq).Select(j => j.Id));
        Assert.Equal(Machines, (await portal.Tracker.AllAsync(Ct)).Count(v => v.Status.State == VmState.Running));
    }

    private static int Descriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    private static string Kinds() => string.Join(", ", Directory.GetFileSystemEntries("/proc/self/fd").Select(f => new FileInfo(f).LinkTarget ?? "?").Select(t => t.Split(':')[0])
        .GroupBy(t => t).OrderByDescending(g => g.Count()).Take(8).Select(g => $"{g.Count()} {g.Key}"));

    private static int Threads() => int.Parse(File.ReadLines("/proc/self/status").First(l => l.StartsWith("Threads:", StringComparison.Ordinal)).Split('\t')[1], System.Globalization.CultureInfo.InvariantCulture);

    private static string Words(string process)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, "cmdline"));
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static List<string> Qemus(RunFolder folder) =>
    [
        .. Directory.EnumerateDirectories("/proc").Where(p => int.TryParse(Path.GetFileName(p), out _)).Select(Words)
            .Where(line => line.Contains("qemu-system", StringComparison.Ordinal) && line.Contains(folder.Run + "/", StringComparison.Ordinal)),
    ];
}
