using KvmPortal.Engine.Data;

namespace KvmPortal.Web.Vms;

/// <summary>Enums as the options of a form: the same words as in the definition's JSON.</summary>
internal static class Choices
{
    public static IReadOnlyList<string> Of<TEnum>() where TEnum : struct, Enum => [.. Enum.GetValues<TEnum>().Select(PortalJson.Text)];

    public static TEnum Parse<TEnum>(string text) where TEnum : struct, Enum => Enum.GetValues<TEnum>().First(v => PortalJson.Text(v) == text);
}
