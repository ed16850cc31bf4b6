using System.Data.Common;
using KvmPortal.Engine.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;

namespace KvmPortal.Engine.Metrics;

/// <summary>
/// Minutes (30 days) and hours (a year) in the database. Plain SQL with prepared commands: thousands of rows a minute go through here, and every
/// statement walks the primary key (VM, step, time) so that its cost does not grow with the table.
/// </summary>
internal sealed class RollupStore(PortalStore store)
{
    public const int MinuteSeconds = 60;
    public const int HourSeconds = 3600;
    public static readonly TimeSpan MinutesKept = TimeSpan.FromDays(30);
    public static readonly TimeSpan HoursKept = TimeSpan.FromDays(366);
    private const int VmsPerTransaction = 50;

    private static readonly string[] Rates =
    [
        "Cpu", "DiskReadBytesPerSecond", "DiskWriteBytesPerSecond", "DiskReadsPerSecond", "DiskWritesPerSecond",
        "NetReceiveBytesPerSecond", "NetTransmitBytesPerSecond", "NetReceivePacketsPerSecond", "NetTransmitPacketsPerSecond",
    ];

    private static readonly string[] Memory = ["RssBytes", "BalloonBytes"];
    private static readonly string[] HostMeans = ["CpuBusy", "Load1", "CpuPressure", "MemoryPressure", "IoPressure"];

    private static readonly string InsertVm = Upsert("VmRollups", ["VmId", "StepSeconds", "At"], [.. Rates, .. Memory],
        $"VALUES ($id, 60, $at, {string.Join(", ", Enumerable.Range(0, Rates.Length + Memory.Length).Select(i => $"$v{i}"))})");

    private static readonly string DeriveVmHours = Upsert("VmRollups", ["VmId", "StepSeconds", "At"], [.. Rates, .. Memory],
        $"""
         SELECT "VmId", 3600, "At" / $hour * $hour, {string.Join(", ", Rates.Select(r => $"AVG(\"{r}\")"))}, {string.Join(", ", Memory.Select(m => $"MAX(\"{m}\")"))}
         FROM "VmRollups" WHERE "VmId" = $id AND "StepSeconds" = 60 AND "At" < $end
           AND "At" >= COALESCE((SELECT MAX("At") + $hour FROM "VmRollups" WHERE "VmId" = $id AND "StepSeconds" = 3600), 0)
         GROUP BY "VmId", "At" / $hour
         """);

    private static readonly string DeriveHostHours = Upsert("HostRollups", ["StepSeconds", "At"], [.. HostMeans, "MemoryTotalBytes", "MemoryAvailableBytes"],
        $"""
         SELECT 3600, "At" / $hour * $hour, {string.Join(", ", HostMeans.Select(r => $"AVG(\"{r}\")"))}, MAX("MemoryTotalBytes"), MIN("MemoryAvailableBytes")
         FROM "HostRollups" WHERE "StepSeconds" = 60 AND "At" < $end
           AND "At" >= COALESCE((SELECT MAX("At") + $hour FROM "HostRollups" WHERE "StepSeconds" = 3600), 0)
         GROUP BY "At" / $hour
         """);

    /// <summary>The start of the span that a moment lies in.</summary>
    public static DateTimeOffset Floor(DateTimeOffset at, TimeSpan span) => new(at.UtcTicks / span.Ticks * span.Ticks, TimeSpan.Zero);

    /// <summary>Stores one minute of the host and of every VM that ran in it, in one transaction. A minute that was stored already is replaced.</summary>
    public async Task StoreMinuteAsync(DateTimeOffset minute, RecentMetrics recent, CancellationToken ct)
    {
        var means = recent.Means(minute, minute.AddMinutes(1));
        var host = HostMean.Of(minute, recent.Host(minute, minute.AddMinutes(1)));
        await store.WriteAsync(async db =>
        {
            if (host is not null)
            {
                await db.HostRollups.Where(h => h.StepSeconds == MinuteSeconds && h.At == minute).ExecuteDeleteAsync(ct);
                db.HostRollups.Add(new HostRollup
                {
                    StepSeconds = MinuteSeconds,
                    At = minute,
                    CpuBusy = host.CpuBusy,
                    MemoryTotalBytes = host.MemoryTotalBytes,
                    MemoryAvailableBytes = host.MemoryAvailableBytes,
                    Load1 = host.Load1,
                    CpuPressure = host.CpuPressure,
                    MemoryPressure = host.MemoryPressure,
                    IoPressure = host.IoPressure,
                });
            }

            await using var insert = Command(db, InsertVm);
            var id = Parameter(insert, "$id");
            Parameter(insert, "$at").Value = minute.UtcTicks;
            var values = Enumerable.Range(0, Rates.Length + Memory.Length).Select(i => Parameter(insert, $"$v{i}")).ToArray();
            foreach (var (vm, mean) in means)
            {
                id.Value = vm.Value;
                for (var i = 0; i < Rates.Length; i++)
                    values[i].Value = mean.Rate(i) is { } rate ? rate : DBNull.Value;
                values[^2].Value = VmReading.Bytes(mean.RssPages) is { } rss ? rss : DBNull.Value;
                values[^1].Value = VmReading.Bytes(mean.BalloonPages) is { } balloon ? balloon : DBNull.Value;
                await insert.ExecuteNonQueryAsync(ct);
            }
        }, ct);
    }

    /// <summary>Derives the hours before <paramref name="now"/> that are not there yet (also those from before a restart), then removes what is too old.</summary>
    public async Task TidyAsync(DateTimeOffset now, CancellationToken ct)
    {
        var hour = Floor(now, TimeSpan.FromHours(1));
        var minutesFrom = now - MinutesKept;
        var hoursFrom = now - HoursKept;
        await store.WriteAsync(async db =>
        {
            await using var derive = Command(db, DeriveHostHours);
            AddHour(derive, hour);
            await derive.ExecuteNonQueryAsync(ct);
            await db.HostRollups.Where(h => (h.StepSeconds == MinuteSeconds && h.At < minutesFrom) || (h.StepSeconds == HourSeconds && h.At < hoursFrom)).ExecuteDeleteAsync(ct);
        }, ct);
        // Ids are taken from the table, because VMs that were deleted are tidied too; in small transactions, because others want to write.
        string? after = null;
        while ((after = await store.WriteAsync(db => TidySomeAsync(db, after, now, ct), ct)) is not null)
        {
        }
    }

    public Task<List<VmRollup>> VmAsync(VmId id, int stepSeconds, DateTimeOffset from, DateTimeOffset to, CancellationToken ct) =>
        store.ReadAsync(db => db.VmRollups.Where(r => r.VmId == id && r.StepSeconds == stepSeconds && r.At >= from && r.At < to).OrderBy(r => r.At).ToListAsync(ct), ct);

    public Task<List<HostRollup>> HostAsync(int stepSeconds, DateTimeOffset from, DateTimeOffset to, CancellationToken ct) =>
        store.ReadAsync(db => db.HostRollups.Where(r => r.StepSeconds == stepSeconds && r.At >= from && r.At < to).OrderBy(r => r.At).ToListAsync(ct), ct);

    /// <summary>Returns the last id done; null when there are no more.</summary>
    private static async Task<string?> TidySomeAsync(PortalDb db, string? after, DateTimeOffset now, CancellationToken ct)
    {
        await using var next = Command(db, "SELECT MIN(\"VmId\") FROM \"VmRollups\" WHERE \"VmId\" > $id");
        await using var derive = Command(db, DeriveVmHours);
        await using var prune = Command(db, "DELETE FROM \"VmRollups\" WHERE \"VmId\" = $id AND ((\"StepSeconds\" = 60 AND \"At\" < $minutes) OR (\"StepSeconds\" = 3600 AND \"At\" < $hours))");
        AddHour(derive, Floor(now, TimeSpan.FromHours(1)));
        Parameter(prune, "$minutes").Value = (now - MinutesKept).UtcTicks;
        Parameter(prune, "$hours").Value = (now - HoursKept).UtcTicks;
        var ids = new[] { Parameter(next, "$id"), Parameter(derive, "$id"), Parameter(prune, "$id") };
        var current = after ?? "";
        for (var i = 0; i < VmsPerTransaction; i++)
        {
            ids[0].Value = current;
            if (await next.ExecuteScalarAsync(ct) is not string found)
                return null;
            current = found;
            ids[1].Value = ids[2].Value = found;
            await derive.ExecuteNonQueryAsync(ct);
            await prune.ExecuteNonQueryAsync(ct);
        }

        return current;
    }

    private static void AddHour(DbCommand command, DateTimeOffset end)
    {
        Parameter(command, "$hour").Value = TimeSpan.TicksPerHour;
        Parameter(command, "$end").Value = end.UtcTicks;
    }

    private static DbCommand Command(PortalDb db, string sql)
    {
        var command = db.Database.GetDbConnection().CreateCommand();
        command.CommandText = sql;
        command.Transaction = db.Database.CurrentTransaction?.GetDbTransaction();
        return command;
    }

    private static DbParameter Parameter(DbCommand command, string name)
    {
        var made = command.CreateParameter();
        made.ParameterName = name;
        command.Parameters.Add(made);
        return made;
    }

    private static string Upsert(string table, string[] key, string[] values, string source) =>
        $"INSERT INTO \"{table}\" ({Names([.. key, .. values])}) {source} ON CONFLICT ({Names(key)}) DO UPDATE SET {string.Join(", ", values.Select(v => $"\"{v}\" = excluded.\"{v}\""))}";

    private static string Names(IEnumerable<string> columns) => string.Join(", ", columns.Select(c => $"\"{c}\""));
}
