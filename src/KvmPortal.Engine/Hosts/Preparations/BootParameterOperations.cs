using System.Text.Json;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Events;
using KvmPortal.Engine.Hosts.Readiness;
using KvmPortal.Engine.Jobs;
using KvmPortal.Host.Contract;
using Microsoft.EntityFrameworkCore;

namespace KvmPortal.Engine.Hosts.Preparations;

public enum BootParameterState
{
    /// <summary>Nothing is expected.</summary>
    None,
    /// <summary>The host has not been booted since.</summary>
    Waiting,
    /// <summary>The running kernel has them.</summary>
    Verified,
    /// <summary>The host was booted, without them.</summary>
    Missing,
}

/// <summary>The kernel's command line, and what the operator has said that it will have.</summary>
public sealed record BootParametersView
{
    /// <summary>Of the running kernel; null where it cannot be read.</summary>
    public required string? CommandLine { get; init; }
    public required BootParameterState State { get; init; }
    public required IReadOnlyList<string> Expected { get; init; }
    /// <summary>How to get what is expected; without anything expected, what is suggested.</summary>
    public required BootAdvice Advice { get; init; }
    /// <summary>What the readiness report would add.</summary>
    public required IReadOnlyList<string> Suggested { get; init; }
    public string? ExpectedBy { get; init; }
    public DateTimeOffset? ExpectedAt { get; init; }
}

/// <summary>
/// Boot parameters are told, never written: the operator says "I will do that", and the portal looks after the next boot whether they are there.
/// </summary>
public sealed class BootParameterOperations
{
    private const string Key = "expected-boot-parameters";
    private readonly HostReadiness readiness;
    private readonly IMachineHost host;
    private readonly PortalStore store;
    private readonly PortalEvents events;
    private readonly TimeProvider time;

    internal BootParameterOperations(HostReadiness readiness, IMachineHost host, PortalStore store, PortalEvents events, TimeProvider time)
    {
        this.readiness = readiness;
        this.host = host;
        this.store = store;
        this.events = events;
        this.time = time;
    }

    /// <param name="BootId">Of the boot on which it was said.</param>
    /// <param name="CheckedOn">The boot on which it was told how it came out.</param>
    private sealed record Expectation(IReadOnlyList<string> Parameters, string BootId, string By, DateTimeOffset At, string? CheckedOn);

    public async Task<BootParametersView> GetAsync(Caller caller, CancellationToken ct)
    {
        var (inventory, report) = await readiness.LookAsync(caller, ct);
        var expected = await ReadAsync(ct);
        var suggested = report.Checks.SelectMany(c => c.Fixes).Select(f => f.BootLine).OfType<string>().Distinct().ToList();
        var line = inventory.Kernel.CommandLine;
        var advice = BootParameters.Compare(expected is null ? suggested : expected.Parameters, line ?? "");
        return new BootParametersView
        {
            CommandLine = line,
            State = expected is null ? BootParameterState.None : advice.Missing.Count == 0 ? BootParameterState.Verified
                : expected.BootId == (await host.GetFactsAsync(ct)).BootId ? BootParameterState.Waiting : BootParameterState.Missing,
            Expected = expected?.Parameters ?? [],
            Advice = advice,
            Suggested = suggested,
            ExpectedBy = expected?.By,
            ExpectedAt = expected?.At,
        };
    }

    /// <summary>Says what the command line will have after the next boot; an empty list expects nothing any more.</summary>
    public async Task<BootParametersView> ExpectAsync(Caller caller, IReadOnlyList<string> parameters, CancellationToken ct)
    {
        var problems = parameters.Index().Where(p => !BootParameters.IsParameter(p.Item)).Select(p => new Problem($"/parameters/{p.Index}", "invalid", Say.BootParameterRule)).ToList();
        if (parameters.Count > BootParameters.Most)
            problems.Add(new Problem("/parameters", "out-of-range", Say.AtMostParameters(BootParameters.Most)));
        if (problems.Count > 0)
            throw PortalException.Invalid(problems);
        var facts = await host.GetFactsAsync(ct);
        await WriteAsync(parameters.Count == 0 ? null : new Expectation(parameters, facts.BootId, caller.Name, time.GetUtcNow(), null), ct);
        if (parameters.Count > 0)
            await events.AppendAsync("host.boot-parameters-expected", Target(facts), caller.Name, Say.BootParametersExpected(string.Join(' ', parameters)), ct: ct);
        return await GetAsync(caller, ct);
    }

    /// <summary>Looks once after each boot whether the parameters are there, and tells.</summary>
    internal async Task VerifyAsync(CancellationToken ct)
    {
        var facts = await host.GetFactsAsync(ct);
        if (await ReadAsync(ct) is not { } expected || expected.BootId == facts.BootId || expected.CheckedOn == facts.BootId)
            return;
        var advice = BootParameters.Compare(expected.Parameters, (await host.ReadInventoryAsync(ct)).Kernel.CommandLine ?? "");
        await WriteAsync(expected with { CheckedOn = facts.BootId }, ct);
        if (advice.Missing.Count == 0)
            await events.AppendAsync("host.boot-parameters-verified", Target(facts), "system", Say.BootParametersVerified(string.Join(' ', expected.Parameters)), ct: ct);
        else
            await events.AppendAsync("host.boot-parameters-missing", Target(facts), "system", Say.BootParametersMissing(string.Join(' ', advice.Missing)), warning: true, ct: ct);
    }

    private static JobTarget Target(HostFacts facts) => new(TargetType.Host, HostOperations.LocalHostId, facts.HostName);

    private async Task<Expectation?> ReadAsync(CancellationToken ct) =>
        await store.ReadAsync(db => db.PortalFacts.Where(f => f.Key == Key).Select(f => f.Value).FirstOrDefaultAsync(ct), ct) is { } text ? JsonSerializer.Deserialize<Expectation>(text, PortalJson.Options) : null;

    private Task WriteAsync(Expectation? expectation, CancellationToken ct) => store.WriteAsync(async db =>
    {
        await db.PortalFacts.Where(f => f.Key == Key).ExecuteDeleteAsync(ct);
        if (expectation is not null)
            db.PortalFacts.Add(new PortalFact { Key = Key, Value = JsonSerializer.Serialize(expectation, PortalJson.Options) });
    }, ct);
}
