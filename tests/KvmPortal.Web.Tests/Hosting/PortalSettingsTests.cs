using KvmPortal.Engine;
using KvmPortal.Web.Hosting;
using Microsoft.Extensions.Configuration;

namespace KvmPortal.Web.Tests.Hosting;

public sealed class PortalSettingsTests
{
    [Theory]
    [InlineData("Host:QemuBinry", "qemu", "Host:QemuBinry")]
    [InlineData("Engine:ParallelJobs", "0", "Engine:ParallelJobs")]
    [InlineData("simulated", "many", "simulated")]
    [InlineData("Host:ImageFolders", "images", "Host:ImageFolders")]
    [InlineData("Consoles:EmbedOrigins", "https://a.example/path", "Consoles:EmbedOrigins")]
    public void A_wrong_setting_stops_the_start_and_names_its_key(string key, string value, string named)
    {
        var e = Assert.Throws<PortalException>(() => PortalSettings.Read(new ConfigurationBuilder().AddInMemoryCollection([new(key, value)]).Build()));
        Assert.Contains(named, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sockets_of_two_data_directories_are_apart()
    {
        var roots = new[] { "/tmp/a", "/tmp/b" }.Select(data => PortalSettings.Read(new ConfigurationBuilder().AddInMemoryCollection([new("data", data)]).Build()).Host.RunRoot).ToList();
        Assert.Equal(2, roots.Distinct().Count());
        Assert.All(roots, root => Assert.True(Path.IsPathFullyQualified(root)));
    }
}
