namespace KvmPortal.Engine.Plans.Placement;

/// <summary>Finds for a refusal what would help, and proves it: every request that is offered was planned.</summary>
internal sealed class Remedies(Standing standing, PlacementRequest request, Finding problem)
{
    private const int Most = 6;

    private readonly Sizes sizes = new(standing);
    private readonly List<PlacementRemedy> found = [];

    public PlacementRefusal Refuse()
    {
        foreach (var (advice, changed) in new RemedyIdeas(standing, request, problem).All())
        {
            if (found.Count == Most)
                break;
            if (changed is null)
                found.Add(new PlacementRemedy(advice));
            else if (sizes.Fits(changed))
                found.Add(new PlacementRemedy(advice, changed));
            else if (changed.Vcpus == request.Vcpus && changed.MemoryMiB == request.MemoryMiB && sizes.Largest(changed) is { } smaller)
                found.Add(new PlacementRemedy(Say.FixAndSmaller(advice, smaller.Vcpus, smaller.MemoryMiB), smaller));
        }

        if (found.All(r => r.Request is null))
            LastResort();
        if (found.Count == 0)
            found.Add(new PlacementRemedy(Say.FixOtherHost));
        return new PlacementRefusal(problem.Code, problem.Message, problem.Evidence, found, found.FirstOrDefault(r => r.Request is not null)?.Request);
    }

    private void LastResort()
    {
        var bare = request with { Devices = [], OnNodes = [], VirtualNodes = null };
        foreach (var wish in (PlacementRequest[])[request, bare, bare with { Profile = Profiles.General, Knobs = new ProfileOverrides() }])
            if (sizes.Largest(wish) is { } smaller)
            {
                found.Add(new PlacementRemedy(Say.FixSmaller(smaller.Profile.Name, smaller.Vcpus, smaller.MemoryMiB, smaller.Devices.Sum(d => d.Count)), smaller));
                return;
            }
    }
}

/// <summary>Looks for the largest request of a shape that fits.</summary>
internal sealed class Sizes(Standing standing)
{
    public bool Fits(PlacementRequest request) => Attempt.Fits(standing, request);

    /// <summary>As many vCPUs as fit with as little memory as makes sense, then as much memory as fits with these; null when nothing fits.</summary>
    public PlacementRequest? Largest(PlacementRequest wish)
    {
        var (parts, step) = (Math.Max(wish.VirtualNodes ?? 1, Math.Max(1, wish.OnNodes.Count)), StepOf(wish));
        var least = wish with { Vcpus = Math.Min(wish.Vcpus, parts), MemoryMiB = Math.Min(Math.Max(step, wish.MemoryMiB / step * step), parts * Math.Max(step, 1024)) };
        if (!Fits(least))
            least = least with { MemoryMiB = parts * step };
        if (MostVcpus(least, wish.Vcpus) is not { } wide)
            return null;
        return MostMemory(wide, wish.MemoryMiB) ?? wide;
    }

    /// <summary>With no more vCPUs than that.</summary>
    public PlacementRequest? MostVcpus(PlacementRequest wish, int most)
    {
        var best = Search(wish.VirtualNodes ?? 1, most, n => wish with { Vcpus = (int)n });
        return best;
    }

    /// <summary>With no more memory than that, in steps that its pages allow.</summary>
    public PlacementRequest? MostMemory(PlacementRequest wish, long most)
    {
        var step = StepOf(wish);
        return Search(1, most / step, n => wish with { MemoryMiB = n * step });
    }

    private static long StepOf(PlacementRequest wish) => wish.Knobs.On(wish.Profile).Pages[0] switch
    {
        PageKind.Huge1G => 1024,
        PageKind.Huge2M => 2,
        _ => wish.MemoryMiB >= 64 ? 64 : 1,
    };

    private PlacementRequest? Search(long low, long high, Func<long, PlacementRequest> make)
    {
        if (high < low)
            return null;
        if (make(high) is var all && Fits(all))
            return all;
        if (make(low) is var best && !Fits(best))
            return null;
        while (high - low > 1)
        {
            var middle = low + ((high - low) / 2);
            if (make(middle) is var tried && Fits(tried))
                (low, best) = (middle, tried);
            else
                high = middle;
        }

        return best;
    }
}
