using System.Reflection;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using KvmPortal.Engine.Data;
using KvmPortal.Web.Tests.Contracts;

namespace KvmPortal.Web.Tests.HouseRules;

/// <summary>Rules of this house that no compiler checks.</summary>
public sealed partial class HouseRuleTests
{
    private static readonly Assembly Host = typeof(Host.Contract.IMachineHost).Assembly;
    private static readonly Assembly Engine = typeof(PortalDb).Assembly;
    private static readonly Assembly Web = typeof(KvmPortal.Web.Hosting.PortalSettings).Assembly;

    [Fact]
    public void Projects_refer_downwards_only()
    {
        Assert.Empty(ReferencesOf("src/KvmPortal.Host/KvmPortal.Host.csproj"));
        Assert.Equal(["KvmPortal.Host"], ReferencesOf("src/KvmPortal.Engine/KvmPortal.Engine.csproj"));
        Assert.Equal(["KvmPortal.Engine", "KvmPortal.Migrations.Sqlite"], ReferencesOf("src/KvmPortal.Web/KvmPortal.Web.csproj"));
    }

    [Fact]
    public void The_engine_knows_no_web_and_the_host_no_database()
    {
        foreach (var reference in Engine.GetReferencedAssemblies().Concat(Host.GetReferencedAssemblies()).Select(a => a.Name!))
            foreach (var banned in new[] { "Microsoft.AspNetCore.Http", "Microsoft.AspNetCore.SignalR", "Microsoft.AspNetCore.Components", "MudBlazor", "KvmPortal.Web" })
                Assert.False(reference.StartsWith(banned, StringComparison.Ordinal), $"refers to {reference}");
        Assert.DoesNotContain(Host.GetReferencedAssemblies(), a => a.Name!.StartsWith("Microsoft.EntityFrameworkCore", StringComparison.Ordinal) || a.Name == "KvmPortal.Engine");
    }

    [Fact]
    public void Nothing_that_answers_requests_or_draws_pages_holds_the_database()
    {
        const BindingFlags all = BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        foreach (var type in Web.GetTypes())
        {
            var held = type.GetFields(all).Select(f => f.FieldType).Concat(type.GetProperties(all).Select(p => p.PropertyType))
                .Concat(type.GetConstructors(all).SelectMany(c => c.GetParameters()).Select(p => p.ParameterType))
                .Concat(type.GetMethods(all).SelectMany(m => m.GetParameters()).Select(p => p.ParameterType));
            // The start migrates the database; compiler-made state of that one method holds it while it does.
            if (!(type.FullName ?? "").Contains("PortalStart", StringComparison.Ordinal))
                Assert.False(held.Any(MentionsDatabase), $"{type.FullName} holds the database");
        }

        static bool MentionsDatabase(Type type) => type == typeof(PortalDb) || type.IsGenericType && type.GetGenericArguments().Any(MentionsDatabase);
    }

    [Fact]
    public void Type_names_say_what_a_type_is()
    {
        string[] banned = ["Manager", "Helper", "Helpers", "Util", "Utils", "Utility", "Service", "Processor", "Base", "Impl"];
        foreach (var type in new[] { Host, Engine, Web }.SelectMany(a => a.GetTypes()).Where(t => !t.Name.Contains('<', StringComparison.Ordinal) && t.Namespace?.StartsWith("KvmPortal", StringComparison.Ordinal) == true))
            Assert.False(banned.Any(b => type.Name.Split('`')[0].EndsWith(b, StringComparison.Ordinal)), $"{type.FullName} has a name that says nothing");
    }

    [Fact]
    public void Files_can_be_read_in_one_go()
    {
        foreach (var file in Sources("src", "*.cs").Concat(Sources("tests", "*.cs")))
            Assert.True(File.ReadLines(file).Count() <= 400, $"{file} has more than 400 lines");
        foreach (var file in Sources("src", "*.razor"))
            Assert.True(File.ReadLines(file).Count() <= 200, $"{file} has more than 200 lines");
    }

    [Fact]
    public void Nothing_is_async_void_or_unfinished()
    {
        var pattern = Forbidden();
        foreach (var file in Sources("src", "*.cs").Concat(Sources("src", "*.razor")))
            foreach (var (number, line) in File.ReadLines(file).Index())
                Assert.False(pattern.IsMatch(line), $"{file}:{number + 1}: {line.Trim()}");
    }

    [Fact]
    public void No_test_is_skipped()
    {
        var skip = Skipped();
        foreach (var file in Sources("tests", "*.cs").Where(f => !f.EndsWith("HouseRuleTests.cs", StringComparison.Ordinal)))
            foreach (var (number, line) in File.ReadLines(file).Index())
                Assert.False(skip.IsMatch(line), $"{file}:{number + 1}: {line.Trim()}");
    }

    [Theory]
    [InlineData("wwwroot")]
    [InlineData("appsettings.json")]
    public void The_web_project_links_to_the_root(string name)
    {
        FileSystemInfo link = name.Contains('.', StringComparison.Ordinal) ? new FileInfo(Path.Combine(CommittedFile.Root, "src/KvmPortal.Web", name)) : new DirectoryInfo(Path.Combine(CommittedFile.Root, "src/KvmPortal.Web", name));
        Assert.True(link.Exists);
        Assert.Equal($"../../{name}", link.LinkTarget);
    }

    private static List<string> ReferencesOf(string project) =>
        [.. XDocument.Load(Path.Combine(CommittedFile.Root, project)).Descendants("ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value)).Order(StringComparer.Ordinal)];

    private static IEnumerable<string> Sources(string folder, string pattern) => Directory.EnumerateFiles(Path.Combine(CommittedFile.Root, folder), pattern, SearchOption.AllDirectories)
        .Where(f => !f.Contains("/obj/", StringComparison.Ordinal) && !f.Contains("/bin/", StringComparison.Ordinal));

    [GeneratedRegex(@"\basync void\b|NotImplementedException|\bTODO\b|\bFIXME\b|\bHACK\b")]
    private static partial Regex Forbidden();

    [GeneratedRegex(@"\bSkip(When|Unless)?\s*=|Assert\.Skip|#if false")]
    private static partial Regex Skipped();
}
