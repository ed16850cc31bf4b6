namespace KvmPortal.Host.Linux;

/// <summary>Where the kernel's files are, under a replaceable root: tests give a captured tree.</summary>
internal sealed record HostPaths(string Root = "/")
{
    public string In(string path) => Path.Combine(Root, path);
    public string Proc(string path) => Path.Combine(Root, "proc", path);
    public string Sys(string path) => Path.Combine(Root, "sys", path);
    public string Etc(string path) => Path.Combine(Root, "etc", path);

    /// <summary>A file's text without the line end; null where it is missing or cannot be read, which is normal for kernel files.</summary>
    public static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path).TrimEnd();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
