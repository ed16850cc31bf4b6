using KvmPortal.Host.Contract;
using Microsoft.Extensions.Logging.Abstractions;

namespace KvmPortal.Host.Tests.Linux.Settings;

/// <summary>On this machine's own kernel: pages really appear, and really go away.</summary>
public sealed class RealHugePagesTests
{
    private const string Pool = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages";

    [Fact]
    public async Task Pages_appear_in_the_kernels_pool_and_go_away_on_undo()
    {
        var folder = Directory.CreateTempSubdirectory("kvmportal-pages-").FullName;
        await using var host = LinuxMachineHost.Create(new HostOptions { DataRoot = folder, RunRoot = Path.Combine(folder, "run") }, TimeProvider.System, NullLoggerFactory.Instance);
        // Nobody else's test changes the pool meanwhile.
        using var turn = await HugePageLoan.TakeAsync(0, TestContext.Current.CancellationToken);
        var before = Pages();
        var setting = new HugePagesSetting(0, 2048, before + 16);
        var id = Guid.NewGuid();
        try
        {
            Assert.Equal(new HostWrite(Pool, $"{before}", $"{before + 16}"), Assert.Single((await host.LookAtSettingAsync(setting, null, default)).Writes));
            if (!Environment.IsPrivilegedProcess)
            {
                // Only root may; whoever else runs this sees that it is said.
                Assert.Equal(HostError.NotAllowed, (await Assert.ThrowsAsync<HostException>(() => EndAsync(host, new ApplyHostSetting { PreparationId = id, Setting = setting }, undo: false))).Error);
                return;
            }

            var applied = await EndAsync(host, new ApplyHostSetting { PreparationId = id, Setting = setting }, undo: false);
            Assert.True(applied.Changed && applied.Setting!.Complete);
            Assert.Equal(before + 16, Pages());
            Assert.True((await host.LookAtSettingAsync(setting, id, default)).InForce);
            Assert.True(File.Exists(Path.Combine(folder, "host", "settings", $"{id:N}.json")));

            await EndAsync(host, new RestoreHostSetting { PreparationId = id, Setting = setting }, undo: false);
            Assert.Equal(before, Pages());
            await EndAsync(host, new ApplyHostSetting { PreparationId = id, Setting = setting }, undo: false);
            await EndAsync(host, new ApplyHostSetting { PreparationId = id, Setting = setting }, undo: true);
            Assert.Equal(before, Pages());
            Assert.Empty(Directory.GetFiles(Path.Combine(folder, "host", "settings")));
        }
        finally
        {
            if (Pages() != before)
                File.WriteAllText(Pool, $"{before}\n");
            Directory.Delete(folder, recursive: true);
        }
    }

    private static long Pages() => long.Parse(File.ReadAllText(Pool), System.Globalization.CultureInfo.InvariantCulture);

    private static async Task<StepDone> EndAsync(IMachineHost host, HostStep step, bool undo)
    {
        StepDone? done = null;
        await foreach (var report in undo ? host.UndoAsync(step, TestContext.Current.CancellationToken) : host.ApplyAsync(step, TestContext.Current.CancellationToken))
            done = report as StepDone ?? done;
        return done!;
    }
}
