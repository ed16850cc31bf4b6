using KvmPortal.Engine;
using KvmPortal.Engine.Vms;
using KvmPortal.Web.Resources;
using KvmPortal.Web.Vms;
using Xunit;

namespace KvmPortal.Web.Tests.Vms;

public sealed class VmPageTests
{
    [Fact]
    public void Every_state_offers_no_action_twice_and_marks_what_loses_work()
    {
        foreach (var state in Enum.GetValues<VmState>())
            Assert.DoesNotContain(VmModel.Others(state), a => a == VmModel.Primary(state));
        Assert.Equal(VmAction.Start, VmModel.Primary(VmState.Stopped));
        Assert.Null(VmModel.Primary(VmState.Migrating));
        Assert.True(VmModel.Destructive(VmAction.Stop));
        Assert.False(VmModel.Destructive(VmAction.Shutdown));
    }

    [Fact]
    public void A_definition_survives_its_text()
    {
        var definition = new VmDefinition { Name = "web-1", Disks = [new DiskDefinition { Name = "disk0", SizeGiB = 3 }] };
        var text = DefinitionText.Write(definition);
        Assert.Equal(text, DefinitionText.Write(DefinitionText.Read(text)));
        Assert.Contains('\n', text);
    }

    [Theory]
    [InlineData("{\n  \"name\": }")]
    [InlineData("{ \"name\": \"a\", \"unknown\": 1 }")]
    [InlineData("null")]
    [InlineData("")]
    public void Wrong_text_is_refused_in_words(string text) => Assert.Equal(ErrorCode.Malformed, Assert.Throws<PortalException>(() => DefinitionText.Read(text)).Code);

    [Fact]
    public void New_devices_get_free_names_and_a_removed_one_leaves_the_boot_order()
    {
        var editor = new DefinitionEditor(new VmDefinition { Name = "a", Disks = [new DiskDefinition { Name = "disk0" }], Boot = new BootDefinition { Order = ["disk0"] } });
        editor.AddDisk(false);
        editor.AddDisk(true);
        Assert.Equal(["disk0", "disk1", "cd0"], editor.Value.Disks.Select(d => d.Name));
        editor.RemoveDisk(0);
        Assert.Empty(editor.Value.Boot.Order);
    }

    [Theory]
    [InlineData("-m", "-m")]
    [InlineData("{\"a\":'b'}", "'{\"a\":'\\''b'\\''}'")]
    [InlineData("", "''")]
    public void Copied_arguments_are_quoted(string argument, string expected) => Assert.Equal(expected, PlanDialog.Shell(argument));

    [Fact]
    public void Both_languages_have_the_same_words()
    {
        var assembly = typeof(VmText).Assembly;
        var set = new System.Resources.ResourceManager(typeof(VmText).FullName!, assembly);
        var english = Keys(set, System.Globalization.CultureInfo.InvariantCulture);
        Assert.NotEmpty(english);
        Assert.Equal(english, Keys(set, new System.Globalization.CultureInfo("zh-CN")));
    }

    private static List<string> Keys(System.Resources.ResourceManager set, System.Globalization.CultureInfo culture) =>
        [.. set.GetResourceSet(culture, true, false)!.Cast<System.Collections.DictionaryEntry>().Select(e => (string)e.Key).Order(StringComparer.Ordinal)];
}
