using System.Text;
using KvmPortal.Engine.Access;
using KvmPortal.Engine.Data;

namespace KvmPortal.Engine.Tests.Access;

/// <summary>Keys, and what a crash leaves of them.</summary>
public sealed class IdempotencyStoreTests
{
    private static readonly UserId Ada = UserId.From(Guid.CreateVersion7());

    [Fact]
    public async Task A_key_that_a_crash_left_without_an_answer_is_given_to_the_same_request_again()
    {
        await using var portal = await TestPortal.StartAsync();
        var crashed = new IdempotencyStore(portal.Store, TimeProvider.System);
        Assert.Null(await crashed.BeginAsync(Ada, "k", "digest", default));
        // While that process lives, the key is taken.
        Assert.Equal(ErrorCode.Conflict, (await Assert.ThrowsAsync<PortalException>(() => crashed.BeginAsync(Ada, "k", "digest", default))).Code);
        Assert.Equal(ErrorCode.Invalid, (await Assert.ThrowsAsync<PortalException>(() => crashed.BeginAsync(Ada, "k", "another", default))).Code);

        var next = new IdempotencyStore(portal.Store, TimeProvider.System);
        Assert.Equal(ErrorCode.Invalid, (await Assert.ThrowsAsync<PortalException>(() => next.BeginAsync(Ada, "k", "another", default))).Code);
        Assert.Null(await next.BeginAsync(Ada, "k", "digest", default));
        Assert.Equal(ErrorCode.Conflict, (await Assert.ThrowsAsync<PortalException>(() => next.BeginAsync(Ada, "k", "digest", default))).Code);
        await next.EndAsync(Ada, "k", new KeptAnswer(201, "/there", "application/json", Encoding.UTF8.GetBytes("{}")), default);

        var later = new IdempotencyStore(portal.Store, TimeProvider.System);
        Assert.Equal(201, (await later.BeginAsync(Ada, "k", "digest", default))!.Status);
        Assert.Equal("/there", (await later.BeginAsync(Ada, "k", "digest", default))!.Location);
    }

    [Fact]
    public async Task A_forgotten_key_is_free_at_once()
    {
        await using var portal = await TestPortal.StartAsync();
        var keys = new IdempotencyStore(portal.Store, TimeProvider.System);
        Assert.Null(await keys.BeginAsync(Ada, "k", "one", default));
        await keys.ForgetAsync(Ada, "k", default);
        Assert.Null(await keys.BeginAsync(Ada, "k", "two", default));
    }

    [Fact]
    public async Task Of_many_requests_at_once_one_has_the_key()
    {
        await using var portal = await TestPortal.StartAsync();
        var left = new IdempotencyStore(portal.Store, TimeProvider.System);
        Assert.Null(await left.BeginAsync(Ada, "k", "digest", default));
        var keys = new IdempotencyStore(portal.Store, TimeProvider.System);
        var had = await Task.WhenAll(Enumerable.Range(0, 16).Select(async _ =>
        {
            try
            {
                return await keys.BeginAsync(Ada, "k", "digest", default) is null;
            }
            catch (PortalException e) when (e.Code == ErrorCode.Conflict)
            {
                return false;
            }
        }));
        Assert.Single(had, won => won);
    }
}
