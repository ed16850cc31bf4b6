using System.Globalization;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Plans.Placement;

/// <summary>What must stay in the shared pool for ordinary machines when cores are dedicated.</summary>
internal static class Floor
{
    public static Finding? Check(Standing standing, CpuSet taken)
    {
        var (online, policy) = (standing.Topology.Online.Count, standing.Policy);
        var most = online * policy.DedicatedMaxPercent / 100;
        var dedicated = (standing.Dedicated | taken).Count;
        if (dedicated > most)
            return new Finding(PlacementCode.SharedPoolFloor, Say.RefuseDedicatedMost(dedicated, most, online), dedicated - most) { Stage = Stage.SharedPool }
                .With(("dedicated", dedicated), ("most", most), ("cpus", online));
        if (standing.SharedVcpus == 0)
            return null;
        var left = (standing.Shared - taken).Count;
        if (left >= standing.WidestShared && standing.SharedVcpus <= left * policy.CpuRatio || !standing.Shared.Overlaps(taken))
            return null;
        var floor = Math.Max(standing.WidestShared, (int)Math.Ceiling(standing.SharedVcpus / policy.CpuRatio));
        var ratio = policy.CpuRatio.ToString("0.##", CultureInfo.InvariantCulture);
        return new Finding(PlacementCode.SharedPoolFloor, Say.RefuseFloor(left, floor, standing.SharedVcpus, ratio), floor - left) { Stage = Stage.SharedPool }
            .With(("left", left), ("floor", floor), ("sharedVcpus", standing.SharedVcpus), ("widest", standing.WidestShared), ("ratio", ratio));
    }
}
