using KvmPortal.Web.Consoles;

namespace KvmPortal.Web.Tests.Rest;

public sealed class ViewOnlyFilterTests
{
    private static readonly byte[] Opening = [.. "RFB 003.008\n"u8, 1, 1];
    private static readonly byte[] Encodings = [2, 0, 0, 2, 0, 0, 0, 0, 255, 255, 255, 33];
    private static readonly byte[] Update = [3, 1, 0, 0, 0, 0, 4, 0, 3, 0];
    private static readonly byte[] Format = [0, 0, 0, 0, .. new byte[16]];
    private static readonly byte[] Key = [4, 1, 0, 0, 0, 0, 0xFF, 0x0D];
    private static readonly byte[] Pointer = [5, 1, 0, 10, 0, 10];
    private static readonly byte[] Clipboard = [6, 0, 0, 0, 0, 0, 0, 3, 97, 98, 99];
    private static readonly byte[] ExtendedClipboard = [6, 0, 0, 0, 255, 255, 255, 252, 1, 2, 3, 4];
    private static readonly byte[] QemuKey = [255, 0, 0, 1, 0, 0, 0, 65, 0, 0, 0, 30];
    private static readonly byte[] DesktopSize = [251, 0, 4, 0, 3, 0, 1, 0, .. new byte[16]];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(1000)]
    public void However_the_bytes_are_cut_only_what_looks_passes(int cut)
    {
        byte[] sent = [.. Opening, .. Format, .. Key, .. Encodings, .. Pointer, .. Update, .. Clipboard, .. QemuKey, .. Update, .. ExtendedClipboard, .. DesktopSize, .. Update, .. Key];
        var filter = new ViewOnlyFilter();
        var passed = new List<byte>();
        foreach (var piece in sent.Chunk(cut))
            passed.AddRange(filter.Pass(piece).ToArray());
        Assert.Equal([.. Opening, .. Format, .. Encodings, .. Update, .. Update, .. Update], passed);
    }

    [Fact]
    public void Keys_cannot_hide_behind_a_shorter_handshake()
    {
        // RFB 3.3 has no security type from the client: what the filter would take for the handshake's end is a key event's first byte.
        var filter = new ViewOnlyFilter();
        Assert.Throws<InvalidDataException>(() => filter.Pass([.. "RFB 003.003\n"u8, 1, 4, 3, 0, 0, 0, 0, 0xFF, 0x0D]));
        Assert.Throws<InvalidDataException>(() => new ViewOnlyFilter().Pass([.. "RFB 003.008\n"u8, 16, 1]));
        Assert.Throws<InvalidDataException>(() => new ViewOnlyFilter().Pass("HTTP"u8));
    }

    [Fact]
    public void What_is_unknown_or_endless_ends_the_connection()
    {
        Assert.Throws<InvalidDataException>(() => new ViewOnlyFilter().Pass([.. Opening, 99]));
        Assert.Throws<InvalidDataException>(() => new ViewOnlyFilter().Pass([.. Opening, 6, 0, 0, 0, 0x7F, 255, 255, 255]));
        Assert.Throws<InvalidDataException>(() => new ViewOnlyFilter().Pass([.. Opening, 6, 0, 0, 0, 0x80, 0, 0, 0]));
    }
}
