// Bundles the browser libraries of package.json into wwwroot/lib, one ESM file each, css alongside.
// Run it through `npm run bundle` (or ./kvmportal, which runs it when stale) before `dotnet build`: assets are listed at build time.
import { build } from 'esbuild';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';

const lib = 'wwwroot/lib';
const modules = {
  novnc: "export { default } from '@novnc/novnc';",
  xterm: "export { Terminal } from '@xterm/xterm'; export { FitAddon } from '@xterm/addon-fit';",
  signalr: "export * from '@microsoft/signalr';",
  uplot: "export { default } from 'uplot';",
};
const styles = { 'xterm.css': '@xterm/xterm/css/xterm.css', 'uplot.css': 'uplot/dist/uPlot.min.css' };
// The licences ask that their text travels with the copies.
const licences = {
  '@novnc/novnc': 'LICENSE.txt', '@xterm/xterm': 'LICENSE', '@xterm/addon-fit': 'LICENSE', '@microsoft/signalr': null, uplot: 'LICENSE',
};

await rm(lib, { recursive: true, force: true });
await mkdir(lib, { recursive: true });
await mkdir('.cache', { recursive: true });

await Promise.all(Object.entries(modules).map(([name, contents]) => build({
  stdin: { contents, resolveDir: process.cwd(), sourcefile: `${name}.entry.js` },
  outfile: `${lib}/${name}.js`,
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  legalComments: 'eof',
  logLevel: 'warning',
})));

for (const [target, source] of Object.entries(styles)) {
  await copyFile(`node_modules/${source}`, `${lib}/${target}`);
}

let notices = 'Third-party software bundled in this folder\n';
for (const [name, file] of Object.entries(licences)) {
  const about = JSON.parse(await readFile(`node_modules/${name}/package.json`, 'utf8'));
  const text = file ? await readFile(`node_modules/${name}/${file}`, 'utf8') : `Licence: ${about.license} (the package carries no text of its own).\n`;
  notices += `\n=== ${name} ${about.version} (${about.license})\n\n${text}`;
}
await writeFile(`${lib}/NOTICES.txt`, notices);

// For the accessibility tests only; not served.
await copyFile('node_modules/axe-core/axe.min.js', '.cache/axe.min.js');
