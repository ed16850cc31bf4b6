// uPlot for Chart.razor: columns of x and values, one point appended per tick, gaps where nothing was measured.
import uPlot from '../lib/uplot.js';

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const decimal = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s'];
const figures = (v) => (Math.abs(v) >= 100 ? v.toFixed(0) : Math.abs(v) >= 10 ? String(+v.toFixed(1)) : String(+v.toFixed(2)));
function scale(v, step, units) {
  let u = 0;
  while (Math.abs(v) >= step - 0.5 && u < units.length - 1) { v /= step; u++; }
  return `${figures(v)} ${units[u]}`;
}
const formats = {
  percent: (v) => `${figures(v * 100)} %`,
  percent100: (v) => `${figures(v)} %`,
  count: figures,
  bytes: (v) => scale(v, 1024, binary),
  'bytes-per-second': (v) => `${scale(v, 1024, binary)}/s`,
  'bits-per-second': (v) => scale(v * 8, 1000, decimal),
};
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Steps of 1, 2, 5 in decimal units; powers of two for bytes, so that an axis reads 64 MiB and not 61.
const binaryIncrements = Array.from({ length: 50 }, (_, i) => 2 ** i);

export function create(root, options) {
  const format = formats[options.unit] ?? figures;
  const legend = root.appendChild(Object.assign(document.createElement('div'), { className: 'legend' }));
  const plotRoot = root.appendChild(Object.assign(document.createElement('div'), { className: options.tall ? 'plot tall' : 'plot' }));
  const none = root.appendChild(Object.assign(document.createElement('div'), { className: 'none', textContent: options.none }));
  const values = options.series.map((s) => {
    const item = legend.appendChild(document.createElement('span'));
    const line = item.appendChild(document.createElement('i'));
    line.style.background = `var(--c${s.colour})`;
    item.append(`${s.name} `);
    return item.appendChild(document.createElement('b'));
  });
  let { window: span, step } = options;
  let data = [[], ...options.series.map(() => [])];
  let plot;

  // Null between two points that are further apart than three steps: uPlot then draws a gap.
  function withGaps(rows) {
    const columns = [[], ...options.series.map(() => [])];
    let before = 0;
    for (const row of rows) {
      if (before && row[0] - before > step * 3) { columns[0].push(before + step); for (let i = 1; i < columns.length; i++) columns[i].push(null); }
      for (let i = 0; i < columns.length; i++) columns[i].push(row[i] ?? null);
      before = row[0];
    }
    return columns;
  }
  function show(at) {
    const x = data[0].length;
    const index = at ?? x - 1;
    values.forEach((value, i) => { const v = data[i + 1][index]; value.textContent = v == null ? '–' : format(v); });
    none.hidden = x > 0;
  }
  function range() {
    const last = data[0].at(-1) ?? Date.now() / 1000;
    return [last - span, last];
  }
  function build() {
    plot?.destroy();
    const text = css('--text-3'), grid = css('--grid'), font = `11px ${css('--font')}`;
    plot = new uPlot({
      width: Math.max(plotRoot.clientWidth, 120), height: plotRoot.clientHeight || 160, legend: { show: false }, cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } }, padding: [8, 28, 0, 0],
      hooks: { setCursor: [(u) => show(u.cursor.idx)] },
      scales: { x: { time: true, range: () => range() }, y: { range: (_, low, high) => [0, Math.max(options.top ?? 0, high > 0 ? high * 1.1 : 0) || (options.unit.startsWith('b') ? 1024 : 1)] } },
      axes: [
        { stroke: text, font, grid: { show: false }, ticks: { stroke: grid, size: 4 }, size: 26, space: 48, values: (u, splits) => splits.map((s) => stamp(s)) },
        { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { show: false }, size: 68, values: (_, splits) => splits.map(format), space: 36, incrs: options.unit.startsWith('bytes') ? binaryIncrements : undefined },
      ],
      series: [{}, ...options.series.map((s) => ({ label: s.name, stroke: css(`--c${s.colour}`), width: 1.5, fill: s.fill ? `color-mix(in srgb, ${css(`--c${s.colour}`)} 14%, transparent)` : undefined, points: { show: false }, spanGaps: false }))],
    }, data, plotRoot);
    show();
  }
  function stamp(seconds) {
    const d = new Date(seconds * 1000), two = (n) => String(n).padStart(2, '0');
    if (span > 86400 * 60) return `${d.getFullYear()}-${two(d.getMonth() + 1)}`;
    if (span > 86400) return `${two(d.getMonth() + 1)}-${two(d.getDate())}`;
    return span > 900 || d.getSeconds() === 0 ? `${two(d.getHours())}:${two(d.getMinutes())}` : `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  }
  const observer = new ResizeObserver(() => { if (plotRoot.clientWidth > 0) plot.setSize({ width: plotRoot.clientWidth, height: plotRoot.clientHeight }); });
  build();
  observer.observe(plotRoot);
  addEventListener('kvmportal:theme', build);

  return {
    load(rows) { data = withGaps(rows); plot.setData(data); show(plot.cursor.idx); },
    push(rows) {
      for (const row of rows) {
        const last = data[0].at(-1);
        if (last != null && row[0] <= last) continue;
        if (last != null && row[0] - last > step * 3) { data[0].push(last + step); for (let i = 1; i < data.length; i++) data[i].push(null); }
        for (let i = 0; i < data.length; i++) data[i].push(row[i] ?? null);
      }
      const from = range()[0] - step * 2;
      let drop = 0;
      while (drop < data[0].length && data[0][drop] < from) drop++;
      if (drop > 0) data = data.map((column) => column.slice(drop));
      plot.setData(data);
      show(plot.cursor.idx);
    },
    window(newSpan, newStep) { span = newSpan; step = newStep; data = withGaps([]); plot.setData(data); show(); },
    destroy() { observer.disconnect(); removeEventListener('kvmportal:theme', build); plot.destroy(); root.replaceChildren(); },
  };
}
