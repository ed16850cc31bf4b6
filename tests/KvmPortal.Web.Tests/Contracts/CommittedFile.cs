using System.Reflection;

namespace KvmPortal.Web.Tests.Contracts;

/// <summary>Files in the repository's root that tests keep equal to the code.</summary>
internal static class CommittedFile
{
    public static string Root { get; } = FindRoot();

    /// <summary>Compares; with KVMPORTAL_REWRITE_GOLDEN=1 writes instead.</summary>
    public static void Matches(string name, string text)
    {
        var path = Path.Combine(Root, name);
        if (Environment.GetEnvironmentVariable("KVMPORTAL_REWRITE_GOLDEN") == "1")
            File.WriteAllText(path, text);
        var committed = File.ReadAllText(path);
        if (committed == text)
            return;
        var (old, now) = (committed.Split('\n'), text.Split('\n'));
        var gone = string.Join('\n', old.Except(now).Take(20).Select(l => "- " + l));
        var added = string.Join('\n', now.Except(old).Take(20).Select(l => "+ " + l));
        Assert.Fail($"{name} differs from the code. If that is meant, run the tests with KVMPORTAL_REWRITE_GOLDEN=1 and commit the file.\n{gone}\n{added}");
    }

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(Path.GetDirectoryName(Assembly.GetExecutingAssembly().Location)!);
        while (!File.Exists(Path.Combine(folder.FullName, "KvmPortal.sln")))
            folder = folder.Parent!;
        return folder.FullName;
    }
}
