namespace KvmPortal.Host.Launch;

/// <summary>Short-lived programs that a portal which was killed has left: nobody waits for them any more.</summary>
internal static class Leftovers
{
    /// <summary>Ends every process one of whose arguments is ours alone.</summary>
    public static async Task EndAsync(Func<string, bool> ours)
    {
        foreach (var process in QemuProcess.WithArgument(ours))
        {
            process.Signal(PosixSignalNumber.Kill);
            await process.WaitForEndAsync(TimeSpan.FromSeconds(5), CancellationToken.None);
        }
    }
}
