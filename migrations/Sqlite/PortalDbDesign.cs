using KvmPortal.Engine.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Design;

namespace KvmPortal.Migrations.Sqlite;

/// <summary>Lets `dotnet ef` make the model without the web project.</summary>
public sealed class PortalDbDesign : IDesignTimeDbContextFactory<PortalDb>
{
    /// <inheritdoc/>
    public PortalDb CreateDbContext(string[] args) =>
        new(new DbContextOptionsBuilder<PortalDb>().UseSqlite("Data Source=design-time.db", sqlite => sqlite.MigrationsAssembly(typeof(PortalDbDesign).Assembly.GetName().Name)).Options);
}
