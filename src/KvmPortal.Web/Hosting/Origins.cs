namespace KvmPortal.Web.Hosting;

/// <summary>Which site's script made a request: browsers send Origin with every WebSocket and every request that changes something.</summary>
internal static class Origins
{
    /// <summary>Whether the request's <c>Origin</c> is there and is the address that it was sent to.</summary>
    public static bool IsSame(HttpRequest request) =>
        Uri.TryCreate(request.Headers.Origin.ToString(), UriKind.Absolute, out var origin) && origin.Scheme is "http" or "https"
        && HostString.FromUriComponent(origin).Equals(WithoutDefaultPort(request)) && (!request.IsHttps || origin.Scheme == "https");

    /// <summary>For consoles, which tickets admit: no Origin (a program), this portal, or one that the operator allowed.</summary>
    public static bool MayOpenConsole(HttpRequest request, PortalSettings settings) =>
        request.Headers.Origin.Count == 0 || IsSame(request) || settings.EmbedOrigins.Contains(request.Headers.Origin.ToString(), StringComparer.OrdinalIgnoreCase);

    private static HostString WithoutDefaultPort(HttpRequest request) =>
        request.Host.Port is 80 && !request.IsHttps || request.Host.Port is 443 ? new HostString(request.Host.Host) : request.Host;
}
