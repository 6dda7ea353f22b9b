// Starts from the state in the page, then follows the stream of events; nothing is ever reloaded.

import { byId, h, panel, setText } from "./dom.js";
import * as feed from "./feed.js";
import { count, plural, version } from "./format.js";
import { drawLines, drawServices, drawStage, show } from "./loop.js";
import * as panels from "./panels.js";

let state = JSON.parse(byId("state").textContent);
const hops = JSON.parse(byId("hops").textContent);
let chosen = decodeURIComponent(location.hash.slice(1));
let events = state.events ?? [];

const workload = () => state.workloads.find((w) => w.name === chosen) ?? null;

function choose(name) {
  chosen = name;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  feed.reset(events, state.links, chosen);
  draw();
}

function drawBar() {
  panel("workloads", [state.workloads.map((w) => w.name), chosen], ([names]) => names.map((name) =>
    h("button", { type: "button", "aria-pressed": String(name === chosen), onclick: () => choose(name) }, name)));
  const down = state.services.filter((s) => s.state === "down");
  const waiting = state.services.filter((s) => s.state === "not ready");
  const open = state.alerts.filter((a) => !a.resolved_at && !panels.silent(a)).length;
  panel("health", [down, waiting, open, state.services.length], () => [
    state.services.length > 0 && h("span", { class: `badge ${down.length ? "bad" : waiting.length ? "warn" : "good"}`, title: [...down, ...waiting].map((s) => `${s.name}: ${s.state} ${s.detail}`).join("\n") },
      down.length ? `${down.map((s) => s.name).join(", ")} down` : waiting.length ? `${waiting.map((s) => s.name).join(", ")} not ready` : `${state.services.length} services up`),
    open > 0 && h("a", { class: "badge bad", href: "#alerts-title" }, plural(open, "open alert"))]);
  panel("links", state.links, (links) => [
    links.mlflow && h("a", { href: links.mlflow, target: "_blank", rel: "noreferrer" }, "MLflow"),
    links.traces && h("a", { href: links.traces, target: "_blank", rel: "noreferrer" }, "Traces")]);
  setText("audit", `${plural(state.audit_entries, "audited event")}`);
}

function draw() {
  if (!workload() && state.workloads.length) chosen = state.workloads[0].name;
  const w = workload();
  drawBar();
  drawServices(state.services);
  drawStage(w);
  byId("empty").hidden = Boolean(w);
  byId("loop").classList.toggle("empty-loop", !w);
  for (const section of document.querySelectorAll(".workload-only")) section.hidden = !w;
  document.title = w ? `${w.name} · Headrace` : "Headrace";
  if (!w) return;
  drawLines(w);
  const now = Math.floor(new Date(state.time).getTime() / 1000);
  panel("turns", w.turns, panels.turns);
  panel("models", { list: w.models, production: w.production }, panels.models);
  panel("canary", w.rollout, panels.canary);
  panel("traffic", { list: w.traffic, seconds: state.window_seconds, now }, panels.traffic);
  panel("datasets", { list: w.datasets, problem: w.dataset_problem ?? w.source_problem, training: w.training }, panels.datasets);
  panel("guardrails", w.guardrails, panels.guardrails);
  panel("alerts", { list: state.alerts.filter((a) => a.workload === w.name || a.workload === "headrace"), drift: w.drift }, panels.alerts);
  setText("models-note", `${version(w.production)} in production · base ${w.base}`);
  setText("traffic-note", `figures of the last ${count(state.window_seconds / 60)} minutes`);
  setText("datasets-note", w.owner ? `owner ${w.owner}` : "");
}

const SPOKEN = new Set(["model.promoted", "model.rejected", "model.rolled_back", "alert.raised", "drift.detected", "rollout.started", "training.completed"]);

function took(event) {
  const before = events.length;
  if (events.some((e) => e.id === event.id)) return;
  events.push(event);
  if (before > 600) events = events.slice(-400);
  feed.add(event, state.links, chosen);
  if (event.workload === chosen || !chosen) show(event.type, hops);
  if (SPOKEN.has(event.type)) setText("announce", `${event.type.replace(".", " ")}: ${event.summary}`);
}

function pulse(pulses) {
  for (const { workload: name, type, count: n } of pulses) {
    if (name !== chosen) continue;
    for (let i = 0; i < Math.min(3, Math.ceil(n / 4)); i++) setTimeout(() => show(type, hops), i * 260);
  }
}

function connected(good) {
  byId("connection").dataset.state = good ? "live" : "lost";
  setText("connection", good ? "live" : "reconnecting");
}

async function reload() {
  const answer = await fetch("console/state");
  if (!answer.ok) return;
  state = await answer.json();
  for (const event of state.events) took(event);
  draw();
}

function follow() {
  const stream = new EventSource("console/events");
  let opened = false;
  stream.onopen = () => {
    connected(true);
    // What happened while the connection was away is in the state.
    if (opened) reload();
    opened = true;
  };
  stream.onerror = () => connected(false);
  stream.addEventListener("event", (message) => took(JSON.parse(message.data)));
  stream.addEventListener("pulse", (message) => pulse(JSON.parse(message.data)));
  stream.addEventListener("reload", reload);
  stream.addEventListener("state", (message) => {
    state = { ...JSON.parse(message.data), events: [] };
    const before = chosen;
    draw();
    if (chosen !== before) feed.reset(events, state.links, chosen);
  });
}

byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("headrace-theme", root.dataset.theme);
});
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}

draw();
feed.reset(events, state.links, chosen);
follow();
