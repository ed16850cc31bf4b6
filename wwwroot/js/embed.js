// The console alone, for other sites' iframes: everything it needs is in the fragment, which never reaches a server's log.
const wanted = new URLSearchParams(location.hash.slice(1));
const words = navigator.language.startsWith('zh')
  ? { connecting: '正在连接…', connected: '', lost: '连接已断开。请向打开此页面的应用索取新的控制台地址。', gone: '控制台票据无效或已过期。' }
  : { connecting: 'Connecting…', connected: '', lost: 'The connection was lost. Ask the page that opened this console for a new address.', gone: 'The console ticket is not valid any more.' };
const status = document.getElementById('status');
const kind = wanted.get('kind') === 'serial' ? 'serial' : 'vnc';
let ticket = wanted.get('ticket');
document.title = wanted.get('name') || document.title;
document.documentElement.lang = navigator.language.startsWith('zh') ? 'zh-CN' : 'en';
const module = await import(kind === 'vnc' ? './vnc.js' : './serial.js');
module.create(document.getElementById('console'), {
  ticket: async () => { const t = ticket; ticket = null; return t; }, viewOnly: wanted.get('viewOnly') === 'true', once: true, state: (word) => { status.textContent = words[word]; status.hidden = !words[word]; },
});
