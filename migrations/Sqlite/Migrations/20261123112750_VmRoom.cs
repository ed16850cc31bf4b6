using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace KvmPortal.Migrations.Sqlite.Migrations
{
    /// <inheritdoc />
    public partial class VmRoom : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "StartedWith",
                table: "Vms",
                type: "TEXT",
                nullable: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "StartedWith",
                table: "Vms");
        }
    }
}
