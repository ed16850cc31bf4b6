using System.Collections.Concurrent;
using System.Text;
using System.Text.Json.Nodes;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;
using KvmPortal.Host.Qmp;
using KvmPortal.Host.Tests.Qemu;
using KvmPortal.Host.Tests.Qmp;

namespace KvmPortal.Host.Tests.Launch;

/// <summary>A supervised machine whose QEMU is a script: a process that only sleeps, and a peer that says what the test wants.</summary>
internal sealed class ScriptedMachine : IAsyncDisposable
{
    private readonly ScratchFolder folder = new();
    private readonly Pair pair;
    private readonly QemuProcess process;
    private readonly SemaphoreSlim saying = new(1, 1);

    private ScriptedMachine(Pair pair, QemuProcess process)
    {
        (this.pair, this.process) = (pair, process);
        var paths = new MachinePaths(folder.In("r"), folder.In("s"));
        var spec = new MachineSpec
        {
            Id = Guid.NewGuid(), Name = "scripted", Accelerator = Accelerator.Tcg, Family = MachineFamily.Q35, MachineType = "q35",
            Cpu = new(1, 1, "max", 1), Memory = new(64, 4), Firmware = new(FirmwareType.Bios, false), Serial = false, GuestAgent = false, Balloon = false,
        };
        Supervisor = new MachineSupervisor(new RunRecord(process.Pid, process.StartTicks, "boot", DateTimeOffset.UnixEpoch, spec), process, paths, TimeProvider.System, Told.Enqueue, () => { });
    }

    public MachineSupervisor Supervisor { get; }
    public ConcurrentQueue<HostEvent> Told { get; } = new();
    public int Pid => process.Pid;

    /// <summary>What query-status says; null: nothing is answered any more.</summary>
    public volatile string? Status = "running";

    /// <summary>Commands that it has heard.</summary>
    public ConcurrentQueue<string> Heard { get; } = new();

    public static async Task<ScriptedMachine> BeginAsync()
    {
        var machine = new ScriptedMachine(await Pair.MakeAsync(), QemuProcess.Spawn(["sleep", "600"]));
        _ = machine.AnswerAsync();
        await machine.SayAsync("{\"QMP\":{}}\n");
        await machine.Supervisor.BeginAsync(await QmpClient.OpenAsync(machine.pair.Near, machine.pair.Near.Socket, TestContext.Current.CancellationToken), TestContext.Current.CancellationToken);
        machine.Supervisor.Follow();
        return machine;
    }

    public async Task SayAsync(string text, CancellationToken ct = default)
    {
        await saying.WaitAsync(ct);
        try
        {
            await pair.Far.WriteAsync(Encoding.UTF8.GetBytes(text), ct);
        }
        finally
        {
            saying.Release();
        }
    }

    public async Task<T> EventAsync<T>(Func<T, bool> wanted, TimeSpan patience) where T : HostEvent
    {
        for (var end = Environment.TickCount64 + (long)patience.TotalMilliseconds; Environment.TickCount64 < end; await Task.Delay(10, TestContext.Current.CancellationToken))
            if (Told.OfType<T>().FirstOrDefault(wanted) is { } found)
                return found;
        throw new InvalidOperationException($"Told was only: {string.Join(", ", Told.Take(20))}");
    }

    public void HangUp() => pair.Far.Dispose();

    public async ValueTask DisposeAsync()
    {
        process.Signal(PosixSignalNumber.Kill);
        pair.Far.Dispose();
        await process.WaitForEndAsync(TimeSpan.FromSeconds(10), CancellationToken.None);
        await Supervisor.DisposeAsync();
        pair.Dispose();
        folder.Dispose();
    }

    private async Task AnswerAsync()
    {
        try
        {
            using var reader = new StreamReader(pair.Far, leaveOpen: true);
            while (await reader.ReadLineAsync() is { } line)
            {
                var said = JsonNode.Parse(line)!;
                var command = said["execute"]!.GetValue<string>();
                Heard.Enqueue(command);
                if (Status is { } status)
                    await SayAsync($"{{\"return\":{(command == "query-status" ? $"{{\"status\":\"{status}\"}}" : command.StartsWith("query-", StringComparison.Ordinal) ? "[]" : "{}")},\"id\":{said["id"]}}}\n");
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The conversation is over.
        }
    }
}
