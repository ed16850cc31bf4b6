namespace KvmPortal.Web.Resources;

/// <summary>Names the resource files of placement (<c>PlacementText.resx</c>, <c>PlacementText.zh-CN.resx</c>) for <c>IStringLocalizer</c>.</summary>
public sealed class PlacementText;
