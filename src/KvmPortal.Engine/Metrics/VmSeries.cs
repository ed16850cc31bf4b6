using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Metrics;

/// <summary>
/// The last hour of one VM, by tick (the number of the reading; all VMs share one table of times). Kept in chunks of a minute that are made when
/// needed and then used again, so a VM that ran for a minute costs a sixtieth. Not safe for several threads: <see cref="RecentMetrics"/> locks.
/// </summary>
internal sealed class VmSeries
{
    public const int ChunkTicks = 60;
    public const int Chunks = 61;
    private readonly Chunk?[] chunks = new Chunk?[Chunks];

    private sealed class Chunk(int width)
    {
        public long Number = -1;
        public readonly VmReading[] Readings = new VmReading[ChunkTicks];
        /// <summary>One bit per tick.</summary>
        public ulong Present;
        public int Width = width;
        public byte[] Vcpus = new byte[ChunkTicks * width];
    }

    public MachineSample? Last { get; private set; }
    public long LastTick { get; private set; } = -1;

    public void Add(long tick, MachineSample sample, double? seconds)
    {
        // A machine that was away for a reading starts anew.
        var before = LastTick == tick - 1 ? Last : null;
        var chunk = ChunkFor(tick / ChunkTicks, sample.VcpuNanoseconds.Count);
        var at = (int)(tick % ChunkTicks);
        chunk.Present |= 1UL << at;
        chunk.Readings[at] = VmReading.Between(before, sample, seconds);
        for (var i = 0; i < chunk.Width; i++)
            chunk.Vcpus[(at * chunk.Width) + i] = i < sample.VcpuNanoseconds.Count ? VmReading.Vcpu(before, sample, i, seconds) : VmReading.NoVcpu;
        (Last, LastTick) = (sample, tick);
    }

    public bool TryGet(long tick, out VmReading reading)
    {
        var chunk = chunks[tick / ChunkTicks % Chunks];
        if (chunk is null || chunk.Number != tick / ChunkTicks || (chunk.Present & (1UL << (int)(tick % ChunkTicks))) == 0)
        {
            reading = default;
            return false;
        }

        reading = chunk.Readings[tick % ChunkTicks];
        return true;
    }

    /// <summary>Per-vCPU use at a tick that <see cref="TryGet"/> found; null where nothing is known.</summary>
    public double[]? Vcpus(long tick)
    {
        var chunk = chunks[tick / ChunkTicks % Chunks]!;
        var values = chunk.Vcpus.AsSpan((int)(tick % ChunkTicks) * chunk.Width, chunk.Width);
        var count = values.IndexOf(VmReading.NoVcpu) is var end and >= 0 ? end : values.Length;
        if (count == 0)
            return null;
        var made = new double[count];
        for (var i = 0; i < count; i++)
            made[i] = (double)values[i] / VmReading.FullVcpu;
        return made;
    }

    private Chunk ChunkFor(long number, int width)
    {
        ref var place = ref chunks[number % Chunks];
        var chunk = place;
        if (chunk is not null && chunk.Number == number && chunk.Width >= width)
            return chunk;
        if (chunk is not null && chunk.Number == number)
        {
            Widen(chunk, width);
            return chunk;
        }

        if (chunk is null || chunk.Width != width)
            place = chunk = new Chunk(width);
        (chunk.Number, chunk.Present) = (number, 0);
        return chunk;
    }

    /// <summary>A vCPU was plugged within the minute.</summary>
    private static void Widen(Chunk chunk, int width)
    {
        var wider = new byte[ChunkTicks * width];
        Array.Fill(wider, VmReading.NoVcpu);
        for (var i = 0; i < ChunkTicks; i++)
            chunk.Vcpus.AsSpan(i * chunk.Width, chunk.Width).CopyTo(wider.AsSpan(i * width));
        (chunk.Vcpus, chunk.Width) = (wider, width);
    }
}
