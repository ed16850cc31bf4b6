// "/" searches, "g m" goes, "?" helps. Never while somebody types, and never inside a console (it takes every key).
const places = { d: '', m: 'machines', i: 'images', h: 'hosts', j: 'jobs' };
let after = 0;

document.addEventListener('keydown', (e) => {
  if (e.ctrlKey || e.altKey || e.metaKey || e.defaultPrevented) return;
  const typing = e.target.closest?.('input, textarea, select, [contenteditable="true"], canvas, .xterm, [data-takes-keys]');
  if (e.key === 'Escape' && e.target.id === 'search') { e.target.blur(); return; }
  if (typing || document.querySelector('dialog[open], .mud-dialog')) return;
  if (e.key === '/') {
    const search = document.getElementById('search');
    if (search) { e.preventDefault(); search.focus(); search.select(); }
  } else if (e.key === '?') {
    e.preventDefault();
    document.getElementById('help')?.showModal();
  } else if (e.key === 'g') {
    after = Date.now();
  } else if (Date.now() - after < 1500 && e.key in places) {
    after = 0;
    e.preventDefault();
    // Through a link of the rail, so that the router moves without a reload.
    document.querySelector(`.rail nav a[href="${places[e.key]}"]`)?.click();
  }
});
