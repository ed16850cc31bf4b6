// Sends image files to POST /api/v1/images by XMLHttpRequest, because fetch reports no upload progress. One file at a time, the others wait.
export function create(drop, input, owner, token) {
  let next = 1, busy = false;
  const waiting = [], requests = new Map();

  async function add(files) {
    for (const file of files) {
      const id = next++;
      await owner.invokeMethodAsync('Began', id, file.name, file.size);
      waiting.push({ id, file });
    }
    pump();
  }
  async function pump() {
    if (busy) return;
    const item = waiting.shift();
    if (!item) return;
    busy = true;
    try { await send(item); } finally { busy = false; pump(); }
  }
  async function send({ id, file }) {
    const name = await owner.invokeMethodAsync('NameOf', id);
    await new Promise((done) => {
      const request = new XMLHttpRequest();
      requests.set(id, request);
      let told = 0;
      const end = (state, body) => { requests.delete(id); owner.invokeMethodAsync('Ended', id, state, body).catch(() => {}).finally(done); };
      request.open('POST', `api/v1/images?name=${encodeURIComponent(name)}`);
      request.setRequestHeader('Content-Type', 'application/octet-stream');
      if (token) request.setRequestHeader('RequestVerificationToken', token);
      request.upload.onprogress = (e) => {
        if (Date.now() - told < 300 && e.loaded < e.total) return;
        told = Date.now();
        owner.invokeMethodAsync('Progress', id, e.loaded).catch(() => {});
      };
      request.onload = () => end(request.status >= 200 && request.status < 300 ? 'done' : 'failed', request.responseText.slice(0, 65535));
      request.onerror = () => end('failed', null);
      request.onabort = () => end('cancelled', null);
      request.send(file);
    });
  }
  const over = (e) => { e.preventDefault(); drop.classList.add('over'); };
  const out = () => drop.classList.remove('over');
  const dropped = (e) => { e.preventDefault(); out(); add([...e.dataTransfer.files]); };
  const chosen = () => { const files = [...input.files]; input.value = ''; add(files); };
  drop.addEventListener('dragover', over);
  drop.addEventListener('dragleave', out);
  drop.addEventListener('drop', dropped);
  input.addEventListener('change', chosen);
  const leaving = (e) => { if (requests.size > 0) e.preventDefault(); };
  addEventListener('beforeunload', leaving);

  return {
    cancel(id) {
      const at = waiting.findIndex((w) => w.id === id);
      if (at >= 0) { waiting.splice(at, 1); owner.invokeMethodAsync('Ended', id, 'cancelled', null); } else requests.get(id)?.abort();
    },
    destroy() {
      removeEventListener('beforeunload', leaving);
      waiting.length = 0;
      for (const request of requests.values()) request.abort();
    },
  };
}
