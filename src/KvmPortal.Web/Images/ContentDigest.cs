using KvmPortal.Engine;

namespace KvmPortal.Web.Images;

/// <summary>The header <c>Content-Digest</c> (RFC 9530).</summary>
internal static class ContentDigest
{
    /// <summary>The SHA-256 that was announced, lower-case hex; null when the header is not there. Throws Malformed for what cannot be checked.</summary>
    public static string? Sha256(string header)
    {
        if (header.Length == 0)
            return null;
        foreach (var member in header.Split(',', StringSplitOptions.TrimEntries))
        {
            if (!member.StartsWith("sha-256=:", StringComparison.OrdinalIgnoreCase) || !member.EndsWith(':') || member.Length < 11)
                continue;
            var bytes = new byte[48];
            if (Convert.TryFromBase64String(member[9..^1], bytes, out var written) && written == 32)
                return Convert.ToHexStringLower(bytes.AsSpan(0, 32));
        }

        throw new PortalException(ErrorCode.Malformed, "Content-Digest cannot be checked.") { Hint = "Send it as sha-256=:BASE64: with the digest's 32 bytes, or leave it out." };
    }
}
