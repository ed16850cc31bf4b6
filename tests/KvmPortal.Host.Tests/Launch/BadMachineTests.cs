using System.Diagnostics;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;

namespace KvmPortal.Host.Tests.Launch;

/// <summary>A machine whose QEMU does what it likes: what the portal hears of it is bounded, and the machine beside it is heard as ever.</summary>
public sealed class BadMachineTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private static readonly string[] Floods =
    [
        "{\"event\":\"STOP\"}",
        "{\"event\":\"BLOCK_IO_ERROR\",\"data\":{\"action\":\"stop\",\"node-name\":\"NUMBER\",\"operation\":\"write\"}}",
        "{\"event\":\"GUEST_PANICKED\"}\n{\"event\":\"RESUME\"}",
        "{\"event\":\"RESET\",\"data\":{\"reason\":\"guest-reset\"}}",
        "{\"event\":\"BLOCK_IO_ERROR\",\"data\":{\"action\":\"report\"}}\n{\"event\":\"WATCHDOG\"}\n{\"event\":\"VNC_CONNECTED\"}\n{\"event\":\"VNC_DISCONNECTED\"}",
    ];

    [Fact]
    public async Task Those_that_change_all_the_time_are_told_of_rarely_and_end_with_the_truth()
    {
        await using var good = await ScriptedMachine.BeginAsync();
        using var over = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        over.CancelAfter(TimeSpan.FromSeconds(3));
        var floods = Floods.Select(said => FloodedAsync(said, over.Token)).ToList();

        // Beside them, a machine that pauses is heard at once.
        good.Status = "paused";
        var asked = Stopwatch.StartNew();
        await good.SayAsync("{\"event\":\"STOP\"}\n", Ct);
        await good.EventAsync<MachineStateChanged>(e => e.State == MachineRunState.Paused, Patience);
        Assert.True(asked.Elapsed < TimeSpan.FromSeconds(2), $"{asked.Elapsed}");
        await Task.WhenAll(floods);
    }

    private static async Task FloodedAsync(string said, CancellationToken over)
    {
        await using var bad = await ScriptedMachine.BeginAsync();
        var watch = Stopwatch.StartNew();
        Assert.InRange(await FloodAsync(bad, said, over), 100, long.MaxValue);
        var most = MachineVoice.Burst + (watch.Elapsed / MachineVoice.Refill) + (6 * (watch.Elapsed.TotalSeconds + 1));
        Assert.True(bad.Told.Count <= most, $"{bad.Told.Count} in {watch.Elapsed}");

        // What it said last is true once it has calmed down.
        bad.Status = "running";
        await bad.SayAsync("{\"event\":\"RESUME\"}\n", Ct);
        for (var end = Environment.TickCount64 + 60_000; Environment.TickCount64 < end && (bad.Supervisor.State != MachineRunState.Running || Last(bad) is not (null or MachineRunState.Running)); await Task.Delay(50, Ct))
        {
        }

        Assert.Equal(MachineRunState.Running, bad.Supervisor.State);
        Assert.True(Last(bad) is null or MachineRunState.Running, $"{Last(bad)}");
    }

    [Fact]
    public async Task One_that_says_a_line_of_100_MB_costs_no_more_than_the_longest_line()
    {
        await using var bad = await ScriptedMachine.BeginAsync();
        var block = new string('x', 1 << 20);
        var sent = 0;
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            await bad.SayAsync("{\"event\":\"", Ct);
            for (; sent < 100; sent++)
                await bad.SayAsync(block, Ct);
        });
        // Hung up on before much was read: what is on its way in sockets, and a line of the longest length.
        Assert.InRange(sent, 1, 16);
        Assert.Equal(MachineRunState.Unresponsive, (await bad.EventAsync<MachineStateChanged>(_ => true, Patience)).State);
        Assert.False(bad.Supervisor.Gone.IsCompleted);
    }

    [Theory]
    [InlineData("rubbish\n")]
    [InlineData("{\"event\":\"STOP\",\"da")]
    public async Task One_whose_conversation_breaks_lives_on_is_said_to_be_unresponsive_and_can_be_ended(string said)
    {
        await using var bad = await ScriptedMachine.BeginAsync();
        await bad.SayAsync(said, Ct);
        if (!said.EndsWith('\n'))
            bad.HangUp();
        Assert.Equal(MachineRunState.Unresponsive, (await bad.EventAsync<MachineStateChanged>(_ => true, Patience)).State);
        Assert.Equal(HostError.Timeout, Assert.Throws<HostException>(() => bad.Supervisor.Qmp).Error);
        await bad.Supervisor.EndAsync(MachineEnd.Quit, Ct);
        Assert.Equal(MachineEnd.Quit, (await bad.EventAsync<MachineEnded>(_ => true, Patience)).End);
        Assert.IsType<MachineEnded>(bad.Told.Last());
    }

    [Fact]
    public async Task One_that_answers_nothing_is_ended_by_signals_in_bounded_time()
    {
        await using var bad = await ScriptedMachine.BeginAsync();
        bad.Status = null;
        var watch = Stopwatch.StartNew();
        await bad.Supervisor.EndAsync(MachineEnd.Quit, Ct);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(40), $"{watch.Elapsed}");
        await bad.EventAsync<MachineEnded>(_ => true, Patience);
        Assert.IsType<MachineEnded>(bad.Told.Last());
    }

    [Fact]
    public async Task One_that_claims_to_be_off_and_lives_on_is_not_told_to_have_ended()
    {
        await using var bad = await ScriptedMachine.BeginAsync();
        await bad.SayAsync("{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,\"reason\":\"guest-shutdown\"}}\n", Ct);
        await bad.EventAsync<MachineStateChanged>(e => e.State == MachineRunState.ShutDown, Patience);
        for (var end = Environment.TickCount64 + 30_000; Environment.TickCount64 < end && !bad.Heard.Contains("quit"); await Task.Delay(20, Ct))
        {
        }

        Assert.Contains("quit", bad.Heard);
        Assert.DoesNotContain(bad.Told, e => e is MachineEnded);
        Assert.True(bad.Supervisor.IsAlive);
    }

    private static MachineRunState? Last(ScriptedMachine machine) => machine.Told.OfType<MachineStateChanged>().LastOrDefault()?.State;

    private static async Task<long> FloodAsync(ScriptedMachine machine, string said, CancellationToken ct)
    {
        // A line is always said to its end: half a line would end the conversation.
        for (long sent = 0; ; sent++)
        {
            if (ct.IsCancellationRequested)
                return sent;
            machine.Status = sent % 2 == 0 ? "paused" : "running";
            await machine.SayAsync(said.Replace("NUMBER", $"{sent}", StringComparison.Ordinal) + "\n", Ct);
            await Task.Yield();
        }
    }
}
