using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace KvmPortal.Migrations.Sqlite.Migrations
{
    /// <inheritdoc />
    public partial class Profiles : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "Profiles",
                columns: table => new
                {
                    Name = table.Column<string>(type: "TEXT", maxLength: 40, nullable: false),
                    BasedOn = table.Column<string>(type: "TEXT", nullable: false),
                    Description = table.Column<string>(type: "TEXT", nullable: false),
                    Knobs = table.Column<string>(type: "TEXT", nullable: false),
                    Version = table.Column<int>(type: "INTEGER", nullable: false),
                    ChangedAt = table.Column<long>(type: "INTEGER", nullable: false),
                    ChangedBy = table.Column<string>(type: "TEXT", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_Profiles", x => x.Name);
                });
            // An operator's own profile has any name, so the column holds names as the definition writes them.
            migrationBuilder.Sql("UPDATE Vms SET Profile = CASE Profile WHEN 'General' THEN 'general' WHEN 'LowLatency' THEN 'low-latency' WHEN 'Hpc' THEN 'hpc' WHEN 'AiMl' THEN 'ai-ml' ELSE Profile END");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("UPDATE Vms SET Profile = CASE Profile WHEN 'low-latency' THEN 'LowLatency' WHEN 'hpc' THEN 'Hpc' WHEN 'ai-ml' THEN 'AiMl' ELSE 'General' END");
            migrationBuilder.DropTable(
                name: "Profiles");
        }
    }
}
