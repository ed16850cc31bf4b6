using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using KvmPortal.Engine;
using KvmPortal.Engine.Data;
using KvmPortal.Web.Resources;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Tests.Pages;

/// <summary>Every sentence of the engine can be said in every language of the console.</summary>
public sealed partial class SentenceTests
{
    private static readonly CultureInfo Chinese = new("zh-CN");

    [GeneratedRegex(@"\{(\w+)\}")]
    private static partial Regex Place();

    [GeneratedRegex(@"@\w+(\.\w+)*\.(Reason|Hint|Message|Summary|Evidence|ConnectionProblem)\b(?!\()")]
    private static partial Regex Unsaid();

    [GeneratedRegex("AppendAsync\\(\"([a-z.-]+)\"")]
    private static partial Regex Logged();

    /// <summary>Every member of <see cref="Say"/>, with sample values.</summary>
    public static TheoryData<string> Codes() => new(All().Keys);

    [Theory]
    [MemberData(nameof(Codes))]
    public void Both_languages_have_every_sentence_with_its_places(string code)
    {
        var sentence = All()[code];
        Assert.Equal(code, sentence.Code);
        Assert.False(string.IsNullOrWhiteSpace(sentence.Text));
        var template = SentenceText.Template(code, Chinese);
        Assert.False(string.IsNullOrWhiteSpace(template), $"{code} has no Chinese");
        Assert.Equal(sentence.Values.Keys.Order(), Place().Matches(template).Select(m => m.Groups[1].Value).Distinct().Order());
        Assert.DoesNotContain("{", SentenceText.In(sentence, Chinese), StringComparison.Ordinal);
        Assert.Equal(sentence.Text, SentenceText.In(sentence, new CultureInfo("en")));
    }

    [Fact]
    public void No_translation_belongs_to_no_sentence()
    {
        var known = All().Keys.ToHashSet();
        var set = new System.Resources.ResourceManager(typeof(SentenceText)).GetResourceSet(Chinese, true, false)!;
        Assert.Subset(known, set.Cast<System.Collections.DictionaryEntry>().Select(e => (string)e.Key).ToHashSet());
    }

    [Fact]
    public void Sentences_in_sentences_are_translated_and_values_are_not_searched_for_places()
    {
        var said = SentenceText.In(Say.WrongImageKind("{kinds}", "iso", Say.UseKernel, "kernel"), Chinese);
        Assert.Equal("镜像“{kinds}”的类型为 iso；内核需要 kernel。", said);
    }

    [Fact]
    public void The_wire_keeps_English_and_the_database_keeps_everything()
    {
        var sentence = Say.CouldNotUndo(Say.DeleteDisk("disk0"), "qemu-img: \"no\"");
        Assert.Equal(JsonSerializer.Serialize(sentence.Text, PortalJson.Options), JsonSerializer.Serialize(sentence, PortalJson.Options));
        foreach (var original in new Sentence[] { sentence, "plain words", "{\"code\":\"stale\"}", "\"quoted", "" })
        {
            var back = JsonColumn.Restore(JsonColumn.Store(original));
            Assert.Equal(original, back);
            Assert.Equal(SentenceText.In(original, Chinese), SentenceText.In(back, Chinese));
        }

        // What an older version stored as bare words.
        Assert.Equal("{ not json", JsonColumn.Restore("{ not json").Text);
    }

    [Theory]
    [InlineData("The guest powered itself off.", "guest-powered-off")]
    [InlineData("Its QEMU was killed by signal 9.", "qemu-killed")]
    [InlineData("Disk disk0: no space left on the host.", "disk-full")]
    [InlineData("Disk disk0: write error on the host.", "disk-error")]
    [InlineData("/dev/kvm opens, but a tiny test guest did not finish on it within 5 s.", "kvm-stuck")]
    [InlineData("vCPU 1 (thread 104) may run on the CPUs 0-7; its place is 5.", "thread-moved")]
    [InlineData("QEMU's thread 100 may run on the CPUs 0-7; its place is 0-1. 4 more threads are out of place.", "threads-moved")]
    [InlineData("I/O thread disk0-io (thread 9) was put back on the CPUs 5.", "thread-put-back")]
    [InlineData("5 threads were put back where they belong.", "threads-put-back")]
    [InlineData("vhost thread 7 cannot be put on the CPUs 3: none of them is online.", "thread-cpus-offline")]
    [InlineData("TPM thread 7 cannot be put on the CPUs 3: Operation not permitted.", "thread-refused")]
    [InlineData("vCPU 0 (thread 103) was to be put on the CPUs 4, but may run on 0-7.", "thread-elsewhere")]
    [InlineData("The host's CPUs 4, which this machine's placement uses, are offline.", "placement-cpus-offline")]
    [InlineData("8 MiB of the guest's memory lie on node 1; their place is node 0, 2.", "memory-elsewhere")]
    [InlineData("Only 128 of 256 MiB of the guest's memory are on pages of 2 MiB.", "huge-memory-missing")]
    [InlineData("The portal may lock 8 MiB of memory only, and may not raise that limit.", "memlock-limited")]
    [InlineData("cookie ffff8881abc: nobody else runs beside it on a core", "core-cookie")]
    [InlineData("CPUs 4-5 in an isolated partition of their own", "cpus-isolated")]
    [InlineData("Only 40 of 64 huge pages of 2M could be had; they were given back.", "pages-short")]
    [InlineData("Memory is in too many pieces by now. At boot it is not: add hugepagesz=1G hugepages=0:64 to the kernel's command line, or take fewer pages.", "pages-short-hint")]
    [InlineData("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages: 30 pages are left: they are in use, or not to be had any more.", "pages-not-returned")]
    [InlineData("1 of 3 interrupts stay where they are: the kernel places them itself.", "irqs-stay")]
    [InlineData("/proc/sys/vm/swappiness: Somebody has changed it to \"33\" since; it is left so.", "changed-since")]
    [InlineData("The kernel refused \"performance\" for /sys/devices/system/cpu/cpu5/cpufreq/scaling_governor: invalid argument.", "kernel-refused")]
    [InlineData("The portal may not write /sys/kernel/mm/ksm/run.", "not-writable")]
    [InlineData("This host offers no huge pages of 1G on node 3.", "no-huge-pages-on-node")]
    [InlineData("The module kvm_intel is not loaded, or has no parameter dump_invalid_vmcs.", "no-module-parameter-here")]
    [InlineData("This host's kernel has no KSM.", "no-ksm-here")]
    [InlineData("This host's kernel has no fs.aio-max-nr.", "no-sysctl-here")]
    [InlineData("CPU 3 offers these governors only: performance powersave.", "governors-here")]
    [InlineData("Could not set up host forwarding rule", null)]
    public void What_hosts_say_often_is_recognised(string words, string? code)
    {
        var read = HostSentences.Read(words);
        Assert.Equal((words, code), (read.Text, read.Code));
    }

    [Fact]
    public void No_page_shows_a_sentence_past_its_translation()
    {
        var web = Path.Combine(ResourceTests.Root(), "src", "KvmPortal.Web");
        var found = Directory.GetFiles(web, "*.razor", SearchOption.AllDirectories).Where(f => !f.Contains("/obj/", StringComparison.Ordinal))
            .SelectMany(f => Unsaid().Matches(File.ReadAllText(f)).Select(m => $"{Path.GetFileName(f)}: {m.Value}")).Where(m => !m.Contains("@Words.", StringComparison.Ordinal));
        Assert.Empty(found);
    }

    [Fact]
    public void Every_event_that_is_logged_has_words_of_its_own_in_both_languages()
    {
        var source = Path.Combine(ResourceTests.Root(), "src");
        var types = Directory.GetFiles(source, "*.cs", SearchOption.AllDirectories).Where(f => !f.Contains("/obj/", StringComparison.Ordinal))
            .SelectMany(f => Logged().Matches(File.ReadAllText(f)).Select(m => m.Groups[1].Value)).Where(t => t is not ("vm.state" or "vm.notice")).ToHashSet();
        Assert.Contains("user.refused", types);
        foreach (var culture in new[] { CultureInfo.InvariantCulture, Chinese })
        {
            var set = new System.Resources.ResourceManager(typeof(Text)).GetResourceSet(culture, true, false)!;
            Assert.All(types, t => Assert.False(string.IsNullOrEmpty(set.GetString("event." + t)), $"{t} in {culture.Name}"));
        }
    }

    private static Dictionary<string, Sentence> All()
    {
        var made = new Dictionary<string, Sentence>();
        foreach (var member in typeof(Say).GetMembers(BindingFlags.Public | BindingFlags.Static))
            if (member is PropertyInfo property && property.PropertyType == typeof(Sentence))
                made.Add(Say.CodeOf(member.Name), (Sentence)property.GetValue(null)!);
            else if (member is MethodInfo { IsSpecialName: false } method && method.ReturnType == typeof(Sentence))
                made.Add(Say.CodeOf(member.Name), (Sentence)method.Invoke(null, [.. method.GetParameters().Select(Sample)])!);
        return made;
    }

    private static object Sample(ParameterInfo parameter) => parameter.ParameterType switch
    {
        var t when t == typeof(string) => "x",
        var t when t == typeof(int) => 7,
        var t when t == typeof(long) => 7L,
        var t when t == typeof(double) => 1.5,
        var t when t == typeof(Sentence) => Say.UseDisk,
        var t => throw new InvalidOperationException($"No sample of {t.Name}."),
    };
}
