using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Qmp;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Tests.Qmp;

/// <summary>What we say and hear is in QEMU's own schema (query-qmp-schema of the oldest QEMU that is supported).</summary>
public sealed partial class SchemaTests
{
    private static readonly Dictionary<string, JsonObject> Schema = JsonNode.Parse(File.ReadAllText(Path.Combine(Root(), "tests/KvmPortal.Host.Tests/Schemas/qmp-7.2.json")))!.AsArray().ToDictionary(e => e!["name"]!.GetValue<string>(), e => e!.AsObject());

    public static TheoryData<string> Commands => [.. Methods().Select(m => m.Name)];

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task A_command_and_its_arguments_are_known_to_QEMU(string method)
    {
        await using var peer = await Peer.OpenAsync();
        using var handle = File.OpenHandle("/dev/null");
        var called = (Task)Methods().Single(m => m.Name == method).Invoke(null, [.. Methods().Single(m => m.Name == method).GetParameters().Select(p => Sample(p.ParameterType, peer.Client, handle))])!;
        var said = JsonNode.Parse(await peer.HearAsync())!.AsObject();
        peer.Close();
        await Assert.ThrowsAsync<HostException>(() => called);

        Assert.Equal(["arguments", "execute", "id"], said.Select(m => m.Key).Append("arguments").Distinct().Order());
        Assert.True(Schema.TryGetValue(said["execute"]!.GetValue<string>(), out var command) && command["meta-type"]!.GetValue<string>() == "command", said.ToJsonString());
        Check(said["arguments"] ?? new JsonObject(), command["arg-type"]!.GetValue<string>(), said.ToJsonString());
    }

    [Fact]
    public void Every_event_that_is_followed_is_one_of_QEMUs()
    {
        var followed = Directory.GetFiles(Path.Combine(Root(), "src/KvmPortal.Host/Launch"), "MachineSupervisor*.cs").SelectMany(f => EventCase().Matches(File.ReadAllText(f))).SelectMany(m => m.Groups[1].Captures.Select(c => c.Value)).ToList();
        Assert.True(followed.Count > 8);
        Assert.All(followed, name => Assert.True(Schema.TryGetValue(name, out var e) && e["meta-type"]!.GetValue<string>() == "event", name));
    }

    [Fact]
    public void Only_the_list_of_commands_says_commands()
    {
        var speakers = Directory.GetFiles(Path.Combine(Root(), "src"), "*.cs", SearchOption.AllDirectories).Where(f => !f.Contains("/obj/", StringComparison.Ordinal) && Execute().IsMatch(File.ReadAllText(f))).Select(Path.GetFileName).Order();
        // The probe asks a QEMU without a machine for its schema.
        Assert.Equal(["QmpClient.cs", "QmpCommands.cs", "QmpPlugging.cs"], speakers.Except(["QemuProbe.cs"]));
    }

    private static IEnumerable<MethodInfo> Methods() => new[] { typeof(QmpCommands), typeof(QmpPlugging) }.SelectMany(t => t.GetMethods(BindingFlags.Public | BindingFlags.Static)).Where(m => m.GetParameters() is [var first, ..] && first.ParameterType == typeof(QmpClient));

    private static object Sample(Type type, QmpClient client, SafeFileHandle handle) =>
        type == typeof(QmpClient) ? client
        : type == typeof(string) ? "word"
        : type == typeof(long) ? 4096L
        : type == typeof(int) ? 1
        : type == typeof(bool) ? true
        : type == typeof(SafeFileHandle) ? handle
        : type == typeof(DiskLimitsSpec) ? new DiskLimitsSpec(10, 20)
        : type == typeof(QmpPlugging.VcpuSlot) ? new QmpPlugging.VcpuSlot("max-x86_64-cpu", new Dictionary<string, long>(), null)
        : type == typeof(CancellationToken) ? TestContext.Current.CancellationToken
        : throw new InvalidOperationException($"No sample of {type}.");

    private static void Check(JsonNode? value, string type, string context)
    {
        var told = Schema[type];
        switch (told["meta-type"]!.GetValue<string>())
        {
            case "object":
                var members = told["members"]!.AsArray().ToDictionary(m => m!["name"]!.GetValue<string>(), m => m!.AsObject());
                Assert.All(value!.AsObject(), m => Assert.True(members.ContainsKey(m.Key) || told["variants"] is not null, $"{m.Key}: {context}"));
                Assert.All(members.Values.Where(m => !m.ContainsKey("default")), m => Assert.True(value.AsObject().ContainsKey(m["name"]!.GetValue<string>()), $"{m["name"]} is missing: {context}"));
                foreach (var (name, inner) in value.AsObject().Where(m => members.ContainsKey(m.Key)))
                    Check(inner, members[name]["type"]!.GetValue<string>(), context);
                break;
            case "array":
                foreach (var item in value!.AsArray())
                    Check(item, told["element-type"]!.GetValue<string>(), context);
                break;
            case "enum":
                Assert.Contains(value!.GetValue<string>(), told["members"]?.AsArray().Select(m => m!["name"]!.GetValue<string>()) ?? told["values"]!.AsArray().Select(v => v!.GetValue<string>()));
                break;
            case "builtin":
                Assert.Equal(told["json-type"]!.GetValue<string>() switch { "string" => JsonValueKind.String, "int" or "number" => JsonValueKind.Number, "boolean" => JsonValueKind.True, _ => value!.GetValueKind() }, value!.GetValueKind());
                break;
        }
    }

    private static string Root()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "KvmPortal.sln")))
                return folder.FullName;
        throw new InvalidOperationException("The tests run from inside of the repository.");
    }

    [GeneratedRegex("case (?:\"([A-Z_]{4,})\"(?: or )?)+:", RegexOptions.CultureInvariant)]
    private static partial Regex EventCase();

    [GeneratedRegex("ExecuteAsync\\(\"[a-z]|\"execute\"", RegexOptions.CultureInvariant)]
    private static partial Regex Execute();
}
