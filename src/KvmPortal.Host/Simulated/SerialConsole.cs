using System.Globalization;
using System.Text;
using KvmPortal.Host.Contract;

namespace KvmPortal.Host.Simulated;

/// <summary>What typing on the console made the guest do.</summary>
internal enum GuestAct { None, PowerOff, Reboot, Panic }

/// <summary>
/// A guest's serial console. Its boot log is written when somebody looks, up to where the guest's uptime has come, so that machines nobody
/// looks at cost nothing.
/// </summary>
internal sealed class SerialConsole(MachineSpec spec)
{
    internal const int HistoryBytes = 64 * 1024;
    private const int ChunkBytes = 16 * 1024;
    private const int LineLength = 256;
    private readonly Lock _gate = new();
    private readonly StringBuilder _line = new();
    private byte[] _history = [];
    private int _length;
    private long _start;
    private int _bootLine = spec.RestoreFrom is null ? 0 : BootLog.Lines.Count;
    private TimeSpan _bootedAt;
    private string? _user = spec.RestoreFrom is null ? null : "root";
    private bool _ended;
    private TaskCompletionSource? _changed;

    public void Print(string text)
    {
        lock (_gate)
            Append(text);
    }

    public void Reboot(TimeSpan uptime)
    {
        lock (_gate)
        {
            Append("\r\n");
            _bootLine = 0;
            _bootedAt = uptime;
            _user = null;
            _line.Clear();
        }
    }

    public void End()
    {
        lock (_gate)
        {
            _ended = true;
            Wake();
        }
    }

    /// <summary>The next run of bytes at or after <paramref name="offset"/>; else what to wait for and for how long at most; neither: ended.</summary>
    public (SerialChunk? Chunk, Task? Changed, TimeSpan? Due) Read(long offset, TimeSpan uptime)
    {
        lock (_gate)
        {
            Advance(uptime);
            var from = Math.Clamp(offset, _start, _start + _length);
            var count = (int)Math.Min(ChunkBytes, _start + _length - from);
            if (count > 0)
                return (new SerialChunk(from, _history.AsSpan((int)(from - _start), count).ToArray()), null, null);
            if (_ended)
                return (null, null, null);
            _changed ??= new(TaskCreationOptions.RunContinuationsAsynchronously);
            var due = _bootLine < BootLog.Lines.Count ? _bootedAt + BootLog.Lines[_bootLine].At - uptime : (TimeSpan?)null;
            return (null, _changed.Task, due);
        }
    }

    public GuestAct Type(ReadOnlySpan<byte> bytes, TimeSpan uptime)
    {
        lock (_gate)
        {
            Advance(uptime);
            // The guest listens to its console only once getty is up.
            if (_bootLine < BootLog.Lines.Count)
                return GuestAct.None;
            foreach (var one in bytes)
            {
                var act = Key(one, uptime);
                if (act != GuestAct.None)
                    return act;
            }
            return GuestAct.None;
        }
    }

    private GuestAct Key(byte key, TimeSpan uptime)
    {
        switch (key)
        {
            case (byte)'\r' or (byte)'\n':
                Append("\r\n");
                var line = _line.ToString().Trim();
                _line.Clear();
                return Enter(line, uptime);
            case 0x7f or 0x08 when _line.Length > 0:
                _line.Length--;
                Append("\b \b");
                break;
            case 0x03:
                _line.Clear();
                Append("^C\r\n" + Prompt);
                break;
            case >= 0x20 and < 0x7f when _line.Length < LineLength:
                _line.Append((char)key);
                Append(((char)key).ToString());
                break;
        }
        return GuestAct.None;
    }

    private GuestAct Enter(string line, TimeSpan uptime)
    {
        if (_user is null)
        {
            _user = line.Length == 0 ? null : line;
            Append(_user is null ? Prompt : "Welcome to a simulated guest; try `help`.\r\n" + Prompt);
            return GuestAct.None;
        }
        switch (line)
        {
            case "poweroff" or "shutdown" or "halt": Append("reboot: Power down\r\n"); return GuestAct.PowerOff;
            case "reboot": Append("reboot: Restarting system\r\n"); return GuestAct.Reboot;
            case "panic": return GuestAct.Panic;
            case "exit" or "logout": _user = null; break;
            case "": break;
            case "help": Append("echo help hostname nproc uname uptime whoami exit reboot poweroff panic\r\n"); break;
            case "hostname": Append(spec.Name + "\r\n"); break;
            case "whoami": Append(_user + "\r\n"); break;
            case "nproc": Append(spec.Cpu.Count.ToString(CultureInfo.InvariantCulture) + "\r\n"); break;
            case "uname" or "uname -a": Append($"Linux {spec.Name} 6.12.0-simulated #1 SMP x86_64 GNU/Linux\r\n"); break;
            case "uptime": Append($"up {uptime.ToString("c", CultureInfo.InvariantCulture)}\r\n"); break;
            case var echo when echo.StartsWith("echo ", StringComparison.Ordinal): Append(echo[5..] + "\r\n"); break;
            default: Append($"sh: {line.Split(' ')[0]}: not found\r\n"); break;
        }
        Append(Prompt);
        return GuestAct.None;
    }

    private string Prompt => _user is null ? $"{spec.Name} login: " : $"{_user}@{spec.Name}:~# ";

    private void Advance(TimeSpan uptime)
    {
        while (!_ended && _bootLine < BootLog.Lines.Count && _bootedAt + BootLog.Lines[_bootLine].At <= uptime)
        {
            var (at, text) = BootLog.Lines[_bootLine++];
            Append(BootLog.Format(at, text, spec));
            if (_bootLine == BootLog.Lines.Count)
                Append($"\r\nDebian GNU/Linux 13 {spec.Name} ttyS0\r\n\r\n" + Prompt);
        }
    }

    private void Append(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        if (_length + bytes.Length > HistoryBytes)
        {
            // Half at once, so that a full history is not moved for each byte.
            var drop = Math.Min(_length, Math.Max(HistoryBytes / 2, bytes.Length));
            _history.AsSpan(drop, _length - drop).CopyTo(_history);
            _start += drop;
            _length -= drop;
        }
        if (_history.Length < _length + bytes.Length)
            Array.Resize(ref _history, Math.Min(HistoryBytes, Math.Max(_length + bytes.Length, Math.Max(1024, _history.Length * 2))));
        bytes.CopyTo(_history, _length);
        _length += bytes.Length;
        Wake();
    }

    private void Wake()
    {
        _changed?.TrySetResult();
        _changed = null;
    }
}
