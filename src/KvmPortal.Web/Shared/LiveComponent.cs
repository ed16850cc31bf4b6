using KvmPortal.Engine;
using Microsoft.AspNetCore.Components;

namespace KvmPortal.Web.Shared;

/// <summary>A component that follows something live: a token that ends with it, and redraws that are throttled to four a second.</summary>
public abstract class LiveComponent : ComponentBase, IDisposable
{
    private readonly CancellationTokenSource closing = new();
    private Throttle? throttle;

    [Inject] protected TimeProvider Time { get; set; } = TimeProvider.System;

    /// <summary>Cancelled when the component leaves the page.</summary>
    protected CancellationToken Closed => closing.Token;

    /// <summary>Asks for a redraw soon; safe from any thread and as often as one likes.</summary>
    protected void Redraw() => (throttle ??= new Throttle(Time, TimeSpan.FromMilliseconds(250), () => _ = RedrawSafely())).Request();

    /// <summary>Follows a stream until the component closes; a failure is handed to <paramref name="failed"/>, never lost.</summary>
    protected void Follow<T>(IAsyncEnumerable<T> stream, Action<T> take, Action<Exception>? failed = null) => _ = FollowAsync(stream, take, failed);

    private async Task FollowAsync<T>(IAsyncEnumerable<T> stream, Action<T> take, Action<Exception>? failed)
    {
        try
        {
            await foreach (var item in stream.WithCancellation(Closed))
                take(item);
        }
        catch (OperationCanceledException) when (Closed.IsCancellationRequested)
        {
        }
        catch (PortalException e)
        {
            failed?.Invoke(e);
            Redraw();
        }
        catch (Exception e)
        {
            if (failed is null)
                await DispatchExceptionAsync(e);
            else
            {
                failed(e);
                Redraw();
            }
        }
    }

    private async Task RedrawSafely()
    {
        try
        {
            await InvokeAsync(StateHasChanged);
        }
        catch (ObjectDisposedException)
        {
            // The page was left between the request and the redraw.
        }
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
        if (!disposing || closing.IsCancellationRequested)
            return;
        closing.Cancel();
        closing.Dispose();
        throttle?.Dispose();
    }
}
