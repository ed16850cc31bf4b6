using KvmPortal.Web.Images;
using KvmPortal.Web.Shared;

namespace KvmPortal.Web.Tests.Pages;

public sealed class FormatTests
{
    [Theory]
    [InlineData(0d, "0 B")]
    [InlineData(1023d, "1023 B")]
    [InlineData(1024d, "1 KiB")]
    [InlineData(1536d, "1.5 KiB")]
    [InlineData(1073741824d, "1 GiB")]
    [InlineData(1099511627775d, "1 TiB")]
    [InlineData(13529146982.4d, "12.6 GiB")]
    public void Bytes_are_binary_and_have_three_figures(double bytes, string shown) => Assert.Equal(shown, Format.Bytes(bytes));

    [Theory]
    [InlineData(125d, "1 kbit/s")]
    [InlineData(12_500_000d, "100 Mbit/s")]
    public void Networks_are_decimal_bits(double bytesPerSecond, string shown) => Assert.Equal(shown, Format.BitsPerSecond(bytesPerSecond));

    [Theory]
    [InlineData(0.1234, "12.3 %")]
    [InlineData(0.00567, "0.57 %")]
    [InlineData(1.0, "100 %")]
    public void Shares_are_percent(double share, string shown) => Assert.Equal(shown, Format.Percent(share));

    [Fact]
    public void What_is_not_known_is_a_dash()
    {
        Assert.Equal(Format.None, Format.Bytes(null));
        Assert.Equal(Format.None, Format.Percent(null));
    }

    [Theory]
    [InlineData("debian-12-generic.qcow2", "debian-12-generic")]
    [InlineData("my image (1).ISO", "my-image--1")]
    [InlineData("../../etc/passwd", "etc-passwd")]
    [InlineData("日本.img", "image")]
    public void A_file_name_becomes_a_name_that_the_portal_takes(string file, string name) => Assert.Equal(name, ImageListModel.NameFor(file));

    [Fact]
    public void A_long_file_name_is_cut() => Assert.Equal(63, ImageListModel.NameFor(new string('a', 300)).Length);

    [Fact]
    public void An_upload_refused_by_the_portal_keeps_its_words()
    {
        var problem = UploadAnswer.Read("""{"code":"image-refused","title":"Refused","detail":"The image names a backing file.","hint":"Flatten it."}""", "broken");
        Assert.Equal(("image-refused", "The image names a backing file.", "Flatten it."), (problem.Code, problem.Title.Text, problem.Hint!.Text));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("<html>502 Bad Gateway</html>")]
    [InlineData("[1,2]")]
    [InlineData("{\"code\":5}")]
    public void An_upload_without_a_readable_answer_is_broken_off(string? body) => Assert.Equal(("upload-broken", "broken"), (UploadAnswer.Read(body, "broken").Code, UploadAnswer.Read(body, "broken").Title.Text));
}
