// One function per panel: state in, elements out.

import { interval, losses, sparkline } from "./charts.js";
import { h } from "./dom.js";
import { count, metric, metricDigits, ms, percent, plural, signed, span, time, version } from "./format.js";

const STAGES = { landed: "landed", curated: "curated", training: "training", trained: "trained", registered: "registered", evaluated: "evaluated", gate: "gate", canary: "canary", judged: "judged", finished: "done" };
const TONES = { production: "good", canary: "canary", approved: "good", rejected: "bad", "rolled back": "bad", failed: "bad" };

const empty = (text) => h("p", { class: "none" }, text);
const badge = (text, tone = "") => h("span", { class: `badge ${tone}` }, text);
const arm = (name) => ({ base: "base", production: "production", canary: "canary" })[name] ?? "none";
const chip = (v, name) => h("span", { class: `version ${arm(name)}` }, version(v));

function turn(one) {
  const marks = one.marks;
  const total = marks.length > 1 ? (new Date(marks.at(-1).at) - new Date(marks[0].at)) / 1000 : 0;
  return h("div", { class: "turn" },
    h("div", { class: "turn-head" }, h("strong", {}, one.model ? version(one.model) : "–"), h("span", { class: "quiet" }, `dataset v${one.dataset}`), h("span", { class: "quiet" }, total ? span(total) : "")),
    h("ol", { class: "marks" }, marks.map((mark, index) => {
      const gap = index ? (new Date(mark.at) - new Date(marks[index - 1].at)) / 1000 : null;
      return h("li", { class: mark.good ? "" : "bad", title: `${time(mark.at)}  ${mark.text}` },
        gap !== null && h("span", { class: "gap" }, span(gap)),
        h("span", { class: "mark" }, mark.stage === "finished" ? (mark.good ? "promoted" : "rejected") : mark.stage === "gate" ? (mark.good ? "gate open" : "gate shut") : STAGES[mark.stage]));
    })));
}

export function turns(list) {
  if (!list.length) return empty("The first turn begins when the manifest’s sources are landed and curated.");
  return list.slice(0, 4).map(turn);
}

function score(model, name) {
  const found = model.evaluation?.metrics.find((m) => m.metric === name);
  if (!found) return h("td", { class: "none" }, model.status === "registered" ? "…" : "–");
  const gate = model.evaluation.gates.find((g) => g.metric === name);
  const digits = metricDigits(name);
  // A perplexity's gate is relative and lower is better: its margin does not fit this axis.
  const margin = gate && name !== "perplexity" ? gate.margin : undefined;
  return h("td", {}, h("div", { class: "score" },
    h("span", { class: "value" }, found.candidate.toFixed(digits)),
    h("span", { class: "against" }, `${signed(found.difference, digits)} [${signed(found.low, digits)}, ${signed(found.high, digits)}]`),
    interval(found, margin, gate?.passed, name === "perplexity")));
}

function decision(model) {
  const gates = model.evaluation?.gates ?? [];
  return h("td", { class: "decision" },
    badge(model.status, TONES[model.status] ?? ""),
    model.reason && h("p", { class: "why" }, model.reason),
    !model.reason && gates.length > 0 && h("p", { class: "why" }, gates.map((g) => `${metric(g.metric)}: ${g.passed ? "passed" : "failed"}${g.bound === null ? ", not measured" : `, bound ${signed(g.bound)} against margin ${signed(g.margin)}`}`).join("; ")));
}

export function models({ list, production }) {
  if (!list.length) return empty("The first model version appears when a training is completed and registered.");
  const names = [...new Set(list.flatMap((m) => m.evaluation?.metrics.map((x) => x.metric) ?? []))];
  const columns = names.length ? names : ["exact_match", "rouge_l", "perplexity"];
  const base = list.find((m) => m.evaluation?.incumbent === "base")?.evaluation;
  return h("table", { class: "models" },
    h("thead", {}, h("tr", {}, ["Version", ...columns.map((name) => metric(name) + (name === "perplexity" ? ", lower is better" : "")), "Decision"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {},
      list.slice(0, 6).map((m) => h("tr", {},
        h("th", { scope: "row" }, chip(m.version, m.version === production ? "production" : m.status === "canary" ? "canary" : "none"),
          h("span", { class: "under" }, m.dataset === null ? "" : `dataset v${m.dataset}`, m.evaluation ? `, against ${version(m.evaluation.incumbent)}` : "")),
        columns.map((name) => score(m, name)), decision(m))),
      base && h("tr", {}, h("th", { scope: "row" }, chip("base", "base"), h("span", { class: "under" }, "as downloaded")),
        columns.map((name) => {
          const found = base.metrics.find((m) => m.metric === name);
          return h("td", {}, h("span", { class: "value" }, found ? found.incumbent.toFixed(metricDigits(name)) : "–"));
        }),
        h("td", {}, production === "base" ? badge("production", "good") : badge("starting point")))));
}

function armRow(label, stats, needed, tone) {
  return h("tr", {},
    h("th", { scope: "row" }, h("span", { class: `version ${tone}` }, version(stats.version)), h("span", { class: "under" }, label)),
    h("td", {}, h("div", { class: "need" }, h("span", {}, count(stats.requests), needed ? h("small", {}, ` of ${count(needed)}`) : ""),
      needed ? h("progress", { max: needed, value: Math.min(stats.requests, needed), class: tone, "aria-label": `${label}: requests of those needed` }) : null)),
    h("td", { class: stats.errors ? "num bad-text" : "num" }, stats.requests ? percent(stats.errors / stats.requests) : "–"),
    h("td", { class: "num" }, ms(stats.requests ? stats.p50_ms : null)),
    h("td", { class: "num" }, ms(stats.requests ? stats.p95_ms : null)),
    h("td", { class: "num" }, stats.ratings ? `${signed(stats.rating_mean, 2)} (${stats.ratings})` : "–"));
}

const MARKS = { not_worse: ["✓", "good"], worse: ["✕", "bad"], unclear: ["…", "open"], not_judged: ["–", "open"] };

export function canary(rollout) {
  if (!rollout) return empty("No roll-out yet. One starts by itself when the gate opens for a model.");
  const running = rollout.state === "running";
  const last = rollout.judgements.at(-1);
  const live = rollout.live;
  const [candidate, incumbent] = live ? [live.candidate, live.incumbent] : last ? [last.candidate, last.incumbent] : [null, null];
  const stops = [...rollout.steps.filter((w) => w < 100), 100];
  return h("div", { class: `canary ${rollout.state}` },
    h("div", { class: "weights", role: "img", "aria-label": `${version(rollout.candidate)} takes ${rollout.weight} percent, ${version(rollout.incumbent)} the rest` },
      h("div", { class: "share candidate", style: { width: `${Math.max(rollout.weight, 0)}%` } }),
      stops.slice(0, -1).map((w) => h("span", { class: "stop", style: { left: `${w}%` } }, h("small", {}, `${w} %`)))),
    h("div", { class: "weight-text" },
      h("span", { class: "canary-text" }, `${version(rollout.candidate)}  ${rollout.weight} %`),
      badge(running ? `step ${rollout.step + 1} of ${rollout.steps.length}` : rollout.state, running ? "canary" : rollout.state === "succeeded" ? "good" : "bad"),
      h("span", { class: "quiet" }, `${version(rollout.incumbent)}  ${100 - rollout.weight} %`)),
    candidate && h("div", { class: "scroll" }, h("table", { class: "arms" },
      h("thead", {}, h("tr", {}, ["Arm", "Requests", "Errors", "p50", "p95", "Rating"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", {},
        armRow("candidate", candidate, live?.needed[0], "canary"),
        armRow("incumbent", incumbent, live?.needed[1], rollout.incumbent === "base" ? "base" : "production")))),
    live && h("p", { class: `standing ${live.verdict}` }, live.verdict === "wait" ? `Not judged yet: ${live.reason}` : live.verdict === "cannot_tell" ? live.reason : `${live.verdict}: ${live.reason}`),
    live && live.checks.length > 0 && h("ul", { class: "checks" }, live.checks.map((c) => h("li", { class: MARKS[c.finding][1] }, h("b", { "aria-label": c.finding.replace("_", " ") }, MARKS[c.finding][0]), c.detail))),
    rollout.judgements.length > 0 && h("ol", { class: "judgements" }, rollout.judgements.map((j) => h("li", {}, badge(j.inconclusive ? "cannot tell" : j.verdict, j.verdict === "advance" ? "good" : j.inconclusive ? "warn" : "bad"), h("span", { class: "quiet" }, `step ${j.step + 1}`), h("span", {}, j.reason)))),
    !running && rollout.reason && h("p", { class: "standing" }, rollout.reason));
}

export function traffic({ list, seconds, now }) {
  if (!list.length) return empty("No requests in the last minutes. Send some with headrace_client, or to /v1/chat/completions.");
  const order = { production: 0, canary: 1, base: 2 };
  const sorted = [...list].sort((a, b) => b.active - a.active || (order[a.arm] ?? 3) - (order[b.arm] ?? 3));
  return h("table", { class: "traffic" },
    h("thead", {}, h("tr", {}, ["Version", "Last 15 minutes", "p50", "p95", "req/s", "Requests", "Errors", "Rating"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, sorted.slice(0, 8).map((t) => h("tr", { class: t.active ? "" : "past" },
      h("th", { scope: "row" }, chip(t.version, t.arm), h("span", { class: "under" }, t.arm)),
      h("td", { class: arm(t.arm) }, sparkline(t.points, now, 900, `${version(t.version)} ${t.arm}`)),
      h("td", { class: "num" }, t.active ? ms(t.p50_ms) : "–"), h("td", { class: "num strong" }, t.active ? ms(t.p95_ms) : "–"),
      h("td", { class: "num" }, t.active ? t.per_second.toFixed(t.per_second < 10 ? 2 : 0) : "–"), h("td", { class: "num" }, t.active ? count(t.requests) : "–"),
      h("td", { class: t.errors && t.active ? "num bad-text" : "num" }, t.active && t.requests ? percent(t.error_rate) : "–"),
      h("td", { class: "num" }, t.active && t.ratings ? `${signed(t.rating_mean, 2)} (${count(t.ratings)})` : "–")))));
}

const pairs = (counts, tone) => Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([name, n]) => h("span", { class: `pair ${tone}` }, name.replaceAll("_", " "), h("b", {}, count(n))));

export function datasets({ list, problem, training }) {
  const rows = list.slice(0, 2).map((d) => {
    const dropped = Object.values(d.rejects).reduce((a, b) => a + b, 0);
    const all = d.train_rows + d.holdout_rows + dropped;
    const part = (n) => ({ width: `${(100 * n) / Math.max(all, 1)}%` });
    return h("article", { class: "dataset" },
      h("header", {}, h("strong", {}, `v${d.version}`), h("span", { class: "quiet" }, `${d.trigger === "drift" ? "after drift" : d.sources.map((x) => x.replace("file:", "")).join(", ")} · ${time(d.at)}`)),
      h("div", { class: "stack", role: "img", "aria-label": `${d.train_rows} train, ${d.holdout_rows} holdout, ${dropped} dropped` },
        h("i", { class: "train", style: part(d.train_rows) }), h("i", { class: "holdout", style: part(d.holdout_rows) }), h("i", { class: "dropped", style: part(dropped) })),
      h("p", { class: "legend" }, h("span", { class: "train" }, `${count(d.train_rows)} train`), h("span", { class: "holdout" }, `${count(d.holdout_rows)} holdout`), h("span", { class: "dropped" }, `${count(dropped)} dropped`)),
      h("p", { class: "pairs" }, pairs(d.rejects, ""), pairs(d.redactions, "redacted")));
  });
  const curve = training?.losses.length > 1 && h("article", { class: "dataset" }, h("header", {}, h("strong", {}, "Loss"), h("span", { class: "quiet" }, `dataset v${training.dataset}, ${training.losses.length} readings`)), losses(training.losses, training.steps));
  if (!rows.length) rows.push(empty(problem ?? "No dataset version yet: data-quality writes one when records are landed."));
  else if (problem) rows.unshift(h("p", { class: "problem" }, problem));
  return [rows, curve];
}

export function guardrails({ counts, recent }) {
  if (!counts.length) return empty("No check tripped in the last hour.");
  const most = Math.max(...counts.map((c) => c.count));
  return [
    h("ul", { class: "bars" }, counts.slice(0, 6).map((c) => h("li", {},
      h("span", {}, `${c.check}`, h("small", {}, ` ${c.stage}, ${c.action === "block" ? "blocked" : "redacted"}`)),
      h("i", { class: c.action, style: { width: `${(100 * c.count) / most}%` } }), h("b", {}, count(c.count))))),
    h("ol", { class: "recent" }, recent.slice(0, 4).map((r) => h("li", {}, h("time", { datetime: r.at }, time(r.at)), badge(r.action === "block" ? "blocked" : "redacted", r.action === "block" ? "bad" : "warn"), h("span", {}, `${r.check}${r.labels.length ? `: ${r.labels.join(", ")}` : ""}`)))),
  ];
}

function driftMeter(d) {
  if (!d.window) return null;
  if (d.value === null) {
    return h("div", { class: "drift" }, h("header", {}, h("strong", {}, "Input drift"), h("span", { class: "quiet" }, d.reference_rows ? "reference is set, the first window fills" : `the first ${count(d.window)} requests become the reference`)));
  }
  const top = Math.max(1.6 * d.threshold, 1.1 * d.value);
  const at = (x) => `${Math.min(100, Math.max(0, (100 * x) / top))}%`;
  return h("div", { class: `drift ${d.drifted ? "moved" : ""}` },
    h("header", {}, h("strong", {}, "Input drift"), badge(d.drifted ? "drifted" : "stable", d.drifted ? "bad" : "good")),
    h("div", { class: "meter", role: "img", "aria-label": `PSI above chance ${d.value.toFixed(2)}, threshold ${d.threshold.toFixed(2)}` }, h("i", { style: { width: at(d.value) } }), h("span", { style: { left: at(d.threshold) } })),
    h("p", { class: "quiet" }, `PSI ${d.value.toFixed(3)} above chance, threshold ${d.threshold.toFixed(2)}, windows of ${count(d.window)} requests`));
}

export const silent = (a) => Boolean(a.silenced_until) && new Date(a.silenced_until) > new Date();

function said(a) {
  if (a.resolved_at) return "";
  if (silent(a)) return ` · silenced until ${time(a.silenced_until)}`;
  return a.acknowledged ? ` · seen: ${a.acknowledged}` : "";
}

export function alerts({ list, drift }) {
  const open = list.filter((a) => !a.resolved_at);
  const past = list.filter((a) => a.resolved_at).slice(0, 3);
  const line = (a, tone) => h("li", { class: tone }, badge(a.resolved_at ? "resolved" : a.severity, a.resolved_at ? "" : a.severity === "critical" ? "bad" : "warn"), h("span", { title: a.next_step ?? "" }, a.summary, said(a), !a.resolved_at && a.next_step && h("small", { class: "quiet" }, ` ${a.next_step}`)), h("time", { datetime: a.raised_at }, time(a.raised_at)));
  return [
    open.length ? h("ul", { class: "alerts" }, open.map((a) => line(a, "open"))) : h("p", { class: "none all-good" }, "No open alerts."),
    past.length > 0 && h("ul", { class: "alerts past" }, past.map((a) => line(a, "past"))),
    driftMeter(drift),
  ];
}
