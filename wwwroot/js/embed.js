// A page with only the console, for other sites' iframes. The fragment carries the ticket: #kind=vnc&ticket=…&name=…&viewOnly=false. A fragment is not sent to
// any server, and is taken out of the address at once. A new fragment opens a new console, so the embedding page can renew it after a break.
import { words } from './words.js';

const root = document.getElementById('console');
let shown = null;

async function open() {
  const given = new URLSearchParams(location.hash.slice(1));
  const [kind, ticket, name] = [given.get('kind') === 'serial' ? 'serial' : 'vnc', given.get('ticket'), (given.get('name') ?? '').slice(0, 63)];
  if (!ticket && shown) return;
  history.replaceState(null, '', location.pathname);
  document.documentElement.lang = (given.get('lang') ?? navigator.language).toLowerCase().startsWith('zh') ? 'zh-CN' : 'en';
  const w = words(document.documentElement.lang);
  document.title = name || 'KvmPortal';
  shown?.close();
  shown = null;
  if (!ticket) { root.textContent = w('noticket'); return; }
  const module = await import(kind === 'vnc' ? './vnc.js' : './serial.js');
  let used = false;
  shown = module.open(root, {
    name, viewOnly: given.get('viewOnly') === 'true', fixed: true,
    ticket: async () => {
      if (!used) { used = true; return { ticket }; }
      // Says nothing but that it ended, so any embedding page may hear it.
      window.parent?.postMessage({ type: 'kvmportal-console-ended', kind, name }, '*');
      return { last: w('used') };
    },
  });
}

addEventListener('hashchange', open);
open();
