// The picture: services with their state and one line each, events on their way, the stage of now.

import { byId, s, setText } from "./dom.js";
import { count, ms, percent, plural, version } from "./format.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const COLOURS = { canary: "var(--canary)", rollout: "var(--canary)", drift: "var(--warn)", slo: "var(--bad)", guardrail: "var(--bad)", inference: "var(--violet)", feedback: "var(--violet)" };
const MOST_COMETS = 24;
let places = null;
let length = 0;

const node = (service) => document.querySelector(`.node[data-service="${service}"]`);

// Where each service's spoke meets the channel, as a distance along it.
function measure() {
  const ring = byId("ring");
  length = ring.getTotalLength() / 2;
  places = {};
  for (const one of document.querySelectorAll(".node")) {
    const [x, y] = [Number(one.dataset.x), Number(one.dataset.y)];
    let best = [Infinity, 0];
    for (let at = 0; at < length; at += 4) {
      const point = ring.getPointAtLength(at);
      const gap = Math.hypot(point.x - x, point.y - y);
      if (gap < best[0]) best = [gap, at];
    }
    places[one.dataset.service] = best[1];
  }
}

function light(service, milliseconds) {
  const one = node(service);
  if (!one) return;
  one.classList.add("lit");
  clearTimeout(one.timer);
  one.timer = setTimeout(() => one.classList.remove("lit"), milliseconds);
}

function travel(from, to, colour) {
  light(from, 900);
  if (calm.matches || byId("comets").childElementCount >= MOST_COMETS || from === to) {
    light(to, 1600);
    return Promise.resolve();
  }
  let start = places[from];
  let way = (places[to] - start + length) % length;
  if (way > length / 2) way -= length;
  if (way < 0) start += length;
  const tail = 26;
  const comet = s("path", { class: "comet", d: byId("ring").getAttribute("d"), style: { "--comet": colour, "stroke-dasharray": `${tail} ${2 * length}` } });
  byId("comets").append(comet);
  const shift = way < 0 ? 0 : tail;
  const moved = comet.animate([{ strokeDashoffset: -(start - shift) }, { strokeDashoffset: -(start + way - shift) }], { duration: 350 + Math.abs(way) * 1.1, easing: "cubic-bezier(.45,.05,.4,1)" });
  return moved.finished.catch(() => {}).then(() => {
    comet.remove();
    light(to, 1300);
  });
}

// Lights up the ways of an event, one after the other for a chain, at once for several readers.
export async function show(type, hops) {
  if (!places) measure();
  const ways = hops[type];
  if (!ways) return;
  const colour = COLOURS[type.split(".")[0]] ?? "var(--accent)";
  if (!type.startsWith("inference.") && !type.startsWith("feedback.")) {
    const passing = byId("passing");
    passing.textContent = `${type} · ${ways[0][0]} → ${ways.map((w) => w[1]).join(", ")}`;
    passing.classList.remove("on");
    passing.getBoundingClientRect();
    passing.classList.add("on");
  }
  const chain = ways.length > 1 && ways[0][1] === ways[1][0];
  for (const [from, to] of ways) {
    const arrived = travel(from, to, colour);
    if (chain) await arrived;
  }
}

export function drawServices(services) {
  for (const one of services) {
    const element = node(one.name);
    if (!element) continue;
    element.dataset.state = one.state;
    setText(`title-${one.name}`, `${one.name}: ${one.state}${one.detail ? ` (${one.detail})` : ""}`);
  }
}

function put(service, line = "", second = "") {
  setText(`line-${service}`, line);
  setText(`second-${service}`, second);
}

const worst = (series, field) => Math.max(0, ...series.map((w) => w[field] ?? 0));

export function drawLines(w) {
  const [dataset, model] = [w.datasets[0], w.models[0]];
  const active = w.traffic.filter((t) => t.active);
  const requests = active.reduce((sum, t) => sum + t.requests, 0);
  const landing = w.landings.at(-1);
  put("product", requests ? `${active.reduce((sum, t) => sum + t.per_second, 0).toFixed(1)} req/s` : "quiet");
  put("ingest", plural(w.rows_landed, "row") + " landed", w.source_problem ? "a source was refused" : landing ? `last from ${landing.source.replace("file:", "").slice(0, 20)}` : "");
  put("data-quality", dataset ? `dataset v${dataset.version}, ${plural(dataset.train_rows, "row")}` : "no dataset yet", dataset ? `${count(Object.values(dataset.rejects).reduce((a, b) => a + b, 0))} dropped` : w.dataset_problem ? "records were refused" : "");
  const job = w.training;
  put("trainer", job ? (job.state === "running" ? `step ${job.step} of ${job.steps}` : `${job.state}, ${job.step} steps`) : "no training yet", job?.losses.length ? `loss ${job.losses.at(-1)[1].toFixed(3)}` : "");
  put("registry", `${version(w.production)} in production`, model ? `newest v${model.version}: ${model.status}` : "");
  const score = model?.evaluation?.metrics.find((m) => m.metric !== "perplexity");
  put("evaluator", score ? `v${model.version}: ${score.metric === "rouge_l" ? "ROUGE-L" : "match"} ${score.candidate.toFixed(3)}` : model ? "no scores yet" : "no model yet", score ? `${score.difference >= 0 ? "+" : "−"}${Math.abs(score.difference).toFixed(3)} to ${version(model.evaluation.incumbent)}` : "");
  const canary = w.rollout?.state === "running";
  put("serving", canary ? `canary ${version(w.rollout.candidate)} at ${w.rollout.weight} %` : `${version(w.production)} takes all`, requests ? `p95 ${ms(worst(active, "p95_ms"))}` : "");
  const trips = w.guardrails.counts.reduce((sum, c) => sum + c.count, 0);
  put("guardrails", trips ? `${plural(trips, "trip")} this hour` : "nothing tripped", trips ? w.guardrails.counts.slice(0, 2).map((c) => `${c.check} ${c.count}`).join(", ") : "");
  const errors = active.reduce((sum, t) => sum + t.errors, 0);
  put("monitor", requests ? `${plural(requests, "request")}, ${percent(errors / requests)} errors` : w.traffic.length ? "no requests lately" : "no requests yet", w.drift.drifted ? "the input moved" : w.drift.value !== null ? `drift ${w.drift.value.toFixed(2)}` : "");
  for (const name of ["trainer", "serving"]) node(name)?.classList.toggle("busy", name === "trainer" ? job?.state === "running" : canary);
}

// What the loop is doing now is said by the service: the same words as `headrace workloads get`.
export function drawStage(w) {
  const { title, detail, progress } = w?.now ?? { title: "", detail: "", progress: null };
  setText("stage", title);
  const text = detail ?? "";
  setText("stage-detail", text.length > 66 ? `${text.slice(0, 65)}…` : text);
  byId("stage-progress").setAttribute("visibility", progress === null ? "hidden" : "visible");
  if (progress !== null) byId("stage-bar").setAttribute("width", (280 * progress).toFixed(1));
}
