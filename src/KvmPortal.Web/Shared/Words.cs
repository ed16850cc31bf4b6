using System.Globalization;
using System.Text.Json;
using KvmPortal.Engine;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
using KvmPortal.Web.Resources;
using Microsoft.Extensions.Localization;

namespace KvmPortal.Web.Shared;

/// <summary>Words for the closed lists that the engine names in English or in kebab-case: job kinds, steps, topics, events.</summary>
public static class Words
{
    /// <summary>"Start web-1".</summary>
    public static string Job(IStringLocalizer text, JobView job) => Job(text, job.Kind, job.Target.Name);

    /// <summary>The same from kind and target name; an unknown kind is shown as it is.</summary>
    public static string Job(IStringLocalizer text, string kind, string target)
    {
        var known = text["job.kind." + kind, target];
        return known.ResourceNotFound ? $"{kind} {target}" : known;
    }

    /// <summary>An engine's sentence in the reader's language; words of others (QEMU, the kernel, users) as they are.</summary>
    public static string? Say(Sentence? sentence) => sentence is null ? null : SentenceText.In(sentence, CultureInfo.CurrentUICulture);

    /// <summary>What a step does: its sentence; one that nobody translated is replaced by the step's translated name.</summary>
    public static string Step(IStringLocalizer text, PlanStep step)
    {
        if (CultureInfo.CurrentUICulture.TwoLetterISOLanguageName == "en" || step.Summary.Code is not null)
            return Say(step.Summary)!;
        var known = text["step." + step.Kind, step.Summary];
        return known.ResourceNotFound ? step.Summary.Text : known;
    }

    /// <summary>What went wrong, in the engine's words: the detail where there is one, because the title only names the kind of failure.</summary>
    public static string Cause(ProblemInfo problem) => Say(problem.Detail is { Length: > 0 } detail ? detail : problem.Title)!;

    public static string Topic(IStringLocalizer text, string topic)
    {
        var known = text["topic." + topic];
        return known.ResourceNotFound ? topic : known;
    }

    /// <summary>An event's line, to stand beside its machine's name. A state is said by our own word; a type that is not known keeps the engine's sentence.</summary>
    public static string Event(IStringLocalizer text, PortalEvent e)
    {
        if (e.Type == "vm.state" && Member(e, "state") is { } state)
            return Member(e, "reason") is { Length: > 0 } reason ? text["event.vm.state-why", text["vm.state." + state].Value, Say(HostSentences.Read(reason))!] : text["vm.state." + state];
        if (e.Type == "vm.notice")
            return Say(HostSentences.Read(e.Text))!;
        if (CultureInfo.CurrentUICulture.TwoLetterISOLanguageName == "en")
            return e.Text;
        var known = text["event." + e.Type, e.Target?.Name ?? "", e.Actor];
        return known.ResourceNotFound ? e.Text : known;
    }

    /// <summary>How long, in at most two units: "45 s", "12 min", "3 h 5 min", "4 d 2 h".</summary>
    public static string Duration(IStringLocalizer text, TimeSpan span) => span switch
    {
        { TotalSeconds: < 60 } => text["duration.s", Math.Max(0, (int)span.TotalSeconds)],
        { TotalMinutes: < 60 } => text["duration.min", (int)span.TotalMinutes],
        { TotalHours: < 24, Minutes: 0 } => text["duration.h", (int)span.TotalHours],
        { TotalHours: < 24 } => text["duration.h-min", (int)span.TotalHours, span.Minutes],
        { Hours: 0 } => text["duration.d", (int)span.TotalDays],
        _ => text["duration.d-h", (int)span.TotalDays, span.Hours],
    };

    private static string? Member(PortalEvent e, string name) =>
        e.Data is { ValueKind: JsonValueKind.Object } data && data.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
