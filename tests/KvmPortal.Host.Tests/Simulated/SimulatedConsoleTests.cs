using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using KvmPortal.Host.Contract;
using KvmPortal.Host.Simulated;
using static KvmPortal.Host.Tests.Simulated.SimulatedFixture;

namespace KvmPortal.Host.Tests.Simulated;

public sealed class SimulatedConsoleTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_serial_console_boots_asks_for_a_login_echoes_and_powers_off()
    {
        using var host = NewHost();
        var id = await host.Start(Spec());
        var text = new StringBuilder();
        var typed = new Queue<(string After, string Type)>(
            [("web login: ", "root\r"), ("root@web:~# ", "echo hello\r"), ("\r\nhello\r\n", "poweroff\r")]);
        var offset = 0L;
        await foreach (var chunk in host.ReadSerialAsync(id, 0, Token))
        {
            Assert.Equal(offset, chunk.Offset);
            offset = chunk.NextOffset;
            text.Append(Encoding.UTF8.GetString(chunk.Bytes));
            while (typed.TryPeek(out var next) && text.ToString().Contains(next.After))
                await host.WriteSerialAsync(id, Encoding.UTF8.GetBytes(typed.Dequeue().Type), Token);
        }
        Assert.Contains("Linux version", text.ToString());
        Assert.Contains("Power down", text.ToString());
        Assert.Equal(HostError.NotRunning,
            (await Assert.ThrowsAsync<HostException>(() => host.WriteSerialAsync(id, new byte[1], Token))).Error);
    }

    [Fact]
    public void Serial_history_is_bounded_and_a_lost_range_is_skipped()
    {
        var console = new SerialConsole(Spec());
        var beforeBoot = TimeSpan.FromSeconds(-1);
        for (var number = 0; number < 200; number++)
            console.Print(new string('x', 1000));
        var chunk = console.Read(0, beforeBoot).Chunk!;
        Assert.InRange(chunk.Offset, 200_000 - SerialConsole.HistoryBytes, 200_000);
        var end = chunk.NextOffset;
        while (console.Read(end, beforeBoot).Chunk is { } more)
            end = more.NextOffset;
        Assert.Equal(200_000, end);
    }

    [Fact]
    public async Task A_vnc_client_shakes_hands_gets_a_picture_and_sees_its_key()
    {
        using var host = NewHost();
        var id = await host.Start(Spec());
        await using var vnc = await host.OpenVncAsync(id, Token);
        Assert.Equal("RFB 003.008\n", Encoding.ASCII.GetString(await Read(vnc, 12)));
        await vnc.WriteAsync("RFB 003.008\n"u8.ToArray(), Token);
        Assert.Equal([1, 1], await Read(vnc, 2));
        await vnc.WriteAsync(new byte[] { 1 }, Token);
        Assert.Equal(new byte[4], await Read(vnc, 4));
        await vnc.WriteAsync(new byte[] { 1 }, Token);
        var init = await Read(vnc, 24);
        Assert.Equal((640, 400), (BinaryPrimitives.ReadUInt16BigEndian(init), BinaryPrimitives.ReadUInt16BigEndian(init.AsSpan(2))));
        Assert.Equal("web", Encoding.UTF8.GetString(await Read(vnc, BinaryPrimitives.ReadInt32BigEndian(init.AsSpan(20)))));
        var before = await Update(vnc, incremental: false);
        await vnc.WriteAsync(new byte[] { 4, 1, 0, 0, 0, 0, 0, 65 }, Token);
        var after = await Update(vnc, incremental: true);
        Assert.NotEqual(before[^4..], after[^4..]);
        await host.Changes(new EndMachine { MachineId = id });
        Assert.Equal(0, await vnc.ReadAsync(new byte[1], Token));
    }

    [Fact]
    public async Task A_screenshot_is_a_png_with_right_checksums_and_every_pixel()
    {
        using var host = NewHost();
        var png = await host.TakeScreenshotAsync(await host.Start(Spec()), Token);
        Assert.Equal([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], png[..8]);
        var types = new List<string>();
        for (var at = 8; at < png.Length;)
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(at));
            var body = png.AsSpan(at + 4, length + 4);
            types.Add(Encoding.ASCII.GetString(body[..4]));
            Assert.Equal(Png.Crc(body), BinaryPrimitives.ReadUInt32BigEndian(png.AsSpan(at + 8 + length)));
            if (types[^1] == "IDAT")
            {
                using var pixels = new MemoryStream();
                using var inflate = new ZLibStream(new MemoryStream(body[4..].ToArray()), CompressionMode.Decompress);
                inflate.CopyTo(pixels);
                Assert.Equal(400 * ((640 * 3) + 1), pixels.Length);
            }
            at += length + 12;
        }
        Assert.Equal(["IHDR", "IDAT", "IEND"], types);
        Assert.Equal(0xcbf43926, Png.Crc("123456789"u8));
    }

    private static async Task<byte[]> Update(Stream vnc, bool incremental)
    {
        await vnc.WriteAsync(new byte[] { 3, incremental ? (byte)1 : (byte)0, 0, 0, 0, 0, 2, 128, 1, 144 }, Token);
        var head = await Read(vnc, 16);
        Assert.Equal([0, 0, 0, 1], head[..4]);
        return await Read(vnc, 640 * 400 * 4);
    }

    private static async Task<byte[]> Read(Stream stream, int count)
    {
        var bytes = new byte[count];
        await stream.ReadExactlyAsync(bytes, Token);
        return bytes;
    }
}
