using System.Diagnostics;
using System.Globalization;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Linux;
using KvmPortal.Host.Pinning;

namespace KvmPortal.Bench;

/// <summary>What watching the placement of a hundred machines costs: the CPU time of the looks that the watch takes every two seconds, at real QEMU processes with four vCPUs each.</summary>
internal static class VerifyScenario
{
    private const int Machines = 100;
    private const int Rounds = 60;
    private const double IntervalSeconds = 2;

    public static async Task RunAsync(Report report)
    {
        // Paused in their firmware they take no CPU, but all of their threads are there.
        var room = long.Parse(File.ReadLines("/proc/meminfo").First(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
        var count = (int)Math.Clamp(room / 3 / 50, 4, Machines);
        var qemus = new List<Process>();
        try
        {
            for (var i = 0; i < count; i++)
                qemus.Add(Start(i));
            var tree = new ThreadTree(new HostPaths());
            var watched = new List<WatchedMachine>();
            foreach (var qemu in qemus)
            {
                List<int> vcpus = [];
                for (var tries = 0; tries < 500 && vcpus.Count < 4; tries++)
                {
                    vcpus = [.. tree.Of(qemu.Id).Where(t => tree.Name(qemu.Id, t).StartsWith("CPU ", StringComparison.Ordinal))];
                    await Task.Delay(vcpus.Count < 4 ? 20 : 0);
                }

                var all = tree.Online();
                var placement = new MachinePlacement { Vcpus = [.. vcpus.Select(_ => all)], Emulator = all, Vhost = all, Sockets = 1, CoresPerSocket = vcpus.Count, ThreadsPerCore = 1, Nodes = [] };
                watched.Add(new WatchedMachine(tree, new KernelAffinity(), TimeProvider.System, (new MachineThreads(qemu.Id, vcpus, [], null), () => true), placement));
            }

            var times = new List<double>();
            using var self = Process.GetCurrentProcess();
            for (var round = -10; round < Rounds; round++)
            {
                self.Refresh();
                var before = self.TotalProcessorTime;
                var online = tree.Online();
                foreach (var machine in watched)
                    machine.Look(online);
                self.Refresh();
                if (round >= 0)
                    times.Add((self.TotalProcessorTime - before).TotalMilliseconds);
            }

            // The clock of a process has steps; the mean over all looks has none.
            var perLook = times.Average() * Machines / count;
            report.Line($"{count} QEMU of {watched.Count} machines, {qemus.Sum(q => tree.Of(q.Id).Count)} threads{(count < Machines ? $"; scaled to {Machines} machines, as this host has no memory for more" : "")}");
            report.Series($"CPU time of a look at {count} machines", times, "ms");
            report.Target($"verification of {Machines} machines, of one core", perLook / 10 / IntervalSeconds, 0.5, atMost: true, " %");
        }
        finally
        {
            foreach (var qemu in qemus)
            {
                qemu.Kill();
                await qemu.WaitForExitAsync();
                qemu.Dispose();
            }
        }
    }

    private static Process Start(int number)
    {
        var info = new ProcessStartInfo("qemu-system-x86_64") { RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in (string[])["-machine", "microvm", "-accel", "tcg,thread=multi,tb-size=1", "-S", "-m", "16", "-smp", "4", "-nodefaults", "-no-user-config", "-display", "none", "-name", $"guest=bench{number},debug-threads=on"])
            info.ArgumentList.Add(argument);
        return Process.Start(info)!;
    }
}
