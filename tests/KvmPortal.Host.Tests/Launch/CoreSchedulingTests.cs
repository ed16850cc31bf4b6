using KvmPortal.Host.Contract;
using KvmPortal.Host.Launch;

namespace KvmPortal.Host.Tests.Launch;

public sealed class CoreSchedulingTests
{
    private readonly List<(int Command, int Scope)> asked = [];
    private ulong cookie;
    private int error;

    private CoreScheduling Cores => new((int command, int pid, int scope, out ulong is_) =>
    {
        Assert.Equal(77, pid);
        asked.Add((command, scope));
        if (error == 0)
            cookie = command switch { 1 => 0xabc, 2 => 0, _ => cookie };
        is_ = cookie;
        return error;
    });

    [Fact]
    public void A_machine_gets_one_cookie_which_is_read_back_and_taken_away_again()
    {
        Assert.Equal(new Measure(Measures.CoreScheduling, MeasureState.InForce, "cookie abc: nobody else runs beside it on a core"), Cores.Isolate(77));
        // Made for all threads of the process, and not made twice.
        Assert.Equal([(0, 0), (1, 1), (0, 0)], asked);
        Assert.Equal(MeasureState.InForce, Cores.Isolate(77).State);
        Assert.Single(asked, a => a.Command == 1);
        Cores.Release(77);
        Cores.Release(77);
        Assert.Equal((0UL, 1), (cookie, asked.Count(a => a.Command == 2)));
    }

    [Theory]
    [InlineData(22, MeasureState.Skipped, "This kernel has no core scheduling.")]
    [InlineData(19, MeasureState.Skipped, "The host's cores have one thread each.")]
    [InlineData(1, MeasureState.Failed, "Operation not permitted")]
    public void A_host_that_cannot_says_why(int errno, MeasureState state, string evidence)
    {
        error = errno;
        Assert.Equal(new Measure(Measures.CoreScheduling, state, evidence), Cores.Isolate(77));
    }

    /// <summary>Whatever this kernel is, it answers; a process that is not there has no cookie.</summary>
    [Fact]
    public void This_kernel_answers()
    {
        var measure = new CoreScheduling().Isolate(int.MaxValue);
        Assert.NotEqual(MeasureState.InForce, measure.State);
        new CoreScheduling().Release(int.MaxValue);
    }
}
