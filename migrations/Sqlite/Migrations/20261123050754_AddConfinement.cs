using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace KvmPortal.Migrations.Sqlite.Migrations
{
    /// <inheritdoc />
    public partial class AddConfinement : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "Confinement",
                table: "Vms",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<int>(
                name: "Uid",
                table: "Vms",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.CreateTable(
                name: "MachineUids",
                columns: table => new
                {
                    Uid = table.Column<int>(type: "INTEGER", nullable: false),
                    VmId = table.Column<Guid>(type: "TEXT", nullable: true),
                    FreedAt = table.Column<long>(type: "INTEGER", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_MachineUids", x => x.Uid);
                });

            migrationBuilder.CreateTable(
                name: "PortalFacts",
                columns: table => new
                {
                    Key = table.Column<string>(type: "TEXT", nullable: false),
                    Value = table.Column<string>(type: "TEXT", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_PortalFacts", x => x.Key);
                });

            migrationBuilder.CreateIndex(
                name: "IX_MachineUids_VmId",
                table: "MachineUids",
                column: "VmId",
                unique: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "MachineUids");

            migrationBuilder.DropTable(
                name: "PortalFacts");

            migrationBuilder.DropColumn(
                name: "Confinement",
                table: "Vms");

            migrationBuilder.DropColumn(
                name: "Uid",
                table: "Vms");
        }
    }
}
