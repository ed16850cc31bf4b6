// The serial console: everything since the machine's first byte, then live. Offsets make a reconnect lossless and free of repeats.
import { FitAddon, Terminal } from '../lib/xterm.js';
import { HubConnectionBuilder, LogLevel } from '../lib/signalr.js';
import { askText, download, frame, keep } from './console.js';

const mostKept = 4 * 1024 * 1024;
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const toBytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const toText = (bytes) => btoa(String.fromCharCode(...bytes));

/**
 * A guest's output is an adversary's text: it may not make the terminal answer (the answer would be typed into the guest, also while history is replayed),
 * set the clipboard, or carry links. Handlers that return true swallow the sequence.
 */
export function harden(term) {
  const no = () => true;
  for (const id of [{ final: 'c' }, { prefix: '>', final: 'c' }, { prefix: '=', final: 'c' }, { final: 'n' }, { prefix: '?', final: 'n' }, { final: 't' },
    { prefix: '>', final: 'q' }, { intermediates: '$', final: 'p' }, { prefix: '?', intermediates: '$', final: 'p' }]) term.parser.registerCsiHandler(id, no);
  for (const code of [0, 1, 2, 4, 8, 10, 11, 12, 52, 104]) term.parser.registerOscHandler(code, no);
  term.parser.registerDcsHandler({ intermediates: '$', final: 'q' }, no);
  term.parser.registerDcsHandler({ intermediates: '+', final: 'q' }, no);
}

export function open(root, { name, ticket, viewOnly = false }) {
  const f = frame(root, '');
  f.screen.setAttribute('aria-label', f.w('terminal', name));
  f.screen.classList.add('serial');
  const term = new Terminal({
    scrollback: 20000, cursorBlink: true, fontSize: 13, fontFamily: token('--mono') || 'monospace', disableStdin: viewOnly, windowOptions: {}, linkHandler: { activate: () => {} },
    theme: { background: token('--console') || '#0d1014', foreground: '#d8dde4', cursor: '#d8dde4', selectionBackground: '#3c5a86' },
  });
  const fit = new FitAddon();
  term.loadAddon(fit);
  term.open(f.screen);
  harden(term);
  let next = 0, run = null, hub = null, kept = [], keptBytes = 0, queue = Promise.resolve();
  const sizes = new ResizeObserver(() => { if (f.screen.offsetWidth) fit.fit(); });
  sizes.observe(f.screen);

  const send = (text) => {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += 1024) {
      const part = bytes.slice(at, at + 1024);
      queue = queue.then(() => hub?.invoke('WriteSerial', toText(part))).catch((e) => console.warn('not typed', e));
    }
  };
  term.onData((text) => { if (!viewOnly) send(text); });
  term.attachCustomKeyEventHandler((e) => {
    if (!(e.ctrlKey && e.altKey && e.shiftKey)) return true;
    e.preventDefault();
    term.blur();
    f.bar.querySelector('button:not(:disabled)')?.focus();
    return false;
  });

  const copy = f.button('copy', async () => {
    const chosen = term.getSelection();
    if (!chosen) term.selectAll();
    try { await navigator.clipboard.writeText(chosen || term.getSelection()); copy.textContent = f.w('copied'); } catch { /* The selection stays for the browser's own copy. */ }
    if (!chosen) term.clearSelection();
    setTimeout(() => { copy.textContent = f.w('copy'); }, 1500);
  });
  if (!viewOnly) f.button('paste.serial', async () => { const text = await askText(f, root, 'paste.serial.help'); term.focus(); if (text) term.paste(text); });
  f.button('clear', () => term.clear());
  f.button('log', () => download(new Blob(kept, { type: 'application/octet-stream' }), `${name}-serial.log`));
  f.button('full', f.full);
  f.bar.append(f.make('span', 'console-hint', f.w('release')));

  const take = ({ offset, bytes }) => {
    let data = toBytes(bytes);
    if (offset > next) term.write(`\r\n\x1b[0;2m[${f.w('gone', offset - next)}]\x1b[0m\r\n`);
    if (offset < next) data = data.subarray(Math.min(data.length, next - offset));
    next = Math.max(next, offset + toBytes(bytes).length);
    if (data.length === 0) return;
    kept.push(data);
    for (keptBytes += data.length; keptBytes > mostKept && kept.length > 1;) keptBytes -= kept.shift().length;
    term.write(data);
  };
  const connect = async (answer) => {
    // Another run of the machine is another history.
    if (answer.run !== undefined && answer.run !== run) {
      if (run !== null) { term.reset(); kept = []; keptBytes = 0; next = 0; }
      run = answer.run;
    }
    const mine = new HubConnectionBuilder().withUrl('/hubs/console').configureLogging(LogLevel.None).build();
    let worked = false;
    try {
      await mine.start();
      hub = mine;
      await new Promise((ended, failed) => {
        mine.onclose(() => ended());
        mine.stream('ReadSerial', answer.ticket, next).subscribe({ next: (piece) => { worked = true; take(piece); }, complete: ended, error: (e) => (worked ? ended() : failed(e)) });
        f.show('on', f.w('connected'));
      });
    } finally {
      hub = null;
      await mine.stop();
    }
    return worked;
  };
  const link = keep(f, () => ticket(viewOnly), connect);
  return {
    wake: link.wake,
    close: () => { link.close(); sizes.disconnect(); hub?.stop(); term.dispose(); root.replaceChildren(); },
  };
}
