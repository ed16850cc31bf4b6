namespace KvmPortal.Web.Resources;

/// <summary>Names the resource files of a machine's own pages (<c>VmText.resx</c>, <c>VmText.zh-CN.resx</c>) for <c>IStringLocalizer</c>.</summary>
public sealed class VmText;
