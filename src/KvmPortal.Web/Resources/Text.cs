namespace KvmPortal.Web.Resources;

/// <summary>Names the resource files of the shell and of the pages around it (<c>Text.resx</c>, <c>Text.zh-CN.resx</c>) for <c>IStringLocalizer</c>.</summary>
public sealed class Text;
