namespace KvmPortal.Engine.Plans.Placement;

/// <summary>One look for a place: what stands against it, or a plan to be made.</summary>
internal sealed class Attempt
{
    private readonly Func<PlacementPlan>? make;

    private Attempt(Finding? problem, Func<PlacementPlan>? make) => (Problem, this.make) = (problem, make);

    public Finding? Problem { get; }

    /// <summary>Only where there is no problem.</summary>
    public PlacementPlan Plan() => make!();

    /// <summary>Whether there is a place, without looking for the best one or for words.</summary>
    public static bool Fits(Standing standing, PlacementRequest request)
    {
        var profile = request.Knobs.On(request.Profile);
        if (profile.Pool == CpuPool.Shared)
            return Make(standing, request).Problem is null;
        return Requirements.Check(standing, request, profile) is null && DeviceMatch.Of(standing, request).Match is { } devices && new DedicatedSearch(standing, request, profile, devices).Any();
    }

    public static Attempt Make(Standing standing, PlacementRequest request)
    {
        var profile = request.Knobs.On(request.Profile);
        if (Requirements.Check(standing, request, profile) is { } missing)
            return new Attempt(missing, null);
        var (devices, trouble) = DeviceMatch.Of(standing, request);
        if (devices is null)
            return new Attempt(trouble, null);
        if (profile.Pool == CpuPool.Shared)
        {
            var (plan, problem) = new SharedPlacer(standing, request, profile, devices).Place();
            return new Attempt(problem, plan is null ? null : () => plan);
        }

        var found = new DedicatedSearch(standing, request, profile, devices).Run();
        return found.Problem is { } why ? new Attempt(why, null) : new Attempt(null, new DedicatedPlacer(standing, request, profile, found).Plan);
    }
}
