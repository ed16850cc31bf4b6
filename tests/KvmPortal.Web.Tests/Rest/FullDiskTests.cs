using KvmPortal.Engine.Tests;

namespace KvmPortal.Web.Tests.Rest;

/// <summary>A portal whose data directory is on a small file system of its own.</summary>
public sealed class FullPortal : RunningPortal
{
    internal SmallFileSystem Small { get; private set; } = null!;

    public override ValueTask InitializeAsync()
    {
        Small = SmallFileSystem.At(Data, "24m");
        return base.InitializeAsync();
    }
}

public sealed class FullDiskTests(FullPortal portal) : IClassFixture<FullPortal>
{
    [Fact]
    public async Task Clients_read_on_a_full_disk_are_told_why_they_cannot_write_and_can_again()
    {
        try
        {
            await portal.MachineAsync("before");
            Assert.Equal("Healthy", await (await portal.GetAsync("/readyz")).Content.ReadAsStringAsync());
            portal.Small.Fill();
            var refused = await portal.SendAsync("POST", "/api/v1/vms", RunningPortal.Definition("during-0"));
            for (var i = 1; i < 100 && refused.IsSuccessStatusCode; i++)
                refused = await portal.SendAsync("POST", "/api/v1/vms", RunningPortal.Definition($"during-{i}"));
            var problem = await ProblemAssert.IsAsync(refused, 507, "disk-full");
            Assert.Contains(portal.Data, problem["detail"]!.GetValue<string>(), StringComparison.Ordinal);
            Assert.Contains("0 of 24 MiB are free", problem["detail"]!.GetValue<string>(), StringComparison.Ordinal);
            Assert.Contains("Make room", problem["hint"]!.GetValue<string>(), StringComparison.Ordinal);
            await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/tokens", new { name = "t", expiresInDays = 1 }), 507, "disk-full");
            await ProblemAssert.IsAsync(await portal.SendAsync("POST", "/api/v1/images?name=i", new byte[1000]), 507, "disk-full");
            await portal.JsonAsync("/api/v1/vms/before");
            await portal.JsonAsync("/api/v1/jobs");
            await portal.JsonAsync("/api/v1/hosts");
            var ready = await portal.GetAsync("/readyz");
            Assert.Equal((HttpStatusCode.OK, "Degraded"), (ready.StatusCode, await ready.Content.ReadAsStringAsync()));

            portal.Small.Empty();
            var healthy = "";
            for (var i = 0; i < 150 && healthy != "Healthy"; i++, await Task.Delay(100))
                healthy = await (await portal.GetAsync("/readyz")).Content.ReadAsStringAsync();
            Assert.Equal("Healthy", healthy);
            await portal.MachineAsync("after");
        }
        finally
        {
            portal.Small.Dispose();
        }
    }
}
