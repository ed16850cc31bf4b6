namespace KvmPortal.Web.Resources;

/// <summary>Names the resource files of the score page (<c>ScoreText.resx</c>, <c>ScoreText.zh-CN.resx</c>) for <c>IStringLocalizer</c>.</summary>
public sealed class ScoreText;
