// The list of events, newest first; each tells what caused it.

import { byId, h, setText } from "./dom.js";
import { plural, time } from "./format.js";

const SHOWN = 200;
const known = new Map();

const family = (type) => type.split(".")[0];

function details(event, links) {
  const cause = event.causation_id && known.get(event.causation_id);
  return h("div", { class: "detail" },
    h("p", {}, "caused by ", cause
      ? h("button", { type: "button", class: "link", onclick: () => reveal(cause.id) }, `${cause.type} ${time(cause.time)}`)
      : event.causation_id ? h("span", { class: "mono" }, event.causation_id.slice(0, 13) + "…") : "nobody’s event: it began here"),
    h("p", {}, "subject ", h("span", { class: "mono" }, event.subject || event.workload)),
    event.trace_id && h("p", {}, "trace ", links.traces
      ? h("a", { href: links.traces, target: "_blank", rel: "noreferrer", class: "mono" }, event.trace_id)
      : h("span", { class: "mono" }, event.trace_id)),
    h("p", {}, "event ", h("span", { class: "mono" }, event.id)));
}

function row(event, links) {
  const button = h("button", { type: "button", class: "event", "aria-expanded": "false", title: event.summary },
    h("time", { datetime: event.time }, time(event.time)),
    h("span", { class: `type ${family(event.type)}` }, event.type),
    h("span", { class: "summary" }, event.summary));
  const item = h("li", { id: `event-${event.id}` }, button);
  button.addEventListener("click", () => {
    const open = item.querySelector(".detail");
    button.setAttribute("aria-expanded", String(!open));
    if (open) open.remove();
    else item.append(details(event, links));
  });
  return item;
}

function reveal(id) {
  const item = byId(`event-${id}`);
  if (!item) return;
  item.scrollIntoView({ block: "nearest", behavior: "smooth" });
  item.classList.add("found");
  setTimeout(() => item.classList.remove("found"), 1800);
  item.querySelector("button").focus({ preventScroll: true });
}

function remember(event) {
  known.set(event.id, event);
  if (known.size > 600) known.delete(known.keys().next().value);
}

// Progress of one training is one line that moves, not fifty: the line since the newest start.
function earlierProgress(list, event) {
  if (event.type !== "training.progressed") return null;
  for (const item of list.children) {
    if (item.dataset.key === `${event.type} ${event.workload}`) return item;
    if (item.dataset.key === `training.started ${event.workload}`) return null;
  }
  return null;
}

export function add(event, links, workload, fresh = true) {
  if (known.has(event.id) && fresh) return false;
  remember(event);
  if (workload && event.workload !== workload) return true;
  const list = byId("feed");
  const item = row(event, links);
  item.dataset.key = `${event.type} ${event.workload}`;
  if (fresh) item.classList.add("fresh");
  const old = earlierProgress(list, event);
  if (old && old.dataset.time > event.time) return true;
  old?.remove();
  item.dataset.time = event.time;
  list.insertBefore(item, [...list.children].find((other) => other.dataset.time <= event.time) ?? null);
  while (list.childElementCount > SHOWN) list.lastElementChild.remove();
  setText("feed-count", plural(list.childElementCount, "event"));
  return true;
}

export function reset(events, links, workload) {
  byId("feed").replaceChildren();
  setText("feed-count", "");
  for (const event of events) add(event, links, workload, false);
}

export const all = () => [...known.values()];
