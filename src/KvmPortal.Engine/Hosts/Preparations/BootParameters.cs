using System.Text.RegularExpressions;

namespace KvmPortal.Engine.Hosts.Preparations;

/// <summary>What is to be done about the kernel's command line; texts are exact.</summary>
/// <param name="Present">Wanted, and there.</param>
/// <param name="Missing">Wanted, and not there.</param>
/// <param name="Different">There with another value, which must go.</param>
/// <param name="Grub">The line to add at the end of /etc/default/grub before <c>update-grub</c>; null when nothing is missing.</param>
/// <param name="SystemdBoot">The whole content of /etc/kernel/cmdline before <c>kernel-install add-all</c>; null when nothing is missing.</param>
public sealed record BootAdvice(IReadOnlyList<string> Present, IReadOnlyList<string> Missing, IReadOnlyList<string> Different, string? Grub, string? SystemdBoot);

/// <summary>
/// Compares the parameters that are wanted with a kernel's command line (Documentation/admin-guide/kernel-parameters.rst). Pure; the portal writes no boot loader's file.
/// </summary>
public static partial class BootParameters
{
    public const int Most = 32;
    public const int Longest = 256;

    /// <summary>One parameter, or a pool of huge pages with its size before it: the two belong together.</summary>
    private sealed record Unit(string Key, string Text);

    public static BootAdvice Compare(IReadOnlyList<string> wanted, string commandLine)
    {
        // What stands behind two hyphens is not the kernel's but init's.
        var (kernel, init) = $" {commandLine} ".IndexOf(" -- ", StringComparison.Ordinal) is >= 0 and var end ? (commandLine[..Math.Max(0, end - 1)], " " + commandLine[end..].Trim()) : (commandLine, "");
        var (asked, there) = (Units(string.Join(' ', wanted)), Units(kernel));
        var texts = there.Select(Canonical).ToHashSet();
        var missing = asked.Where(u => !texts.Contains(Canonical(u))).DistinctBy(Canonical).ToList();
        var different = there.Where(t => missing.Exists(m => m.Key == t.Key)).ToList();
        if (missing.Count == 0)
            return new BootAdvice(Texts(asked), [], [], null, null);
        // The loader writes these two itself.
        var kept = there.Except(different).Where(u => u.Key is not ("BOOT_IMAGE" or "initrd")).Concat(missing);
        return new BootAdvice(Texts(asked.Except(missing)), Texts(missing), Texts(different), $"GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {string.Join(' ', Texts(missing))}\"", string.Join(' ', Texts(kept)) + init);
    }

    /// <summary>Whether it may stand in a boot loader's file: nothing that a shell would read as anything else.</summary>
    public static bool IsParameter(string? text) => text?.Length <= Longest && Parameter().IsMatch(text);

    private static List<string> Texts(IEnumerable<Unit> units) => [.. units.Select(u => u.Text)];

    private static (string, string) Canonical(Unit unit) => (unit.Key, unit.Key.StartsWith("hugepages ", StringComparison.Ordinal) ? unit.Text[(unit.Text.LastIndexOf('=') + 1)..] : unit.Text);

    private static List<Unit> Units(string line)
    {
        var units = new List<Unit>();
        string? size = null, usual = null;
        foreach (var word in line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
        {
            var (key, value) = word.IndexOf('=') is >= 0 and var at ? (word[..at], word[(at + 1)..]) : (word, "");
            switch (key)
            {
                case "hugepagesz":
                    size = value;
                    continue;
                case "hugepages":
                    // Without a size before it, it means the default one.
                    units.Add(new Unit($"hugepages {size ?? usual}", size is null ? word : $"hugepagesz={size} {word}"));
                    continue;
                case "default_hugepagesz":
                    usual = value;
                    break;
            }

            units.Add(new Unit(key, word));
        }

        return units;
    }

    [GeneratedRegex(@"^[A-Za-z0-9_.-]{1,64}(=[A-Za-z0-9_.,:+/@-]*)?( [A-Za-z0-9_.-]{1,64}(=[A-Za-z0-9_.,:+/@-]*)?){0,7}\z")]
    private static partial Regex Parameter();
}
