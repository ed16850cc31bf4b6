using System.Diagnostics;
using KvmPortal.Engine;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Images;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using KvmPortal.Host;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KvmPortal.Guest.Tests;

/// <summary>The engine, the real host and QEMU, with the guest's disk on a file system that is soon full. Needs root for it.</summary>
public sealed class FullDiskTests
{
    private static readonly Caller Ada = new(null, "ada", Door.Token, "test");

    [Fact]
    public async Task A_guest_whose_disk_has_no_room_waits_says_so_and_goes_on_by_itself()
    {
        var root = Directory.CreateTempSubdirectory("kpf-").FullName;
        var disks = Directory.CreateDirectory(Path.Combine(root, "d", "disks")).FullName;
        await RunAsync("mount", "-t", "tmpfs", "-o", "size=24m,mode=0711", "kvmportal-test", disks);
        try
        {
            var vm = default(VmId);
            await using (var portal = await StartAsync(root))
            {
                await ImageAsync(portal, "kernel", "vmlinuz");
                await ImageAsync(portal, "initrd", "initrd.img");
                var made = await portal.GetRequiredService<VmOperations>().CreateAsync(Ada, new VmDefinition
                {
                    Name = "full",
                    Accelerator = AcceleratorChoice.Tcg,
                    Memory = new MemoryDefinition { SizeMiB = 192 },
                    Disks = [new DiskDefinition { Name = "disk0", SizeGiB = 1 }],
                    Boot = new BootDefinition { Direct = new DirectBootDefinition("kernel", "initrd", "console=ttyS0 quiet noip") },
                }, true, default);
                vm = made.Vm.Id;
                await EndedAsync(portal, made.Job!.Id);
                var host = portal.GetRequiredService<IMachineHost>();
                await SaidAsync(host, vm.Value, "GUEST-UP");
                await host.WriteSerialAsync(vm.Value, "dd if=/dev/urandom of=/dev/vda bs=64k count=640; sync; echo WRITTEN''-ALL\n"u8.ToArray(), default);

                var stopped = await StateAsync(portal, vm, s => s.State == VmState.Paused);
                Assert.Equal("Disk disk0: no space left on the host.", stopped.Reason?.Text);
                await portal.GetRequiredService<Engine.Storage.ResumesWhenRoom>().LookAsync(default);
                Assert.Equal(VmState.Paused, (await StateAsync(portal, vm, _ => true)).State);
                await StopAsync(portal);
            }

            // The cause is still known to a portal that was not there when it happened.
            await using (var again = await StartAsync(root))
            {
                await again.GetRequiredService<Engine.Hosts.HostLink>().Ready;
                var found = await StateAsync(again, vm, s => s.State == VmState.Paused);
                Assert.Equal(("disk-full", "Disk disk0: no space left on the host."), (found.Reason?.Code, found.Reason?.Text));
                await RunAsync("mount", "-o", "remount,size=100m", disks);
                // Its timer does it within ten seconds.
                await StateAsync(again, vm, s => s.State == VmState.Running);
                await SaidAsync(again.GetRequiredService<IMachineHost>(), vm.Value, "WRITTEN-ALL");
                await EndedAsync(again, (await again.GetRequiredService<VmOperations>().ActAsync(Ada, vm, VmAction.Stop, new VmActionOptions(), default)).Id);
                var disk = Assert.Single(Directory.EnumerateFiles(disks));
                await RunAsync("qemu-img", "check", "-q", disk);
                await StopAsync(again);
            }
        }
        finally
        {
            await RunAsync("umount", "-l", disks);
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(root, recursive: true);
        }
    }

    private static async Task<ServiceProvider> StartAsync(string root)
    {
        var options = new HostOptions { DataRoot = Path.Combine(root, "d"), RunRoot = Path.Combine(root, "r"), ImageFolders = [Path.GetDirectoryName(GuestHost.GuestFile("vmlinuz"))!] };
        var collection = new ServiceCollection();
        collection.AddLogging(log => log.SetMinimumLevel(LogLevel.Critical));
        collection.AddSingleton(options);
        collection.AddEngine(new EngineOptions { DataRoot = options.DataRoot }, sp => LinuxMachineHost.Create(options, sp.GetRequiredService<TimeProvider>(), sp.GetRequiredService<ILoggerFactory>()), "KvmPortal.Migrations.Sqlite");
        var services = collection.BuildServiceProvider();
        await services.GetRequiredService<DatabaseStart>().PrepareAsync(default);
        foreach (var hosted in services.GetServices<IHostedService>())
            await hosted.StartAsync(default);
        return services;
    }

    private static async Task StopAsync(ServiceProvider portal)
    {
        foreach (var hosted in portal.GetServices<IHostedService>().Reverse())
            await hosted.StopAsync(default);
    }

    private static async Task ImageAsync(ServiceProvider portal, string name, string file)
    {
        var made = await portal.GetRequiredService<ImageOperations>().RegisterAsync(Ada, name, GuestHost.GuestFile(file), default);
        await EndedAsync(portal, made.Job.Id);
    }

    private static async Task EndedAsync(ServiceProvider portal, JobId id)
    {
        var job = await portal.GetRequiredService<JobOperations>().WaitAsync(Ada, id, GuestHost.Patience, default);
        Assert.True(job.State == JobState.Succeeded, $"{job.Kind}: {job.State} {job.Error?.Detail}");
    }

    private static async Task<VmStatus> StateAsync(ServiceProvider portal, VmId id, Func<VmStatus, bool> wanted)
    {
        var status = default(VmStatus);
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < GuestHost.Patience; await Task.Delay(100))
            if (wanted(status = (await portal.GetRequiredService<VmOperations>().GetAsync(Ada, id, default)).Status))
                return status;
        var jobs = await portal.GetRequiredService<JobOperations>().ListAsync(Ada, new ListQuery(20), default);
        throw new InvalidOperationException($"It stays {status}; jobs: {string.Join(", ", jobs.Items.Select(j => $"{j.Kind} {j.State} {j.CreatedAt:T} {j.Error?.Detail}"))}.");
    }

    private static async Task SaidAsync(IMachineHost host, Guid id, string text)
    {
        var said = "";
        using var patience = new CancellationTokenSource(GuestHost.Patience);
        await foreach (var chunk in host.ReadSerialAsync(id, 0, patience.Token))
            if ((said += System.Text.Encoding.ASCII.GetString(chunk.Bytes)).Contains(text, StringComparison.Ordinal))
                return;
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var said = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {said}");
    }
}
