using System.Security.Cryptography;

namespace KvmPortal.Engine.Access;

/// <summary>The one-time token of the first set-up: a file that only the portal's account can read, so that a restart shows the same one.</summary>
internal sealed class BootstrapToken(EngineOptions options)
{
    private readonly SemaphoreSlim gate = new(1, 1);

    public async Task<string> GetAsync(CancellationToken ct)
    {
        await gate.WaitAsync(ct);
        try
        {
            if (File.Exists(options.BootstrapTokenPath) && (await File.ReadAllTextAsync(options.BootstrapTokenPath, ct)).Trim() is { Length: 32 } kept)
                return kept;
            var token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
            File.Delete(options.BootstrapTokenPath);
            await using var file = new FileStream(options.BootstrapTokenPath, new FileStreamOptions
            {
                Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
            await using var writer = new StreamWriter(file);
            await writer.WriteLineAsync(token.AsMemory(), ct);
            return token;
        }
        finally
        {
            gate.Release();
        }
    }

    public void Forget() => File.Delete(options.BootstrapTokenPath);
}
