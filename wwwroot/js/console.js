// What both consoles share: the frame (toolbar, state line, screen), the paste dialog, and a connection that heals by itself.
import { words } from './words.js';

/** Builds the frame inside an element. Guest and user text only ever goes in as text. */
export function frame(root, label) {
  const w = words(document.documentElement.lang);
  const make = (tag, className, text) => { const e = document.createElement(tag); if (className) e.className = className; if (text) e.textContent = text; return e; };
  root.replaceChildren();
  root.classList.add('console');
  const bar = make('div', 'console-bar');
  bar.setAttribute('role', 'toolbar');
  bar.setAttribute('aria-label', w('toolbar'));
  const state = make('span', 'console-state', w('connecting'));
  state.setAttribute('role', 'status');
  const screen = make('div', 'console-screen');
  screen.setAttribute('role', 'group');
  screen.setAttribute('aria-label', label);
  const cover = make('div', 'console-cover');
  const body = make('div', 'console-body');
  body.append(screen, cover);
  bar.append(state);
  root.append(bar, body);
  const button = (key, act, title) => {
    const b = make('button', 'btn small', w(key));
    b.type = 'button';
    if (title) b.title = title;
    b.addEventListener('click', () => act(b));
    bar.append(b);
    return b;
  };
  const toggle = (key, on, act) => {
    const b = button(key, () => { on = !on; b.setAttribute('aria-pressed', on); act(on); });
    b.setAttribute('aria-pressed', on);
    return b;
  };
  const show = (kind, text) => { state.dataset.kind = kind; state.textContent = text; cover.hidden = kind === 'on'; cover.textContent = kind === 'on' ? '' : text; };
  show('wait', w('connecting'));
  return { w, make, bar, state, screen, cover, button, toggle, show, full: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.()) };
}

/** Asks for text to type; the browser's clipboard API may be denied, a text field never is. */
export function askText(f, root, helpKey) {
  return new Promise((done) => {
    const dialog = f.make('dialog', 'console-dialog');
    const form = f.make('form');
    form.method = 'dialog';
    const label = f.make('label', 'field');
    const area = f.make('textarea', 'textarea mono');
    area.rows = 8;
    area.maxLength = 4096;
    label.append(f.make('span', 'strong', f.w('text')), area);
    const row = f.make('div', 'row');
    const cancel = f.make('button', 'btn', f.w('cancel'));
    cancel.type = 'button';
    cancel.addEventListener('click', () => dialog.close(''));
    const ok = f.make('button', 'btn primary', f.w('send'));
    ok.value = 'ok';
    row.append(cancel, ok);
    form.append(label, f.make('p', 'small muted', f.w(helpKey)), row);
    dialog.append(form);
    dialog.addEventListener('close', () => { dialog.remove(); done(dialog.returnValue === 'ok' ? area.value.slice(0, 4096) : ''); });
    root.append(dialog);
    dialog.showModal();
    area.focus();
  });
}

/**
 * Keeps a console connected. `ticket()` answers { ticket, run } or { error, off }; `connect(answer)` opens and resolves when the connection has ended.
 * The wait doubles from 1 s to 15 s and begins again after a connection that worked.
 */
export function keep(f, ticket, connect) {
  let closed = false, wake = () => {}, tries = 0;
  const pause = (seconds, say) => new Promise((go) => {
    let left = seconds;
    wake = () => { clearInterval(timer); go(); };
    const timer = setInterval(() => { left--; if (left <= 0) wake(); else say(left); }, 1000);
    say(left);
  });
  const now = f.button('now', () => { tries = 0; wake(); });
  now.hidden = true;
  (async () => {
    while (!closed) {
      f.show('wait', f.w('connecting'));
      let answer, worked = false;
      try { answer = await ticket(); } catch { answer = { error: f.w('unreachable') }; }
      if (closed) return;
      if (answer.last) { f.show('off', answer.last); return; }
      if (answer.ticket) {
        try { worked = await connect(answer); } catch (e) { answer = { error: String(e?.message ?? e) }; }
      }
      if (closed) return;
      tries = worked ? 0 : Math.min(tries + 1, 4);
      const seconds = answer.off ? 15 : Math.min(15, 2 ** tries);
      now.hidden = false;
      await pause(seconds, (left) => f.show(answer.off ? 'off' : 'wait', answer.off ? f.w('off') : answer.error ? `${f.w('refused')}: ${answer.error}` : f.w('again', left)));
      now.hidden = true;
    }
  })();
  return { wake: () => { tries = 0; wake(); }, close: () => { closed = true; wake(); } };
}

/** Hands a file to the user. */
export function download(blob, name) {
  const a = document.createElement('a');
  a.href = URL.createObjectURL(blob);
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
}

/** A ticket from the page's own circuit. */
const asker = (page, kind, viewOnly) => () => page.invokeMethodAsync('Ticket', kind, viewOnly());

/** Opens a console in a page of the portal. */
export async function open(root, page, kind, name) {
  const module = await import(kind === 'vnc' ? './vnc.js' : './serial.js');
  return module.open(root, { name, ticket: (viewOnly) => asker(page, kind, () => viewOnly)() });
}
