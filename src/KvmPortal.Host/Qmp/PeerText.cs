namespace KvmPortal.Host.Qmp;

/// <summary>Words of a peer that a guest may have taken over: made short and printable before anybody stores or shows them.</summary>
internal static class PeerText
{
    /// <summary>At most <paramref name="most"/> characters, without control characters.</summary>
    public static string Clean(string text, int most) =>
        string.Create(Math.Min(text.Length, most), text, (to, from) =>
        {
            for (var i = 0; i < to.Length; i++)
                to[i] = char.IsControl(from[i]) ? ' ' : from[i];
        }) + (text.Length > most ? "…" : "");
}
