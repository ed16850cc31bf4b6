using System.Globalization;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Plans;
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

    /// <summary>The engine's sentence in English; elsewhere the step's translated name, with the sentence for its details.</summary>
    public static string Step(IStringLocalizer text, PlanStep step)
    {
        if (CultureInfo.CurrentUICulture.TwoLetterISOLanguageName == "en")
            return step.Summary;
        var known = text["step." + step.Kind, step.Summary];
        return known.ResourceNotFound ? step.Summary : known;
    }

    public static string Topic(IStringLocalizer text, string topic)
    {
        var known = text["topic." + topic];
        return known.ResourceNotFound ? topic : known;
    }

    /// <summary>An event's line: translated by its type; a type that is not known keeps the engine's sentence.</summary>
    public static string Event(IStringLocalizer text, string type, string? target, string sentence)
    {
        if (CultureInfo.CurrentUICulture.TwoLetterISOLanguageName == "en")
            return sentence;
        var known = text["event." + type, target ?? "", sentence];
        return known.ResourceNotFound ? sentence : known;
    }
}
