using KvmPortal.Host.Contract;
using Microsoft.Data.Sqlite;

namespace KvmPortal.Faults.Tests;

/// <summary>A data directory as a portal has it after its first start: copied for each run, so that migrations and probes are done once.</summary>
internal sealed class Template
{
    private readonly RunFolder folder = Make();

    public static async Task<Template> CreateAsync()
    {
        var template = new Template();
        Directory.CreateDirectory(template.folder.Source);
        KernelTree.Make(template.folder.Kernel);
        var content = new byte[4 << 20];
        new Random(3).NextBytes(content);
        // No boot signature of anything: raw.
        content.AsSpan(0, 4096).Clear();
        content.AsSpan(^512).Clear();
        await File.WriteAllBytesAsync(template.folder.SourceImage, content);
        var disc = new byte[64 * 2048];
        "\u0001CD001\u0001"u8.CopyTo(disc.AsSpan(16 * 2048));
        await File.WriteAllBytesAsync(template.folder.SourceIso, disc);
        await using (var portal = await FaultPortal.StartAsync(template.folder, new Trigger(FaultPoint.None)))
            await foreach (var _ in portal.Host.ApplyAsync(new ProveAccelerator(), default))
            {
                // The verdict is kept in a file.
            }

        SqliteConnection.ClearAllPools();
        return template;
    }

    /// <summary>The folder of the solution.</summary>
    public static string Repository()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "KvmPortal.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The tests are not below their solution.");
        return folder;
    }

    public RunFolder Copy()
    {
        var copy = Make();
        CopyFolder(folder.Source, copy.Source);
        KernelTree.Make(copy.Kernel);
        CopyFolder(Path.Combine(folder.Data, "host"), Path.Combine(copy.Data, "host"));
        foreach (var file in Directory.EnumerateFiles(folder.Data))
            File.Copy(file, Path.Combine(copy.Data, Path.GetFileName(file)));
        return copy;
    }

    public void Remove() => Remove(folder);

    public static void Remove(RunFolder folder)
    {
        using (var connection = new SqliteConnection($"Data Source={Path.Combine(folder.Data, "kvmportal.db")};Pooling=True"))
            SqliteConnection.ClearPool(connection);
        for (var tries = 0; Directory.Exists(folder.Root); tries++)
        {
            try
            {
                Directory.Delete(folder.Root, recursive: true);
            }
            catch (IOException) when (tries < 50)
            {
                // Something that is just ending still wrote its last line.
                Thread.Sleep(50);
            }
        }
    }

    private static RunFolder Make()
    {
        var made = new RunFolder(Directory.CreateTempSubdirectory("kpf-").FullName);
        Directory.CreateDirectory(made.Data);
        return made;
    }

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from))
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }
}
