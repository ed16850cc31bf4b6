using System.Diagnostics;

namespace KvmPortal.Host.Tests.Images;

/// <summary>Runs qemu-img and qemu-io as witnesses.</summary>
internal static class Tools
{
    public static async Task<string> RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {await output} {await errors}");
        return await output;
    }
}
