using System.Diagnostics;
using System.Text.RegularExpressions;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>What the README says to type works as it stands: its curl section runs against a fresh portal.</summary>
public sealed partial class ReadmeTests
{
    [GeneratedRegex(@"## Quick start with curl\s+```sh\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CurlSection();

    [Fact]
    public async Task The_curl_section_runs_to_its_end()
    {
        await using var portal = new FreshPortal();
        await portal.InitializeAsync();
        await portal.BootstrapTokenAsync();
        var text = await File.ReadAllTextAsync(Path.Combine(Root(), "README.md"));
        var script = CurlSection().Match(text).Groups[1].Value;
        Assert.Contains("actions/start", script, StringComparison.Ordinal);
        script = script.Replace("http://127.0.0.1:5080", portal.Address.ToString().TrimEnd('/'), StringComparison.Ordinal).Replace("data/bootstrap-token", Path.Combine(portal.Data, "bootstrap-token"), StringComparison.Ordinal);

        var info = new ProcessStartInfo("/bin/bash") { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = portal.Data };
        foreach (var argument in (string[])["-euo", "pipefail", "-c", script])
            info.ArgumentList.Add(argument);
        using var bash = Process.Start(info)!;
        var output = bash.StandardOutput.ReadToEndAsync();
        var errors = bash.StandardError.ReadToEndAsync();
        await bash.WaitForExitAsync(new CancellationTokenSource(TimeSpan.FromSeconds(90)).Token);
        Assert.True(bash.ExitCode == 0, $"{await output}\n{await errors}");
        Assert.Equal("\x89PNG"u8.ToArray()[^3..], (await File.ReadAllBytesAsync(Path.Combine(portal.Data, "screen.png")))[1..4]);
        Assert.Contains("\"state\":\"running\"", await output, StringComparison.Ordinal);
    }

    private static string Root()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "KvmPortal.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The checkout was not found.");
        return folder;
    }
}
