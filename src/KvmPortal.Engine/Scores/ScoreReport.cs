using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Scores;

/// <summary>Whether what bare metal has is there: yes, not yet, or not on this host.</summary>
public enum ScoreState { InForce, Missing, Impossible }

public enum ScoreArea { Cpu, Memory, Time, Devices }

/// <summary>What was published about the gain; a range, because it depends on the load.</summary>
/// <param name="Least">Percent.</param>
/// <param name="Most">Percent.</param>
/// <param name="Of">Of what, and who says so.</param>
public sealed record PublishedGain(double Least, double Most, Sentence Of);

/// <summary>What would get it. Just one of the members beside the text is set.</summary>
public sealed record ScoreChange(Sentence Text)
{
    /// <summary>Merge patch (RFC 7396) of the machine's definition; in force at its next boot.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public JsonObject? Patch { get; init; }
    /// <summary>What the portal can set on the host now: give it to `actions/prepare`.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public HostSetting? Setting { get; init; }
    /// <summary>What to add to the kernel's command line.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] public string? BootLine { get; init; }
}

/// <summary>One thing that can separate a machine from bare metal.</summary>
/// <param name="Id">Stable, kebab-case.</param>
/// <param name="Points">Its weight in the sum.</param>
/// <param name="Earned">0 to 1: how much of the points the machine has; in between for what is kept but not enforced.</param>
/// <param name="Text">What is so, or why not.</param>
/// <param name="Evidence">Files and what they say, or the argument of QEMU's command line.</param>
/// <param name="Gain">Null: nobody has published a figure that may be repeated.</param>
public sealed record ScoreRow(string Id, ScoreArea Area, Sentence Title, ScoreState State, int Points, double Earned, Sentence Text, IReadOnlyList<Evidence> Evidence, PublishedGain? Gain, ScoreChange? Change);

/// <summary>How near a machine is to bare metal.</summary>
/// <param name="Score">0 to 100: the earned part of all points. At most <see cref="BareMetalScore.MostEmulated"/> for an emulated machine, which no other row makes fast.</param>
/// <param name="Running">True: read from the running machine; false: as it would start now.</param>
public sealed record ScoreReport(int Score, Accelerator Accelerator, bool Running, IReadOnlyList<ScoreRow> Rows)
{
    public int InForce => Rows.Count(r => r.State == ScoreState.InForce);
    public int Missing => Rows.Count(r => r.State == ScoreState.Missing);
    public int Impossible => Rows.Count(r => r.State == ScoreState.Impossible);
}
