using KvmPortal.Engine.Vms;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Tests.Vms;

public sealed class VmLifecycleTests
{
    public static TheoryData<VmAction, VmState, bool, string> Table => new()
    {
        { VmAction.Start, VmState.Stopped, false, "Accept" },
        { VmAction.Start, VmState.Suspended, false, "Accept" },
        { VmAction.Start, VmState.Crashed, true, "Accept" },
        { VmAction.Start, VmState.Running, true, "AlreadySo" },
        { VmAction.Start, VmState.Paused, true, "Denied" },
        { VmAction.Shutdown, VmState.Running, true, "Accept" },
        { VmAction.Shutdown, VmState.Paused, true, "Denied" },
        { VmAction.Shutdown, VmState.Stopped, false, "AlreadySo" },
        { VmAction.Stop, VmState.Unknown, true, "Accept" },
        { VmAction.Stop, VmState.Crashed, false, "AlreadySo" },
        { VmAction.Stop, VmState.Crashed, true, "Accept" },
        { VmAction.Pause, VmState.Paused, true, "AlreadySo" },
        { VmAction.Resume, VmState.Suspended, false, "Denied" },
        { VmAction.Suspend, VmState.Paused, true, "Accept" },
        { VmAction.Reset, VmState.Stopped, false, "Denied" },
    };

    [Theory]
    [MemberData(nameof(Table))]
    public void An_action_in_a_state_is_decided_as_the_table_says(VmAction action, VmState state, bool hasProcess, string expected) =>
        Assert.Equal(expected, VmLifecycle.Decide(action, state, hasProcess).GetType().Name);

    [Fact]
    public void Every_action_has_an_answer_in_every_state_and_a_denial_says_why()
    {
        foreach (var action in Enum.GetValues<VmAction>())
            foreach (var state in Enum.GetValues<VmState>())
                foreach (var process in new[] { true, false })
                    if (VmLifecycle.Decide(action, state, process) is LifecycleDecision.Denied denied)
                        Assert.EndsWith(".", denied.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_without_process_never_looks_alive_and_one_with_never_looks_stopped()
    {
        foreach (var activity in Enum.GetValues<VmActivity>())
            foreach (var suspended in new[] { true, false })
            {
                foreach (var end in Enum.GetValues<MachineEnd>())
                    Assert.Contains(VmLifecycle.Derive(new MachineTruth(null, end, null), activity, suspended), new[] { VmState.Stopped, VmState.Suspended, VmState.Crashed, VmState.Starting });
                foreach (var run in Enum.GetValues<MachineRunState>())
                    Assert.DoesNotContain(VmLifecycle.Derive(new MachineTruth(run, null, null), activity, suspended), new[] { VmState.Stopped, VmState.Suspended });
            }
    }

    [Fact]
    public void An_accepted_action_is_proven_by_a_state_in_which_it_is_already_so_or_has_ended()
    {
        foreach (var (action, state) in new[] { (VmAction.Start, VmState.Running), (VmAction.Stop, VmState.Stopped), (VmAction.Pause, VmState.Paused), (VmAction.Suspend, VmState.Suspended) })
        {
            Assert.True(VmLifecycle.Proves(action, state));
            Assert.IsType<LifecycleDecision.AlreadySo>(VmLifecycle.Decide(action, state, state is VmState.Running or VmState.Paused));
        }
    }
}
