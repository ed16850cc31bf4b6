using System.Globalization;

namespace KvmPortal.Host.Tests.Linux;

/// <summary>Pages of 2 MiB on node 0 for one test, and exactly given back. The pool is the whole machine's: tests of several processes take turns.</summary>
internal sealed class HugePageLoan : IDisposable
{
    public const string Pool = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages";
    private readonly FileStream turn;
    private readonly long before;

    private HugePageLoan(FileStream turn, long before) => (this.turn, this.before) = (turn, before);

    public static long Pages => Read(Pool);

    public static long Free => Read(Pool.Replace("/nr_", "/free_", StringComparison.Ordinal));

    /// <param name="pages">0 takes just the turn.</param>
    public static async Task<HugePageLoan> TakeAsync(int pages, CancellationToken ct)
    {
        var turn = await TurnAsync(ct);
        var before = Pages;
        var loan = new HugePageLoan(turn, before);
        if (pages == 0)
            return loan;
        await File.WriteAllTextAsync(Pool, string.Create(CultureInfo.InvariantCulture, $"{before + pages}\n"), ct);
        if (Pages == before + pages)
            return loan;
        var got = Pages - before;
        loan.Dispose();
        throw new InvalidOperationException($"Only {got} of {pages} huge pages could be had.");
    }

    public void Dispose()
    {
        if (Pages != before)
            File.WriteAllText(Pool, string.Create(CultureInfo.InvariantCulture, $"{before}\n"));
        turn.Dispose();
    }

    private static async Task<FileStream> TurnAsync(CancellationToken ct)
    {
        while (true)
        {
            try
            {
                return new FileStream(Path.Combine(Path.GetTempPath(), "kvmportal-huge-pages.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException)
            {
                await Task.Delay(50, ct);
            }
        }
    }

    private static long Read(string file) => long.Parse(File.ReadAllText(file), CultureInfo.InvariantCulture);
}
