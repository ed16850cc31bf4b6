using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using KvmPortal.Engine;
using Microsoft.AspNetCore.SignalR;

namespace KvmPortal.Web.Hosting;

/// <summary>
/// Tells who is connected for long (consoles, event streams, who waits for a job) that the portal stops, a moment before the connections are closed: a reason can
/// still be sent then. Listens to the signals in the place of .NET's own lifetime.
/// <code>
///  SIGTERM, SIGINT, SIGQUIT ► Token: everybody says goodbye ► 0.3 s ► the host stops (8 s at most; running steps get 5 s of them)
/// </code>
/// </summary>
public sealed class Goodbye : IHostLifetime, IDisposable
{
    /// <summary>For all that stops.</summary>
    public static readonly TimeSpan MostTime = TimeSpan.FromSeconds(8);

    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(300);
    private readonly CancellationTokenSource saying = new();
    private readonly IHostApplicationLifetime life;
    private readonly TimeProvider time;
    private readonly List<PosixSignalRegistration> signals = [];

    public Goodbye(IHostApplicationLifetime life, TimeProvider time)
    {
        (this.life, this.time) = (life, time);
        life.ApplicationStopping.Register(saying.Cancel);
    }

    /// <summary>Cancelled when the portal is about to stop.</summary>
    public CancellationToken Token => saying.Token;

    /// <summary>A hub's stream that ends with the reason when the portal stops.</summary>
    public async IAsyncEnumerable<T> UntilStopping<T>(IAsyncEnumerable<T> stream, [EnumeratorCancellation] CancellationToken ct)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(ct, Token);
        await using var items = stream.GetAsyncEnumerator(either.Token);
        while (true)
        {
            try
            {
                if (!await items.MoveNextAsync())
                    yield break;
            }
            catch (OperationCanceledException) when (Token.IsCancellationRequested && !ct.IsCancellationRequested)
            {
                throw new HubException(Say.PortalStops);
            }

            yield return items.Current;
        }
    }

    /// <inheritdoc/>
    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        foreach (var signal in new[] { PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGQUIT })
            signals.Add(PosixSignalRegistration.Create(signal, asked =>
            {
                asked.Cancel = true;
                _ = StopAsync();
            }));
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose()
    {
        foreach (var signal in signals)
            signal.Dispose();
        saying.Dispose();
    }

    private async Task StopAsync()
    {
        await saying.CancelAsync();
        await Task.Delay(Moment, time);
        life.StopApplication();
    }
}
