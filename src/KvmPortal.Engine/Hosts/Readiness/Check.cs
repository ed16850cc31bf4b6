using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts.Readiness;

/// <summary>One line of the catalogue: what is looked at, for whom, and how the finding comes about. Pure.</summary>
internal sealed record Check(string Id, Sentence Title, Sentence Meaning, Func<ReadinessInput, Finding> Look)
{
    public IReadOnlyList<Audience> MattersFor { get; init; } = [];
    public IReadOnlyList<Purpose> RequiredFor { get; init; } = [];
    public IReadOnlyList<Purpose> HelpsFor { get; init; } = [];

    public static Finding Ready(Sentence text, params IReadOnlyList<Evidence> evidence) => new(Verdict.Ready, text, evidence, []);

    public static Finding Unknown(Sentence text, params IReadOnlyList<Evidence> evidence) => new(Verdict.Unknown, text, evidence, []);

    public static Finding But(Sentence text, IReadOnlyList<Fix> fixes, params IReadOnlyList<Evidence> evidence) => new(Verdict.WorksBut, text, evidence, fixes);

    public static Finding Missing(Sentence text, IReadOnlyList<Fix> fixes, params IReadOnlyList<Evidence> evidence) => new(Verdict.Missing, text, evidence, fixes);

    /// <summary>A file and what was in it.</summary>
    public static Evidence File(string path, object? content) => new(path, content switch
    {
        null => "(absent)",
        bool set => set ? "Y" : "N",
        IFormattable number => number.ToString(null, System.Globalization.CultureInfo.InvariantCulture),
        _ => content.ToString() is { Length: > 0 } text ? text : "(empty)",
    });

    public static Fix Now(Sentence text, HostSetting setting) => new(FixKind.Now, text) { Setting = setting };

    public static Fix Boot(Sentence text, string line) => new(FixKind.BootParameter, text) { BootLine = line };

    public static Fix Firmware(Sentence text) => new(FixKind.Firmware, text);

    public static Fix Command(Sentence text) => new(FixKind.Command, text);

    public static Fix Purchase(Sentence text) => new(FixKind.Purchase, text);

    /// <summary>"4b:00.0 mlx5_core (ConnectX-6)": a few of many.</summary>
    public static string Some(IEnumerable<string> names, int most = 6)
    {
        var all = names.ToList();
        return all.Count <= most ? string.Join(", ", all) : $"{string.Join(", ", all.Take(most))} … ({all.Count})";
    }

    /// <summary>The longest that a value of evidence or of a sentence becomes.</summary>
    public static string Short(string? text, int most = 200) => text is null ? "" : text.Length <= most ? text : text[..most] + "…";
}
