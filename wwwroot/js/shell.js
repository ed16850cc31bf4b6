// The page around Blazor: theme, language, menus that need no circuit, shortcuts, the connection bar. No inline script anywhere (CSP).
import './theme.js';
import './shortcuts.js';

const html = document.documentElement;
const bar = document.getElementById('connection');

// --- what .NET calls
const openMenus = new Map();
window.kvmportal = {
  timeZone: () => Intl.DateTimeFormat().resolvedOptions().timeZone,
  shellReady: () => { html.classList.add('ready'); },
  focus: (selector) => document.querySelector(selector)?.focus(),
  copy: async (text) => { try { await navigator.clipboard.writeText(text); return true; } catch { return false; } },
  // Text that outlives a reload, not the tab.
  keep: (key, text) => { try { text === null ? sessionStorage.removeItem(key) : sessionStorage.setItem(key, text); } catch { /* storage is off or full: nothing is kept */ } },
  kept: (key) => { try { return sessionStorage.getItem(key); } catch { return null; } },
  // Brings a row of a virtualised list into view, below its sticky head.
  showRow: (id, row, height) => {
    const list = document.getElementById(id);
    if (!list) return;
    const top = row * height, head = list.querySelector('thead')?.offsetHeight ?? 0;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + height + head > list.scrollTop + list.clientHeight) list.scrollTop = top + height + head - list.clientHeight;
  },
  menu: (items, owner) => {
    if (!items) return;
    openMenus.set(items, owner);
    place(items);
    items.querySelector('.item:not(:disabled)')?.focus();
  },
};

// Fixed to the window beside its button, so that no table cell or scrolling list cuts a menu off; above the button where there is no room below.
function place(items) {
  const button = items.closest('.menu').querySelector('button').getBoundingClientRect(), menu = items.getBoundingClientRect();
  const above = button.bottom + 4 + menu.height > innerHeight && button.top > menu.height;
  items.style.top = `${above ? button.top - 4 - menu.height : button.bottom + 4}px`;
  items.style.left = `${Math.max(8, Math.min(button.right - menu.width, innerWidth - menu.width - 8))}px`;
  items.style.visibility = 'visible';
}
document.addEventListener('scroll', (e) => { if (!e.target.closest?.('.items')) closeOwned(); }, true);

// --- menus: arrows move, Escape and a click elsewhere close
function closeStatic(except) {
  for (const menu of document.querySelectorAll('[data-menu-static]')) {
    if (menu === except) continue;
    const items = menu.querySelector('.items');
    if (items.hidden) continue;
    items.hidden = true;
    menu.querySelector('[data-menu-button]').setAttribute('aria-expanded', 'false');
  }
}
function closeOwned(target) {
  for (const [items, owner] of openMenus) {
    if (!items.isConnected) { openMenus.delete(items); continue; }
    if (target && items.closest('.menu').contains(target)) continue;
    openMenus.delete(items);
    owner.invokeMethodAsync('Close').catch(() => {});
  }
}
document.addEventListener('click', (e) => {
  const button = e.target.closest?.('[data-menu-button]');
  if (button) {
    const menu = button.closest('[data-menu-static]');
    const items = menu.querySelector('.items');
    const open = items.hidden;
    closeStatic(menu);
    items.hidden = !open;
    button.setAttribute('aria-expanded', String(open));
    if (open) items.querySelector('.item')?.focus();
    return;
  }
  closeOwned(e.target);
  if (!e.target.closest?.('.who')) closeStatic();
  if (e.target.closest?.('[data-help]')) showHelp();
});
document.addEventListener('keydown', (e) => {
  const items = e.target.closest?.('.menu .items');
  if (!items) return;
  const all = [...items.querySelectorAll('.item:not(:disabled)')];
  const at = all.indexOf(document.activeElement);
  if (e.key === 'ArrowDown') all[(at + 1) % all.length]?.focus();
  else if (e.key === 'ArrowUp') all[(at - 1 + all.length) % all.length]?.focus();
  else if (e.key === 'Home') all[0]?.focus();
  else if (e.key === 'End') all.at(-1)?.focus();
  else if (e.key === 'Escape') { items.closest('.menu').querySelector('button')?.focus(); closeStatic(); closeOwned(); e.stopPropagation(); return; }
  else return;
  e.preventDefault();
});
export function showHelp() {
  const help = document.getElementById('help');
  if (help && !help.open) help.showModal();
}

// --- lists: arrows and Space move in the list, not the page
document.addEventListener('keydown', (e) => {
  if (e.target.matches?.('[data-list-keys]') && (e.key === 'ArrowDown' || e.key === 'ArrowUp' || e.key === ' ')) e.preventDefault();
});

// --- pictures of many small parts: one stop for Tab, arrows move to the neighbour that the eye sees
document.addEventListener('keydown', (e) => {
  const field = e.target.closest?.('[data-roving]');
  if (!field || e.ctrlKey || e.altKey || e.metaKey) return;
  const all = [...field.querySelectorAll(field.dataset.roving)], at = all.indexOf(e.target);
  if (at < 0) return;
  let to = null;
  if (e.key === 'ArrowRight') to = all[at + 1];
  else if (e.key === 'ArrowLeft') to = all[at - 1];
  else if (e.key === 'Home') to = all[0];
  else if (e.key === 'End') to = all.at(-1);
  else if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
    const down = e.key === 'ArrowDown', here = e.target.getBoundingClientRect();
    let least = Infinity;
    for (const part of all) {
      const box = part.getBoundingClientRect(), rows = down ? box.top - here.bottom : here.top - box.bottom;
      if (rows < -1) continue;
      const far = rows * 1000 + Math.abs(box.left - here.left);
      if (far < least) [least, to] = [far, part];
    }
  } else return;
  e.preventDefault();
  to?.focus();
});

// --- password rules, ticked while typing
document.addEventListener('input', (e) => {
  if (!e.target.matches?.('[data-password]')) return;
  const list = document.getElementById(e.target.getAttribute('aria-describedby'));
  const number = (rule) => Number(list?.querySelector(`[data-rule="${rule}"]`)?.textContent.match(/\d+/)?.[0] ?? 0);
  const set = (rule, ok) => list?.querySelector(`[data-rule="${rule}"]`)?.classList.toggle('ok', ok);
  set('length', e.target.value.length >= number('length'));
  set('distinct', new Set(e.target.value).size >= number('distinct'));
});

// --- the connection: one slim bar, heals by itself
let lostAt = 0, ticking = 0;
function words() {
  const text = html.classList.contains('gone') ? bar.dataset.gone : bar.dataset.trying;
  bar.textContent = text.replace('{0}', Math.round((Date.now() - lostAt) / 1000));
}
function offline(yes) {
  if (yes === html.classList.contains('offline')) return;
  html.classList.toggle('offline', yes);
  clearInterval(ticking);
  if (yes) { lostAt = Date.now(); words(); ticking = setInterval(words, 1000); }
  else html.classList.remove('gone');
}
async function healthy() {
  try { return (await fetch('healthz', { cache: 'no-store' })).ok; } catch { return false; }
}
// A portal that was restarted does not know this circuit: the address holds the whole view, so loading it again is the cure.
async function reloadWhenHealthy() {
  html.classList.add('gone');
  while (!(await healthy())) await new Promise((done) => setTimeout(done, 1500));
  location.reload();
}
const blazor = window.Blazor;
let stopped = false;
addEventListener('pagehide', () => { stopped = true; });
blazor?.start({
  circuit: {
    reconnectionHandler: {
      onConnectionDown: async () => {
        if (stopped) return;
        offline(true);
        while (!stopped) {
          await new Promise((done) => setTimeout(done, 1000));
          if (!(await healthy())) continue;
          try {
            if (await blazor.reconnect()) return;
            return reloadWhenHealthy();
          } catch { /* the server is still coming up */ }
        }
      },
      onConnectionUp: () => offline(false),
    },
  },
});
