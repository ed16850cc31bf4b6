namespace KvmPortal.Engine.Tests;

/// <summary>Tests that measure the whole process, or would notice that another test closes all pooled connections: no other runs beside them.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;
