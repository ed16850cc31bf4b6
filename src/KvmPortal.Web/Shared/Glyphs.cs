using KvmPortal.Engine.Jobs;
using KvmPortal.Engine.Vms;
using Art = MudBlazor.Icons.Material.Outlined;
using Solid = MudBlazor.Icons.Material.Filled;

namespace KvmPortal.Web.Shared;

/// <summary>The console's icons by what they mean: one picture for one thing on every page.</summary>
public static class Glyphs
{
    public const string Dashboard = Art.Dashboard, Machines = Art.Dvr, Images = Art.Album, Hosts = Art.Dns, Jobs = Art.Checklist;
    public const string Search = Art.Search, Menu = Art.Menu, Close = Art.Close, Help = Art.Keyboard, Language = Art.Language, Account = Art.AccountCircle, SignOut = Art.Logout, Token = Art.Key;
    public const string Light = Art.LightMode, Dark = Art.DarkMode, Auto = Art.BrightnessAuto;
    public const string Start = Solid.PlayArrow, Stop = Art.PowerSettingsNew, Shutdown = Art.PowerOff, Pause = Solid.Pause, Reset = Art.RestartAlt, Add = Art.Add, Delete = Art.Delete, Edit = Art.Edit, Upload = Art.Upload, Folder = Art.Folder, More = Art.MoreHoriz, Cancel = Art.Cancel, Copy = Art.ContentCopy, Console = Art.Terminal, Back = Art.ArrowBack, Open = Art.OpenInNew;
    public const string Warning = Art.WarningAmber, Error = Art.ErrorOutline, Info = Art.Info, Done = Art.CheckCircle, Check = Art.Check, Wait = Art.Schedule, Moving = Art.Sync, Chip = Art.Memory, Disk = Art.Storage, Event = Art.Circle;
    public const string Up = Art.ArrowUpward, Down = Art.ArrowDownward;

    /// <summary>Icon, colour class and whether it turns: the one vocabulary of machine states.</summary>
    public static (string Icon, string Colour, bool Moves) Of(VmState state) => state switch
    {
        VmState.Running => (Solid.PlayCircle, "green", false),
        VmState.Paused => (Solid.PauseCircle, "amber", false),
        VmState.Starting => (Moving, "blue", true),
        VmState.Stopping => (Moving, "blue", true),
        VmState.Migrating => (Moving, "blue", true),
        VmState.Stopped => (Solid.StopCircle, "", false),
        VmState.Suspended => (Art.Bedtime, "", false),
        VmState.Crashed => (Solid.Error, "red", false),
        VmState.Unknown => (Art.HelpOutline, "outlined", false),
    };

    /// <summary>The same for jobs.</summary>
    public static (string Icon, string Colour, bool Moves) Of(JobState state) => state switch
    {
        JobState.Queued => (Wait, "", false),
        JobState.Running => (Moving, "blue", true),
        JobState.Succeeded => (Solid.CheckCircle, "green", false),
        JobState.Failed => (Solid.Error, "red", false),
        JobState.Cancelled => (Solid.Cancel, "", false),
        JobState.Interrupted => (Solid.Warning, "amber", false),
    };
}
