using System.Runtime.CompilerServices;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Metrics;

/// <summary>The nine rates of a VM in a fixed order; NaN where there is none.</summary>
[InlineArray(Count)]
internal struct VmRates
{
    public const int Count = 9;
    private float first;
}

/// <summary>One VM at one moment or over one step, small enough to keep an hour of seconds of a thousand VMs in memory.</summary>
internal struct VmReading
{
    /// <summary>No value.</summary>
    public const uint None = uint.MaxValue;
    /// <summary>A vCPU that is busy all the time, in <see cref="Vcpu"/>'s steps.</summary>
    public const byte FullVcpu = 250;
    public const byte NoVcpu = byte.MaxValue;
    private const int PageShift = 12;

    /// <summary>CPUs, disk read and write bytes, disk reads and writes, net receive and transmit bytes, net receive and transmit packets; per second.</summary>
    public VmRates Rates;
    /// <summary>Memory in pages of 4 KiB: the kernel counts so, and 16 TiB fit.</summary>
    public uint RssPages;
    public uint BalloonPages;

    /// <summary>Two readings of counters, <paramref name="seconds"/> apart; null seconds or no <paramref name="before"/> give memory only.</summary>
    public static VmReading Between(MachineSample? before, MachineSample after, double? seconds)
    {
        var made = new VmReading { RssPages = Pages(after.RssBytes), BalloonPages = Pages(after.BalloonBytes) };
        ((Span<float>)made.Rates).Fill(float.NaN);
        // A process whose CPU time shrank is another process: nothing of it can be compared.
        if (before is null || seconds is not { } s || after.CpuNanoseconds < before.CpuNanoseconds)
            return made;
        made.Rates[0] = Rate(before.CpuNanoseconds, after.CpuNanoseconds, s * 1e9);
        made.Rates[1] = Rate(before.DiskReadBytes, after.DiskReadBytes, s);
        made.Rates[2] = Rate(before.DiskWriteBytes, after.DiskWriteBytes, s);
        made.Rates[3] = Rate(before.DiskReadOperations, after.DiskReadOperations, s);
        made.Rates[4] = Rate(before.DiskWriteOperations, after.DiskWriteOperations, s);
        made.Rates[5] = Rate(before.NetReceiveBytes, after.NetReceiveBytes, s);
        made.Rates[6] = Rate(before.NetTransmitBytes, after.NetTransmitBytes, s);
        made.Rates[7] = Rate(before.NetReceivePackets, after.NetReceivePackets, s);
        made.Rates[8] = Rate(before.NetTransmitPackets, after.NetTransmitPackets, s);
        return made;
    }

    /// <summary>Use of one vCPU in steps of 0.4 %; <see cref="NoVcpu"/> when it was not there before or its counter was reset.</summary>
    public static byte Vcpu(MachineSample? before, MachineSample after, int index, double? seconds) =>
        before is not null && seconds is { } s && index < before.VcpuNanoseconds.Count && after.CpuNanoseconds >= before.CpuNanoseconds
            && Rate(before.VcpuNanoseconds[index], after.VcpuNanoseconds[index], s * 1e9) is var use && !float.IsNaN(use) ? (byte)Math.Round(Math.Min(1, use) * FullVcpu) : NoVcpu;

    /// <summary>
    /// Seconds between two readings that rates may be made of; null when the readings are too far apart (a mean over a long gap would hide it), when
    /// the clock stood or went back, or when it jumped: what it says differs from what passed.
    /// </summary>
    public static double? Seconds(DateTimeOffset before, DateTimeOffset after, TimeSpan passed)
    {
        var said = after - before;
        return said > TimeSpan.Zero && said <= TimeSpan.FromSeconds(10) && (said - passed).Duration() <= TimeSpan.FromSeconds(5) ? said.TotalSeconds : null;
    }

    public static VmReading Of(VmRollup row)
    {
        var made = new VmReading { RssPages = Pages(row.RssBytes), BalloonPages = Pages(row.BalloonBytes) };
        ReadOnlySpan<double?> rates =
        [
            row.Cpu, row.DiskReadBytesPerSecond, row.DiskWriteBytesPerSecond, row.DiskReadsPerSecond, row.DiskWritesPerSecond,
            row.NetReceiveBytesPerSecond, row.NetTransmitBytesPerSecond, row.NetReceivePacketsPerSecond, row.NetTransmitPacketsPerSecond,
        ];
        for (var i = 0; i < VmRates.Count; i++)
            made.Rates[i] = (float)(rates[i] ?? double.NaN);
        return made;
    }

    public readonly VmPoint ToPoint(DateTimeOffset at, IReadOnlyList<double>? vcpus = null) => new()
    {
        At = at,
        Cpu = Rate(0),
        Vcpus = vcpus,
        RssBytes = Bytes(RssPages),
        BalloonBytes = Bytes(BalloonPages),
        DiskReadBytesPerSecond = Rate(1),
        DiskWriteBytesPerSecond = Rate(2),
        DiskReadsPerSecond = Rate(3),
        DiskWritesPerSecond = Rate(4),
        NetReceiveBytesPerSecond = Rate(5),
        NetTransmitBytesPerSecond = Rate(6),
        NetReceivePacketsPerSecond = Rate(7),
        NetTransmitPacketsPerSecond = Rate(8),
    };

    /// <summary>A rate by its place; null for NaN. Rounded: a float's noise is not worth sending.</summary>
    public readonly double? Rate(int index) => float.IsNaN(Rates[index]) ? null : Math.Round(Rates[index], 4);

    public static long? Bytes(uint pages) => pages == None ? null : (long)pages << PageShift;

    private static uint Pages(long? bytes) => bytes is { } b ? (uint)Math.Clamp(b >> PageShift, 0, None - 1) : None;

    private static float Rate(long? before, long? after, double per) => after - before is { } change and >= 0 ? (float)(change / per) : float.NaN;
}

/// <summary>Mean of the rates and maximum of the memory of several readings; what a reading lacks does not count.</summary>
internal struct VmMean
{
    private InlineSums sums;
    private InlineCounts counts;
    private uint rss;
    private uint balloon;

    [InlineArray(VmRates.Count)]
    private struct InlineSums
    {
        private double first;
    }

    [InlineArray(VmRates.Count)]
    private struct InlineCounts
    {
        private int first;
    }

    /// <summary>Readings taken in.</summary>
    public int Count { get; private set; }

    public void Add(in VmReading reading)
    {
        for (var i = 0; i < VmRates.Count; i++)
            if (!float.IsNaN(reading.Rates[i]))
            {
                sums[i] += reading.Rates[i];
                counts[i]++;
            }

        // One more than the pages, so that a fresh zero means none.
        rss = Math.Max(rss, unchecked(reading.RssPages + 1));
        balloon = Math.Max(balloon, unchecked(reading.BalloonPages + 1));
        Count++;
    }

    public readonly VmReading ToReading()
    {
        var made = new VmReading { RssPages = unchecked(rss - 1), BalloonPages = unchecked(balloon - 1) };
        for (var i = 0; i < VmRates.Count; i++)
            made.Rates[i] = counts[i] == 0 ? float.NaN : (float)(sums[i] / counts[i]);
        return made;
    }
}
