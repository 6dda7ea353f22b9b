// Small pictures of figures.

import { s } from "./dom.js";
import { ms, signed } from "./format.js";

// Band from p50 to p95 over the last minutes, p95 as a line, requests as bars below.
export function sparkline(points, now, seconds, label) {
  const [width, height, base] = [260, 46, 36];
  const from = now - seconds;
  const kept = points.filter((p) => p[0] >= from);
  const top = Math.max(1, ...kept.map((p) => p[4] ?? 0));
  const most = Math.max(1, ...kept.map((p) => p[1]));
  const x = (at) => ((at - from) / seconds) * width;
  const y = (value) => base - (value / top) * (base - 4);
  const measured = kept.filter((p) => p[4] !== null);
  const line = measured.map((p) => `${x(p[0]).toFixed(1)},${y(p[4]).toFixed(1)}`);
  const under = measured.map((p) => `${x(p[0]).toFixed(1)},${y(p[3]).toFixed(1)}`).reverse();
  return s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `${label}: p95 up to ${ms(top)}` },
    kept.map((p) => s("rect", { class: p[2] ? "bar failed" : "bar", x: x(p[0]), width: Math.max(1.5, (10 / seconds) * width - 0.8), y: height - (p[1] / most) * 8, height: (p[1] / most) * 8 })),
    measured.length > 1 && s("polygon", { class: "band", points: [...line, ...under].join(" ") }),
    measured.length > 1 && s("polyline", { class: "p95", points: line.join(" ") }),
    measured.length > 0 && s("path", { class: "last", d: `M${x(measured.at(-1)[0])},${y(measured.at(-1)[4])} h.01` }));
}

// Candidate minus incumbent with its interval; the dashed line is the gate's margin.
export function interval({ difference, low, high, confidence }, margin, passed, lowerIsBetter) {
  const [width, height] = [132, 22];
  const reach = 1.12 * Math.max(Math.abs(low), Math.abs(high), Math.abs(difference), Math.abs(margin ?? 0), 1e-6);
  const x = (value) => width / 2 + (value / reach) * (width / 2 - 4);
  const better = passed ?? (lowerIsBetter ? difference <= 0 : difference >= 0);
  return s("svg", { class: `interval ${better ? "good" : "bad"}`, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `difference ${signed(difference)}, ${Math.round(100 * confidence)} percent interval ${signed(low)} to ${signed(high)}` },
    s("line", { class: "zero", x1: x(0), x2: x(0), y1: 1, y2: height - 1 }),
    margin !== undefined && s("line", { class: "margin", x1: x(margin), x2: x(margin), y1: 1, y2: height - 1 }),
    s("line", { class: "range", x1: x(low), x2: x(high), y1: height / 2, y2: height / 2 }),
    s("circle", { class: "point", cx: x(difference), cy: height / 2, r: 4 }),
    s("title", {}, `${signed(difference)} [${signed(low)}, ${signed(high)}] at ${Math.round(100 * confidence)} %${margin === undefined ? "" : `, margin ${signed(margin)}`}`));
}

export function losses(points, steps) {
  const [width, height] = [150, 26];
  const values = points.map((p) => p[1]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const line = points.map(([step, loss]) => `${((step / Math.max(steps, 1)) * width).toFixed(1)},${(3 + (1 - (loss - low) / Math.max(high - low, 1e-9)) * (height - 6)).toFixed(1)}`);
  return s("svg", { class: "losses", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `loss from ${high.toFixed(2)} to ${values.at(-1).toFixed(2)}` },
    s("polyline", { points: line.join(" ") }));
}
