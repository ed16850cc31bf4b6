using KvmPortal.Engine.Data;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Benchmarks;

/// <summary>What is compared. The promise is about <see cref="Overall"/>: the geometric mean of the three that no device is part of.</summary>
public enum LossMetric { Overall, Compute, Chase, Stream, Disk }

/// <summary>Whether the loss is within the promise: its whole interval is, none of it is, or more rounds would have to tell.</summary>
public enum LossVerdict { Kept, Broken, Unclear }

/// <summary>Percent that the guest is slower; negative: faster. With the 95 % confidence interval of the mean.</summary>
public sealed record LossFigure(LossMetric Metric, double Percent, double Least, double Most);

/// <summary>Microseconds that a sleep of 500 µs is longer in the guest than on the host, with the 95 % confidence interval of the mean.</summary>
/// <param name="WorstHost">Longest overshoot on the host.</param>
/// <param name="WorstGuest">Longest overshoot in the guest.</param>
public sealed record TimerFigure(double Microseconds, double Least, double Most, double WorstHost, double WorstGuest);

/// <summary>One benchmark of one machine.</summary>
/// <param name="DiskProblem">Why no disk was measured; null where it was.</param>
public sealed record LossReport(JobId Job, DateTimeOffset At, string CreatedBy, Accelerator Accelerator, string Kernel, CpuSet HostCpus, int Pairs, IReadOnlyList<LossFigure> Figures, TimerFigure Timer,
    LossVerdict Verdict, double PromisePercent, string? DiskProblem)
{
    /// <summary>So much may be lost at most.</summary>
    public const double Promise = 5;

    internal static LossReport Of(BenchmarkRow row)
    {
        var (loss, pairs) = (row.Measurement, row.Measurement.Pairs);
        var figures = new List<LossFigure>
        {
            Figure(LossMetric.Overall, [.. pairs.Select(p => (Log(p, r => r.Compute) + Log(p, r => r.Chase) + Log(p, r => r.Stream)) / 3)]),
            Figure(LossMetric.Compute, [.. pairs.Select(p => Log(p, r => r.Compute))]),
            Figure(LossMetric.Chase, [.. pairs.Select(p => Log(p, r => r.Chase))]),
            Figure(LossMetric.Stream, [.. pairs.Select(p => Log(p, r => r.Stream))]),
        };
        if (loss.DiskProblem is null && pairs.All(p => p.Host.Disk is > 0 && p.Guest.Disk is > 0))
            figures.Add(Figure(LossMetric.Disk, [.. pairs.Select(p => Log(p, r => r.Disk!.Value))]));
        var (mean, half) = Interval([.. pairs.Select(p => (p.Guest.Timer - p.Host.Timer) / 1000.0)]);
        var timer = new TimerFigure(mean, mean - half, mean + half, pairs.Max(p => p.Host.WorstTimer) / 1000.0, pairs.Max(p => p.Guest.WorstTimer) / 1000.0);
        var overall = figures[0];
        var verdict = overall.Most <= Promise ? LossVerdict.Kept : overall.Least > Promise ? LossVerdict.Broken : LossVerdict.Unclear;
        return new LossReport(row.JobId, row.At, row.CreatedBy, loss.Accelerator, loss.Kernel, loss.HostCpus, pairs.Count, figures, timer, verdict, Promise, loss.DiskProblem);
    }

    private static double Log(LossPair pair, Func<LossRound, long> of) => Math.Log((double)of(pair.Guest) / of(pair.Host));

    /// <summary>Of the logarithms of how many times longer the guest took: ratios spread evenly in them.</summary>
    private static LossFigure Figure(LossMetric metric, IReadOnlyList<double> logs)
    {
        var (mean, half) = Interval(logs);
        return new LossFigure(metric, Percent(mean), Percent(mean - half), Percent(mean + half));
    }

    /// <summary>From a guest that takes e^x times as long: so much of its speed is lost.</summary>
    private static double Percent(double log) => 100 * (1 - Math.Exp(-log));

    /// <summary>Mean and half of its 95 % confidence interval (Student's t).</summary>
    internal static (double Mean, double Half) Interval(IReadOnlyList<double> values)
    {
        var mean = values.Average();
        if (values.Count < 2)
            return (mean, 0);
        var variance = values.Sum(v => (v - mean) * (v - mean)) / (values.Count - 1);
        return (mean, Student[Math.Min(values.Count - 1, Student.Length) - 1] * Math.Sqrt(variance / values.Count));
    }

    /// <summary>97.5 % quantiles of Student's t by degrees of freedom, from 1 on; the last stands for more.</summary>
    private static readonly double[] Student =
    [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
    ];
}
