using System.Globalization;
using System.Runtime.InteropServices;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Launch;

/// <summary>
/// Core scheduling (Documentation/admin-guide/hw-vuln/core-scheduling.rst): a machine with a cookie of its own never runs on one thread of a core while anybody else runs on the other,
/// so that what one can learn of the other through the core's caches is gone when it comes to run. QEMU's threads share the cookie, also those that it makes later.
/// </summary>
internal sealed partial class CoreScheduling(CoreScheduling.Call? call = null)
{
    private const int Option = 62;
    private const int GetCookie = 0, Create = 1, ShareTo = 2;
    private const int OneThread = 0, AllThreads = 1;
    private const int NoDevice = 19, Invalid = 22;
    private readonly Call call = call ?? Ask;

    /// <summary>prctl(2) with PR_SCHED_CORE.</summary>
    /// <returns>0 or an errno.</returns>
    public delegate int Call(int command, int pid, int scope, out ulong cookie);

    /// <summary>Gives the process a cookie, unless it has one, and reads it back.</summary>
    public Measure Isolate(int pid)
    {
        var error = call(GetCookie, pid, OneThread, out var cookie);
        if (error == 0 && cookie == 0)
        {
            error = call(Create, pid, AllThreads, out _);
            if (error == 0)
                error = call(GetCookie, pid, OneThread, out cookie);
        }

        return error switch
        {
            0 when cookie != 0 => new Measure(Measures.CoreScheduling, MeasureState.InForce, string.Create(CultureInfo.InvariantCulture, $"cookie {cookie:x}: nobody else runs beside it on a core")),
            0 => new Measure(Measures.CoreScheduling, MeasureState.Failed, "The kernel gave it no cookie."),
            Invalid => new Measure(Measures.CoreScheduling, MeasureState.Skipped, "This kernel has no core scheduling."),
            NoDevice => new Measure(Measures.CoreScheduling, MeasureState.Skipped, "The host's cores have one thread each."),
            _ => new Measure(Measures.CoreScheduling, MeasureState.Failed, Marshal.GetPInvokeErrorMessage(error)),
        };
    }

    /// <summary>Takes the cookie away: the portal's own, which is none, is shared with the process.</summary>
    public void Release(int pid)
    {
        if (call(GetCookie, pid, OneThread, out var cookie) == 0 && cookie != 0)
            call(ShareTo, pid, AllThreads, out _);
    }

    private static int Ask(int command, int pid, int scope, out ulong cookie)
    {
        cookie = 0;
        var done = command == GetCookie ? Control(Option, (nuint)command, (nuint)pid, (nuint)scope, ref cookie) : Control(Option, (nuint)command, (nuint)pid, (nuint)scope, 0);
        return done == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    private static partial int Control(int option, nuint command, nuint pid, nuint scope, ref ulong cookie);

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    private static partial int Control(int option, nuint command, nuint pid, nuint scope, nuint none);
}
