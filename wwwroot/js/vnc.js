// A display in a page: noVNC on a WebSocket, admitted by a one-time ticket. Reconnects by itself with a growing pause.
import RFB from '../lib/novnc.js';

const SHIFTED = '~!@#$%^&*()_+{}|:"<>?ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const keysym = (c) => (c === '\n' ? 0xff0d : c === '\t' ? 0xff09 : c.codePointAt(0) < 0x100 ? c.codePointAt(0) : 0x01000000 | c.codePointAt(0));
const pause = (ms) => new Promise((r) => setTimeout(r, ms));

// options: { ticket: async () => string|null, viewOnly, state: (word) => void, once }
export function create(root, options) {
  let rfb = null, closed = false, tries = 0, timer = 0, viewOnly = !!options.viewOnly;

  async function connect() {
    if (closed) return;
    options.state('connecting');
    const ticket = await options.ticket().catch(() => null);
    if (closed) return;
    if (!ticket) { options.state('gone'); return again(); }
    const base = new URL('/consoles/vnc', location.href);
    base.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    root.replaceChildren();
    rfb = new RFB(root, base.href, { wsProtocols: ['binary', `ticket.${ticket}`] });
    rfb.scaleViewport = true;
    rfb.background = 'transparent';
    rfb.viewOnly = viewOnly;
    rfb.focusOnClick = true;
    rfb.addEventListener('connect', () => { tries = 0; options.state('connected'); root.querySelector('canvas')?.setAttribute('tabindex', '0'); });
    rfb.addEventListener('disconnect', () => { rfb = null; if (!closed) { options.state('lost'); again(); } });
  }
  function again() {
    if (options.once || closed) return;
    timer = setTimeout(connect, Math.min(15000, 500 * 2 ** Math.min(5, tries++)));
  }
  // The chord that gives the keyboard back to the page.
  const release = (e) => { if (e.ctrlKey && e.altKey && e.shiftKey) { root.querySelector('canvas')?.blur(); document.activeElement?.blur(); } };
  root.addEventListener('keydown', release, true);
  connect();

  return {
    ctrlAltDel() { rfb?.sendCtrlAltDel(); },
    async paste(text) {
      for (const c of (text ?? '').replaceAll('\r\n', '\n').slice(0, 4096)) {
        if (!rfb) return;
        const shift = SHIFTED.includes(c);
        if (shift) rfb.sendKey(0xffe1, 'ShiftLeft', true);
        rfb.sendKey(keysym(c), null, true);
        rfb.sendKey(keysym(c), null, false);
        if (shift) rfb.sendKey(0xffe1, 'ShiftLeft', false);
        await pause(12);
      }
    },
    setViewOnly(value) { viewOnly = value; if (options.once) { if (rfb) rfb.viewOnly = value; } else { rfb ? rfb.disconnect() : connect(); } },
    full() { (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()).catch(() => {}); },
    focus() { rfb?.focus(); },
    reconnect() { clearTimeout(timer); tries = 0; rfb ? rfb.disconnect() : connect(); },
    destroy() { closed = true; clearTimeout(timer); root.removeEventListener('keydown', release, true); rfb?.disconnect(); },
  };
}
