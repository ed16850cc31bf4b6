namespace KvmPortal.Engine;

/// <summary>What a list is asked for: the same members for every collection.</summary>
/// <param name="Limit">1..500.</param>
/// <param name="Cursor">Opaque; from the previous page.</param>
/// <param name="Sort">Field name, `-` in front for descending.</param>
/// <param name="Text">Free text (`q`).</param>
/// <param name="Filter">The filter grammar: `field op value`, and / or / not, parentheses (see FilterExpression).</param>
public sealed record ListQuery(int Limit = 100, string? Cursor = null, string? Sort = null, string? Text = null, string? Filter = null);

/// <summary>One page of a list; <paramref name="NextCursor"/> is null on the last one.</summary>
public sealed record ListPage<T>(IReadOnlyList<T> Items, string? NextCursor);
