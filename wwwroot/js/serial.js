// A serial console in a page: xterm.js fed by a SignalR stream, from the machine's first byte; a reconnect goes on by offset, so nothing comes twice.
import { Terminal, FitAddon } from '../lib/xterm.js';
import { HubConnectionBuilder, LogLevel } from '../lib/signalr.js';

const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const base64Of = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

// options: { ticket: async () => string|null, viewOnly, state: (word) => void, once }
export function create(root, options) {
  const style = getComputedStyle(document.documentElement);
  const term = new Terminal({
    convertEol: false, scrollback: 10000, fontFamily: style.getPropertyValue('--mono') || 'monospace', fontSize: 13, cursorBlink: true, disableStdin: !!options.viewOnly,
    allowProposedApi: false, windowOptions: {}, theme: { background: '#14171c', foreground: '#e6e8eb' }, screenReaderMode: true,
  });
  // What a guest writes must not reach the clipboard or the page's title.
  for (const osc of [0, 1, 2, 52]) term.parser.registerOscHandler(osc, () => true);
  const fit = new FitAddon();
  term.loadAddon(fit);
  term.open(root);
  const sized = new ResizeObserver(() => { try { fit.fit(); } catch { /* not laid out */ } });
  sized.observe(root);

  let offset = 0, hub = null, stream = null, closed = false, tries = 0, timer = 0, log = [];

  async function connect() {
    if (closed) return;
    options.state('connecting');
    const ticket = await options.ticket().catch(() => null);
    if (closed) return;
    if (!ticket) { options.state('gone'); return again(); }
    hub = new HubConnectionBuilder().withUrl(new URL('/hubs/console', location.href).href, { withCredentials: false }).configureLogging(LogLevel.None).build();
    hub.onclose(() => { if (!closed) { options.state('lost'); again(); } });
    try {
      await hub.start();
      options.state('connected');
      tries = 0;
      stream = hub.stream('ReadSerial', ticket, offset).subscribe({ next: take, complete: ended, error: ended });
    } catch { ended(); }
  }
  function take(piece) {
    const bytes = bytesOf(piece.bytes);
    if (piece.offset > offset && offset > 0) term.write('\r\n\x1b[2m[…]\x1b[0m\r\n');
    offset = piece.offset + bytes.length;
    log.push(bytes);
    term.write(bytes);
  }
  function ended() { if (closed) return; options.state('lost'); const old = hub; hub = null; old?.stop().catch(() => {}); again(); }
  function again() {
    if (options.once || closed) return;
    clearTimeout(timer);
    timer = setTimeout(connect, Math.min(15000, 500 * 2 ** Math.min(5, tries++)));
  }
  term.onData((text) => { if (hub && !options.viewOnly) hub.invoke('WriteSerial', base64Of(text)).catch(() => {}); });
  connect();

  return {
    focus() { term.focus(); },
    clear() { term.clear(); },
    paste(text) { term.paste((text ?? '').slice(0, 4096)); },
    restart() { offset = 0; log = []; term.reset(); },
    download(name) {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob(log, { type: 'text/plain' }));
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    },
    destroy() { closed = true; clearTimeout(timer); sized.disconnect(); stream?.dispose(); hub?.stop().catch(() => {}); term.dispose(); },
  };
}
