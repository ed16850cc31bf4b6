using System.Globalization;

namespace KvmPortal.Web.Shared;

/// <summary>Numbers as people read them: at most three significant figures, binary units for memory and disks, decimal bits for networks.</summary>
public static class Format
{
    private static readonly string[] Binary = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    private static readonly string[] Decimal = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];

    /// <summary>What stands where there is no value.</summary>
    public const string None = "–";

    /// <summary>Bytes as KiB, MiB, GiB …</summary>
    public static string Bytes(double? bytes) => bytes is { } b ? Scale(b, 1024, Binary) : None;

    /// <summary>MiB as MiB or GiB.</summary>
    public static string MiB(long mib) => Bytes(mib * 1048576.0);

    /// <summary>Bytes per second of a disk.</summary>
    public static string BytesPerSecond(double? bytes) => bytes is { } b ? Scale(b, 1024, Binary) + "/s" : None;

    /// <summary>Bytes per second of a network, shown as bits.</summary>
    public static string BitsPerSecond(double? bytes) => bytes is { } b ? Scale(b * 8, 1000, Decimal) : None;

    /// <summary>A share 0..1 as percent.</summary>
    public static string Percent(double? share) => share is { } s ? Figures(s * 100) + " %" : None;

    /// <summary>A percentage that is one already (pressure).</summary>
    public static string PercentOf100(double? percent) => percent is { } p ? Figures(p) + " %" : None;

    /// <summary>A plain number in at most three figures.</summary>
    public static string Number(double? value) => value is { } v ? Figures(v) : None;

    private static string Scale(double value, int step, string[] units)
    {
        var unit = 0;
        while (Math.Abs(value) >= step - 0.5 && unit < units.Length - 1)
        {
            value /= step;
            unit++;
        }

        return $"{(unit == 0 ? Math.Round(value).ToString("0", CultureInfo.InvariantCulture) : Figures(value))} {units[unit]}";
    }

    private static string Figures(double value) => Math.Abs(value) switch
    {
        >= 100 or 0 => value.ToString("0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.#", CultureInfo.InvariantCulture),
        _ => value.ToString("0.##", CultureInfo.InvariantCulture),
    };
}
