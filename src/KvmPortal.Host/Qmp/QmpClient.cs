using System.Buffers;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using KvmPortal.Host.Consoles;
using KvmPortal.Host.Contract;
using Microsoft.Win32.SafeHandles;

namespace KvmPortal.Host.Qmp;

/// <summary>An event as QEMU sent it.</summary>
/// <param name="Data">Always an object; empty where the peer sent none.</param>
internal sealed record QmpEvent(string Name, JsonElement Data);

/// <summary>
/// A QMP conversation over one stream (QEMU's docs/interop/qmp-spec). Commands carry ids, so several may be under way; events go to a bounded queue.
/// The peer is hostile: lines are bounded, each command has a deadline, rubbish ends the conversation.
/// </summary>
internal sealed class QmpClient : IAsyncDisposable
{
    public const int MostLineBytes = 8 * 1024 * 1024;
    /// <summary>What is read of a peer in a second; one that floods is left to block on its socket, so that it takes nothing from others.</summary>
    public const int MostMessagesPerSecond = 2000;
    private const long MostBytesPerSecond = 32 << 20;
    private const int MostErrorText = 1000;
    public static readonly TimeSpan GreetingTime = TimeSpan.FromSeconds(10);
    private static readonly JsonElement Nothing = JsonElement.Parse("{}");
    private readonly Stream stream;
    private readonly Socket? socket;
    private readonly SemaphoreSlim sending = new(1, 1);
    private readonly ConcurrentDictionary<long, TaskCompletionSource<JsonElement>> waiting = new();
    private readonly Channel<QmpEvent> events = Channel.CreateBounded<QmpEvent>(new BoundedChannelOptions(1024) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
    private readonly CancellationTokenSource ended = new();
    private readonly PipeReader reader;
    private Task reading = Task.CompletedTask;
    private long lastId;
    private int messages;
    private long bytes;
    private long second = Stopwatch.GetTimestamp();

    private QmpClient(Stream stream, Socket? socket)
    {
        (this.stream, this.socket) = (stream, socket);
        reader = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 16 * 1024));
    }

    /// <summary>Events in order; completes when the peer is gone.</summary>
    public ChannelReader<QmpEvent> Events => events.Reader;

    /// <summary>Raised when the peer did not answer a command in time: it hangs, or is very busy.</summary>
    public Action? Unanswered { get; set; }

    /// <summary>Cancelled when the peer is gone.</summary>
    public CancellationToken Ended => ended.Token;

    /// <summary>Greets and negotiates. Throws <see cref="HostException"/> (Timeout, QmpFailed) when the peer is no QMP server.</summary>
    public static async Task<QmpClient> OpenAsync(Stream stream, Socket? socket, CancellationToken ct)
    {
        var client = new QmpClient(stream, socket);
        try
        {
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
            deadline.CancelAfter(GreetingTime);
            var greeting = await client.ReadLineAsync(deadline.Token) ?? throw new HostException(HostError.QmpFailed, "QEMU closed the control connection before it greeted.");
            if (greeting.ValueKind != JsonValueKind.Object || !greeting.TryGetProperty("QMP", out _))
                throw new HostException(HostError.QmpFailed, "What listens on the control socket does not speak QMP.");
            client.reading = client.ReadAllAsync();
            await client.ExecuteAsync("qmp_capabilities", null, GreetingTime, ct);
            return client;
        }
        catch (Exception e)
        {
            await client.DisposeAsync();
            if (e is OperationCanceledException && !ct.IsCancellationRequested)
                throw new HostException(HostError.Timeout, $"QEMU did not greet on its control socket within {GreetingTime.TotalSeconds} s.", e);
            if (e is JsonException or IOException or InvalidDataException)
                throw new HostException(HostError.QmpFailed, "What listens on the control socket does not speak QMP.", e);
            throw;
        }
    }

    public static async Task<QmpClient> ConnectAsync(string path, int? pid, CancellationToken ct)
    {
        var socket = await UnixStream.OpenAsync(path, pid, ct);
        try
        {
            return await OpenAsync(new NetworkStream(socket, ownsSocket: true), socket, ct);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Runs a command and returns its `return`. Throws <see cref="HostException"/>: QmpFailed with QEMU's class and text, Timeout, NotRunning when the peer is gone.</summary>
    /// <param name="command">Name; the closed list is <see cref="QmpCommands"/>.</param>
    /// <param name="arguments">Serialised as `arguments`; null for none.</param>
    /// <param name="timeout">How long the answer may take.</param>
    /// <param name="handle">A file descriptor that goes with the command (`getfd`).</param>
    public async Task<JsonElement> ExecuteAsync(string command, object? arguments, TimeSpan timeout, CancellationToken ct, SafeFileHandle? handle = null)
    {
        var id = Interlocked.Increment(ref lastId);
        var answer = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        waiting[id] = answer;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(ct, ended.Token);
        deadline.CancelAfter(timeout);
        try
        {
            await SendAsync(Line(command, arguments, id), handle, deadline.Token);
            return await answer.Task.WaitAsync(deadline.Token);
        }
        catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
        {
            if (!ended.IsCancellationRequested)
                Unanswered?.Invoke();
            throw ended.IsCancellationRequested
                ? new HostException(HostError.NotRunning, $"QEMU ended while it was asked to {command}.", e)
                : new HostException(HostError.Timeout, $"QEMU did not answer {command} within {timeout.TotalSeconds:0.#} s.", e);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            throw new HostException(HostError.NotRunning, $"QEMU ended while it was asked to {command}.", e);
        }
        finally
        {
            waiting.TryRemove(id, out _);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        await stream.DisposeAsync();
        await reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        events.Writer.TryComplete();
    }

    private static byte[] Line(string command, object? arguments, long id)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("execute", command);
            if (arguments is not null)
            {
                json.WritePropertyName("arguments");
                JsonSerializer.Serialize(json, arguments, QmpCommands.Json);
            }

            json.WriteNumber("id", id);
            json.WriteEndObject();
        }

        buffer.Write("\r\n"u8);
        return buffer.WrittenSpan.ToArray();
    }

    private async Task SendAsync(byte[] line, SafeFileHandle? handle, CancellationToken ct)
    {
        await sending.WaitAsync(ct);
        try
        {
            if (handle is null)
                await stream.WriteAsync(line, ct);
            else
                DescriptorPassing.Send(socket ?? throw new InvalidOperationException("Descriptors go over a unix socket only."), line, handle);
        }
        finally
        {
            sending.Release();
        }
    }

    private async Task ReadAllAsync()
    {
        try
        {
            while (await ReadLineAsync(ended.Token) is { } message)
            {
                Dispatch(message);
                await PaceAsync();
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException or JsonException or InvalidDataException or InvalidOperationException)
        {
            // QEMU is gone (an ECONNRESET is an end like any other), or it talks rubbish: either way this conversation is over.
        }
        finally
        {
            await ended.CancelAsync();
            // A peer that talks rubbish must see the end too, or it would block on a socket that nobody reads.
            await stream.DisposeAsync();
            events.Writer.TryComplete();
            foreach (var (_, answer) in waiting)
                answer.TrySetCanceled();
        }
    }

    private async Task PaceAsync()
    {
        messages++;
        if (messages < MostMessagesPerSecond && bytes < MostBytesPerSecond)
            return;
        var passed = Stopwatch.GetElapsedTime(second);
        if (passed < TimeSpan.FromSeconds(1))
            await Task.Delay(TimeSpan.FromSeconds(1) - passed, ended.Token);
        (messages, bytes, second) = (0, 0, Stopwatch.GetTimestamp());
    }

    private void Dispatch(JsonElement message)
    {
        if (message.ValueKind != JsonValueKind.Object)
            throw new InvalidDataException("Not a QMP message.");
        if (message.TryGetProperty("event", out var name) && name.ValueKind == JsonValueKind.String)
            events.Writer.TryWrite(new QmpEvent(name.GetString()!, message.TryGetProperty("data", out var data) && data.ValueKind == JsonValueKind.Object ? data : Nothing));
        else if (message.TryGetProperty("id", out var id) && id.TryGetInt64(out var number) && waiting.TryGetValue(number, out var answer))
        {
            if (message.TryGetProperty("return", out var value))
                answer.TrySetResult(value);
            else if (message.TryGetProperty("error", out var error))
                answer.TrySetException(Failure(error));
        }
    }

    private static HostException Failure(JsonElement error)
    {
        var text = error.ValueKind == JsonValueKind.Object && error.TryGetProperty("desc", out var d) ? d.ToString() : "no reason given";
        var kind = error.ValueKind == JsonValueKind.Object && error.TryGetProperty("class", out var c) ? c.ToString() : "GenericError";
        return new HostException(HostError.QmpFailed, $"QEMU refused: {PeerText.Clean(text, MostErrorText)}") { QmpClass = PeerText.Clean(kind, 64) };
    }

    private async Task<JsonElement?> ReadLineAsync(CancellationToken ct)
    {
        while (true)
        {
            var result = await reader.ReadAsync(ct);
            var buffer = result.Buffer;
            if (buffer.PositionOf((byte)'\n') is { } end)
            {
                var message = Parse(buffer.Slice(0, end));
                bytes += buffer.Slice(0, end).Length;
                reader.AdvanceTo(buffer.GetPosition(1, end));
                if (message is { } parsed)
                    return parsed;
                continue;
            }

            if (buffer.Length > MostLineBytes)
                throw new InvalidDataException("A line of the QMP peer is too long.");
            reader.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted)
                return null;
        }
    }

    private static JsonElement? Parse(ReadOnlySequence<byte> line)
    {
        if (Encoding.UTF8.GetString(line).AsSpan().Trim().IsEmpty)
            return null;
        using var document = JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 64 });
        return document.RootElement.Clone();
    }
}
