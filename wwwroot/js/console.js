// Between the console page and the console modules: tickets come from the circuit, where permissions are checked.
export async function create(kind, root, owner, viewOnly) {
  const module = await import(kind === 'vnc' ? './vnc.js' : './serial.js');
  const made = module.create(root, { ticket: () => owner.invokeMethodAsync('TicketAsync'), viewOnly, state: (word) => owner.invokeMethodAsync('StateIs', word).catch(() => {}) });
  return made;
}
export async function clipboard() {
  try { return await navigator.clipboard.readText(); } catch { return null; }
}
export function save(name, bytes) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes], { type: 'image/png' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
