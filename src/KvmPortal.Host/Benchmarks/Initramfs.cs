using System.Globalization;
using System.Text;

namespace KvmPortal.Host.Benchmarks;

/// <summary>Writes a cpio archive of the kind that Linux takes as its first root (newc; Documentation/driver-api/early-userspace/buffer-format.rst).</summary>
internal sealed class Initramfs(Stream to)
{
    private const int Folder = 0x41ed, Program = 0x81ed;
    private int inodes = 1;
    private long written;

    public void AddFolder(string path) => Add(path, Folder, []);

    public void AddFile(string path, ReadOnlySpan<byte> content) => Add(path, Program, content);

    public void End() => Add("TRAILER!!!", 0, []);

    private void Add(string path, int mode, ReadOnlySpan<byte> content)
    {
        var name = Encoding.ASCII.GetBytes(path);
        int[] fields = [inodes++, mode, 0, 0, 1, 0, content.Length, 0, 0, 0, 0, name.Length + 1, 0];
        Write(Encoding.ASCII.GetBytes("070701" + string.Concat(fields.Select(f => f.ToString("x8", CultureInfo.InvariantCulture)))));
        Write(name);
        Write([0]);
        Align();
        Write(content);
        Align();
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        to.Write(bytes);
        written += bytes.Length;
    }

    private void Align() => Write(new byte[(4 - (int)(written % 4)) % 4]);
}
