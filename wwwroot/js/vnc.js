// The graphical console: noVNC over the portal's WebSocket, admitted by a single-use ticket given as a sub-protocol, so that it stands in no address and no log.
import RFB from '../lib/novnc.js';
import { askText, download, frame, keep } from './console.js';

const shift = [0xffe1, 'ShiftLeft'];
const modifiers = [[0xffe3, 'ControlLeft'], [0xffe4, 'ControlRight'], [0xffe9, 'AltLeft'], [0xffea, 'AltRight'], shift, [0xffe2, 'ShiftRight']];

/** Keysym of a character: Latin-1 as it is, controls by name, the rest by the Unicode rule of X11. */
export function keysymOf(character) {
  const point = character.codePointAt(0);
  if (point === 10 || point === 13) return 0xff0d;
  if (point === 9) return 0xff09;
  if (point === 8) return 0xff08;
  if (point < 32 || point === 127) return 0;
  return point < 256 ? point : 0x01000000 + point;
}

/** QEMU does not press Shift by itself for a capital letter. */
export const needsShift = (character) => /^[A-Z~!@#$%^&*()_+{}|:"<>?]$/.test(character);

export function open(root, { name, ticket, viewOnly = false, fixed = false }) {
  const f = frame(root, '');
  f.screen.setAttribute('aria-label', f.w('screen', name));
  let rfb = null, view = viewOnly, fit = true, typing = 0;
  const apply = () => { if (rfb) { rfb.viewOnly = view; rfb.scaleViewport = fit; } tools.forEach((b) => { b.disabled = view; }); };

  const type = async (text) => {
    const mine = ++typing, all = [...text.replace(/\r\n/g, '\n')];
    for (let i = 0; i < all.length && rfb && mine === typing; i++) {
      const sym = keysymOf(all[i]);
      if (!sym) continue;
      if (needsShift(all[i])) rfb.sendKey(...shift, true);
      rfb.sendKey(sym, null, true);
      rfb.sendKey(sym, null, false);
      if (needsShift(all[i])) rfb.sendKey(...shift, false);
      if (i % 8 === 0) f.show('on', f.w('typing', i + 1, all.length));
      // A guest's keyboard queue is 16 bytes long: faster than this loses keys.
      await new Promise((go) => setTimeout(go, 25));
    }
    if (mine === typing && rfb) f.show('on', f.w('connected'));
  };

  const tools = fixed && viewOnly ? [] : [
    f.button('keys', () => { rfb?.sendCtrlAltDel(); rfb?.focus(); }),
    f.button('paste', async () => { const text = await askText(f, root, 'paste.help'); rfb?.focus(); if (text) await type(text); }),
  ];
  f.toggle('fit', fit, (on) => { fit = on; apply(); });
  if (!fixed) f.toggle('view', view, (on) => { view = on; apply(); });
  f.button('shot', () => rfb?.toBlob((blob) => blob && download(blob, `${name}.png`), 'image/png'));
  f.button('full', f.full);
  const hint = f.make('span', 'console-hint', f.w('release'));
  f.bar.append(hint);

  // Captured before noVNC sees it; the guest is told that the keys are up again, or they would stay down there.
  const release = (e) => {
    if (!rfb || !(e.ctrlKey && e.altKey && e.shiftKey)) return;
    e.preventDefault();
    e.stopPropagation();
    for (const [sym, code] of modifiers) rfb.sendKey(sym, code, false);
    rfb.blur();
    f.bar.querySelector('button:not(:disabled)')?.focus();
  };
  f.screen.addEventListener('keydown', release, true);

  const connect = ({ ticket: secret }) => new Promise((ended) => {
    let worked = false;
    f.screen.replaceChildren();
    const base = new URL('/consoles/vnc', location.href);
    base.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';
    const mine = new RFB(f.screen, base.href, { shared: true, wsProtocols: ['binary', `ticket.${secret}`] });
    mine.background = 'var(--console)';
    mine.focusOnClick = true;
    mine.addEventListener('connect', () => { worked = true; rfb = mine; apply(); f.show('on', f.w('connected')); });
    mine.addEventListener('securityfailure', (e) => console.warn('VNC refused', e.detail.status));
    mine.addEventListener('disconnect', () => { rfb = null; typing++; ended(worked); });
  });
  const kept = keep(f, () => ticket(view), connect);
  apply();
  return {
    wake: kept.wake,
    close: () => { kept.close(); typing++; rfb?.disconnect(); f.screen.removeEventListener('keydown', release, true); root.replaceChildren(); },
  };
}
