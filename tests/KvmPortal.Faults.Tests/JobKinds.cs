using System.Reflection;
using System.Text.Json.Serialization;
using KvmPortal.Engine.Data;
using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;

namespace KvmPortal.Faults.Tests;

/// <summary>The kinds of jobs as the code declares them: each intent, and for actions each action.</summary>
internal static class JobKinds
{
    public static IReadOnlyList<string> All { get; } =
    [
        .. typeof(JobIntent).GetCustomAttributes<JsonDerivedTypeAttribute>().SelectMany(a => a.DerivedType == typeof(VmActionIntent)
            ? Enum.GetValues<VmAction>().Select(action => $"{a.TypeDiscriminator}/{PortalJson.Text(action)}") : [(string)a.TypeDiscriminator!]),
    ];

    public static string Of(JobIntent intent)
    {
        var name = (string)typeof(JobIntent).GetCustomAttributes<JsonDerivedTypeAttribute>().Single(a => a.DerivedType == intent.GetType()).TypeDiscriminator!;
        return intent is VmActionIntent action ? $"{name}/{PortalJson.Text(action.Action)}" : name;
    }
}
