using System.Globalization;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Plans;
using KvmPortal.Host.Contract;

namespace KvmPortal.Engine.Hosts.Preparations;

/// <param name="Look">What it comes to on the host now.</param>
internal sealed record WantedSetting(PreparationId Id, HostSetting Setting, SettingLook Look);

/// <param name="Present">Preparations that are in force, none of the wanted.</param>
/// <param name="Again">They are recorded already, and a boot of the host has undone them.</param>
internal sealed record PreparationInputs(Guid HostId, string BootId, HostInventory Host, IReadOnlyList<HostPreparation> Present, IReadOnlyList<WantedSetting> Wanted, bool Persistent, bool Again);

/// <summary>Plans how a host is set up, and how that is undone. Pure.</summary>
internal static class PreparationPlanner
{
    /// <summary>Writes that a plan shows of one step.</summary>
    private const int MostWrites = 512;
    /// <summary>Memory that the host keeps for itself and ordinary programs before a pool is warned of, MiB.</summary>
    private const long HostMiB = 2048;

    public static Plan Prepare(PreparationInputs inputs)
    {
        Refuse(inputs);
        var steps = new List<PlanStep>();
        foreach (var (id, setting, look) in inputs.Wanted)
        {
            if (!inputs.Again)
                steps.Add(PlanStep.Portal(new RecordPreparation(id, inputs.HostId, setting, inputs.Persistent, inputs.BootId), Say.RecordPreparation(PreparationSentences.Of(setting))));
            steps.Add(PlanStep.Host(new ApplyHostSetting { PreparationId = id.Value, Setting = setting }, PreparationSentences.Of(setting), look.Writes.Count == 0 ? Say.PreparedAlready : PreparationSentences.Why(setting)) with
            {
                Writes = [.. look.Writes.Take(MostWrites)],
            });
        }

        return new Plan { Steps = steps, Warnings = [.. Warnings(inputs)], Reasons = [inputs.Persistent ? new PlanReason("persistence", "persistent", Say.PreparedAfterBoots) : new PlanReason("persistence", "this boot", Say.PreparedThisBoot)] };
    }

    public static Plan Restore(HostPreparation preparation, SettingLook look)
    {
        if (preparation.State == PreparationState.Restored)
            return Plan.Nothing;
        var back = look.Made.Where(v => v.Now is not null && v.Now != v.Before && v.Before is not null).Reverse().Take(MostWrites);
        return new Plan
        {
            Steps =
            [
                PlanStep.Host(new RestoreHostSetting { PreparationId = preparation.Id.Value, Setting = preparation.Setting }, Say.UndoPreparation(PreparationSentences.Of(preparation.Setting)), Say.UndoPreparationWhy) with
                {
                    Writes = [.. back.Select(v => new HostWrite(v.Path, v.Now, v.Before!))],
                },
            ],
            Warnings = look.InForce ? [] : [Say.OnlyOursGoesBack],
        };
    }

    /// <summary>Everything that is wrong, at once: with the request, with the host, with what is in force already.</summary>
    private static void Refuse(PreparationInputs inputs)
    {
        var (wrong, conflicts) = (new List<Problem>(), new List<Problem>());
        foreach (var (i, (_, setting, look)) in inputs.Wanted.Index())
        {
            var at = $"/settings/{i.ToString(CultureInfo.InvariantCulture)}";
            var own = SettingRules.Check(setting, at).Concat(OnThisHost(setting, inputs.Host, at)).ToList();
            if (inputs.Wanted.Take(i).Any(w => SettingRules.Exclude(w.Setting, setting)))
                own.Add(new Problem(at, "twice", Say.PreparedTwice));
            wrong.AddRange(own);
            if (inputs.Present.FirstOrDefault(p => SettingRules.Exclude(p.Setting, setting)) is { } other)
                conflicts.Add(new Problem(at, "in-force", Say.AnotherInForce(PreparationSentences.Of(other.Setting))));
            else if (own.Count == 0 && look.Refusal is { } refusal)
                conflicts.Add(new Problem(at, "not-offered", HostSentences.Read(refusal)));
        }

        if (wrong.Count > 0)
            throw PortalException.Invalid([.. wrong, .. conflicts]);
        if (conflicts.Count > 0)
            throw new PortalException(ErrorCode.Conflict, conflicts.Count == 1 ? conflicts[0].Message : Say.ThingsWrong(conflicts.Count))
            {
                Problems = conflicts,
                Hint = conflicts.Exists(c => c.Code == "in-force") ? Say.UndoFirst : null,
            };
    }

    private static IEnumerable<Problem> OnThisHost(HostSetting setting, HostInventory host, string at)
    {
        var (cpus, member) = SettingRules.CpusOf(setting);
        if (cpus - host.Cpu.Online is { IsEmpty: false } missing)
            yield return new Problem($"{at}/{member}", "unknown-cpu", Say.NoSuchCpus(missing.ToString(), host.Cpu.Online.ToString()));
        if (setting is not HugePagesSetting pages)
            yield break;
        var node = host.NumaNodes.FirstOrDefault(n => n.Id == pages.Node);
        if (pages.Node is { } id && node is null)
        {
            yield return new Problem($"{at}/node", "unknown-node", Say.NoSuchNode(id, string.Join(", ", host.NumaNodes.Select(n => n.Id))));
            yield break;
        }

        if ((pages.Node is null ? host.Memory.TotalMiB : node?.MemoryMiB) is > 0 and var memory && pages.SizeKiB > 0 && pages.Count > memory * 1024 / pages.SizeKiB)
            yield return new Problem($"{at}/count", "out-of-range", Say.MorePagesThanMemory(memory)).WithFit(Math.Max(0, memory / 2 * 1024 / pages.SizeKiB));
    }

    private static IEnumerable<Sentence> Warnings(PreparationInputs inputs)
    {
        var host = inputs.Host;
        foreach (var (_, setting, look) in inputs.Wanted)
            switch (setting)
            {
                case HugePagesSetting pages when look.Writes is [{ Now: var now }] && (pages.Count - (long.TryParse(now, out var have) ? have : 0)) * pages.SizeKiB / 1024 is var more and > 0
                        && (pages.Node is { } id ? host.NumaNodes.FirstOrDefault(n => n.Id == id)?.FreeMiB : host.NumaNodes.Sum(n => n.FreeMiB ?? 0)) is { } free && free - more < HostMiB:
                    yield return Say.PagesLeaveLittle(more, free);
                    break;
                case IrqAffinitySetting irqs when host.Kernel.Irqbalance == true && !inputs.Wanted.Any(w => w.Setting is IrqbalanceBanSetting) && !inputs.Present.Any(p => p.Setting is IrqbalanceBanSetting):
                    yield return Say.IrqbalanceMovesBack(irqs.AwayFrom.ToString());
                    break;
                case ModuleParameterSetting { Module: "kvm", Name: "nx_huge_pages", Value: "N" } when host.Kernel.Vulnerabilities.GetValueOrDefault("itlb_multihit") is not "Not affected":
                    yield return Say.NxHugePagesWeakens;
                    break;
            }
    }
}
