using System.Runtime.CompilerServices;
using System.Text.Json;

namespace KvmPortal.Engine;

/// <summary>
/// Every sentence that the engine says, in English, one line each: the member's name in kebab-case is its code, the parameters are its named values.
/// Other languages translate by code (the web's SentenceText resources); a test holds that none is missing.
/// </summary>
public static partial class Say
{
    private static Sentence Make(SentenceBuilder built, [CallerMemberName] string name = "") => new(built.Text, CodeOf(name), built.Values);

    private static Sentence Make(string text, [CallerMemberName] string name = "") => new(text, CodeOf(name));

    /// <summary>The code of a member: `DiskInUse` is `disk-in-use`.</summary>
    public static string CodeOf(string member) => JsonNamingPolicy.KebabCaseLower.ConvertName(member);
}
