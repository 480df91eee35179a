// Draws what /live tells, once a second. Users, programs and errors are strangers' words: they go
// into the page as text and as nothing else.
"use strict";

const SECONDS = 300;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

let samples = [];
let events = [];

// --- small things

function make(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

function draw(name, attributes) {
  const drawn = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) drawn.setAttribute(key, value);
  return drawn;
}

function say(id, value, unit) {
  const place = byId(id);
  const parts = [document.createTextNode(value)];
  if (unit) parts.push(make("span", "unit", unit));
  place.replaceChildren(...parts);
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function count(value) {
  return value < 100000 ? whole.format(value) : short.format(value);
}

function rate(value) {
  return value > 0 && value < 10 ? value.toFixed(1) : count(value);
}

function latency(ms) {
  if (ms === null || ms === undefined) return ["–", ""];
  if (ms >= 1000) return [(ms / 1000).toFixed(ms < 10000 ? 1 : 0), "s"];
  return [ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0), "ms"];
}

function bytes(value) {
  const units = ["B", "KB", "MB", "GB"];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return [value < 10 && at > 0 ? value.toFixed(1) : value.toFixed(0), units[at] + "/s"];
}

function lasted(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return seconds.toFixed(1) + " s";
  if (seconds < 120) return seconds.toFixed(0) + " s";
  if (seconds < 7200) return (seconds / 60).toFixed(0) + " min";
  if (seconds < 172800) return (seconds / 3600).toFixed(0) + " h";
  return (seconds / 86400).toFixed(0) + " d";
}

// --- charts

class Chart {
  constructor(id, series, form) {
    this.figure = byId(id);
    this.title = this.figure.querySelector("h2").textContent;
    this.series = series;
    this.form = form;
    this.at = null;
    this.legend = make("div", "legend");
    this.figure.querySelector("figcaption").append(this.legend);
    this.when = make("span", "when");
    this.values = series.map((one) => {
      const entry = make("span", one.hue, one.name + " ");
      const value = make("b");
      entry.append(value);
      return { entry, value };
    });
    this.legend.append(this.when, ...this.values.map((it) => it.entry));
    this.svg = draw("svg", { role: "img" });
    this.figure.append(this.svg);
    new ResizeObserver(() => this.paint()).observe(this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.point(null));
  }

  point(x) {
    const room = this.svg.clientWidth - Chart.LEFT - Chart.RIGHT;
    this.at = x === null ? null : Math.round((SECONDS - 1) * Math.min(1, Math.max(0, (x - Chart.LEFT) / room)));
    this.paint();
  }

  // The sample at a place from the left, or nothing where there was none yet.
  sample(at) {
    return samples[samples.length - SECONDS + at];
  }

  most() {
    let most = this.form.least;
    for (const sample of samples) {
      for (const one of this.series) most = Math.max(most, one.of(sample) ?? 0);
    }
    return most;
  }

  paint() {
    const [width, height] = [this.svg.clientWidth, this.svg.clientHeight];
    if (width === 0) return;
    const { part, ticks } = this.form.scale(this.most());
    const x = (at) => Chart.LEFT + (at * (width - Chart.LEFT - Chart.RIGHT)) / (SECONDS - 1);
    const y = (value) => height - Chart.BELOW - part(value) * (height - Chart.BELOW - Chart.ABOVE);
    const parts = [];
    for (const tick of ticks) {
      const line = y(tick);
      parts.push(draw("line", { class: "grid", x1: Chart.LEFT, x2: width - Chart.RIGHT, y1: line, y2: line }));
      const label = draw("text", { x: Chart.LEFT - 6, y: line + 4, "text-anchor": "end" });
      label.textContent = this.form.label(tick);
      parts.push(label);
    }
    for (const [place, text, anchor] of [[0, "5 min ago", "start"], [0.6, "2 min", "middle"], [1, "now", "end"]]) {
      const label = draw("text", { x: x((SECONDS - 1) * place), y: height - 3, "text-anchor": anchor });
      label.textContent = text;
      parts.push(label);
    }
    for (const event of events) {
      if (!["failover", "no_primary", "down"].includes(event.kind) || samples.length === 0) continue;
      const at = SECONDS - 1 - (samples[samples.length - 1].time - event.time) / 1000;
      if (at < 0 || at > SECONDS - 1) continue;
      const mark = draw("line", { class: "mark", x1: x(at), x2: x(at), y1: Chart.ABOVE, y2: height - Chart.BELOW });
      const title = draw("title", {});
      title.textContent = [event.target, event.text].filter(Boolean).join(": ");
      mark.append(title);
      parts.push(mark);
    }
    for (const one of this.series) parts.push(...this.lines(one, x, y));
    if (this.at !== null) {
      parts.push(draw("line", { class: "cursor", x1: x(this.at), x2: x(this.at), y1: Chart.ABOVE, y2: height - Chart.BELOW }));
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(...parts);
    this.tell();
  }

  // One path for each stretch without a gap.
  lines(one, x, y) {
    const stretches = [];
    let open = null;
    for (let at = 0; at < SECONDS; at += 1) {
      const sample = this.sample(at);
      const value = sample === undefined ? null : one.of(sample);
      if (value === null || value === undefined) { open = null; continue; }
      if (open === null) { open = []; stretches.push(open); }
      open.push([x(at).toFixed(1), y(value).toFixed(1)]);
    }
    const drawn = [];
    for (const points of stretches) {
      // A second alone would be a path without length.
      if (points.length === 1) points.push([(Number(points[0][0]) + 1).toFixed(1), points[0][1]]);
      const line = "M" + points.map((point) => point.join(" ")).join("L");
      if (one.area) {
        const [first, last] = [points[0][0], points[points.length - 1][0]];
        drawn.push(draw("path", { class: `area ${one.hue}`, d: `${line}L${last} ${y(0)}L${first} ${y(0)}Z` }));
      }
      drawn.push(draw("path", { class: `series ${one.hue}${one.bound ? " bound" : ""}`, d: line }));
    }
    return drawn;
  }

  tell() {
    const sample = this.at === null ? samples[samples.length - 1] : this.sample(this.at);
    const told = [];
    this.series.forEach((one, at) => {
      const value = sample === undefined ? null : one.of(sample);
      const text = value === null || value === undefined ? "–" : this.form.value(value);
      this.values[at].value.textContent = text;
      told.push(`${one.name} ${text}`);
    });
    const pointed = this.at !== null && sample !== undefined;
    this.when.textContent = pointed ? new Date(sample.time).toLocaleTimeString() : "";
    this.when.hidden = !pointed;
    this.svg.setAttribute("aria-label", `${this.title}: ${told.join(", ")}`);
  }
}

Chart.LEFT = 50;
Chart.RIGHT = 4;
Chart.ABOVE = 8;
Chart.BELOW = 20;

// From nothing to a round number.
function linear(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  const top = [1, 2, 4, 6, 8, 10].find((it) => it * power >= most) * power;
  return { part: (value) => value / top, ticks: [0, top / 2, top] };
}

// Ten times as much at each line: the one slow second must not flatten the others.
function decades(most) {
  const [low, high] = [-1, Math.ceil(Math.log10(most))];
  const part = (value) => Math.max(0, (Math.log10(Math.max(value, 1e-9)) - low) / (high - low));
  const ticks = [];
  for (let at = low; at <= high; at += 1) ticks.push(10 ** at);
  return { part, ticks };
}

const rates = { least: 4, scale: linear, label: (value) => short.format(value), value: rate };
const numbers = { ...rates, value: count };
const times = {
  least: 10,
  scale: decades,
  label: (value) => (value >= 1000 ? `${value / 1000} s` : `${value} ms`),
  value: (value) => latency(value).join(" "),
};

let bound = 0;
const charts = [
  new Chart("chart-statements", [
    { name: "statements", hue: "one", area: true, of: (it) => it.statements },
    { name: "errors", hue: "two", of: (it) => it.errors },
  ], rates),
  new Chart("chart-latency", [
    { name: "p50", hue: "one", of: (it) => it.p50_ms },
    { name: "p95", hue: "two", of: (it) => it.p95_ms },
    { name: "p99", hue: "three", of: (it) => it.p99_ms },
  ], times),
  new Chart("chart-connections", [
    { name: "bound", hue: "four", bound: true, of: () => (bound > 0 ? bound : null) },
    { name: "open", hue: "two", of: (it) => it.borrowed + it.idle + it.dialing },
    { name: "borrowed", hue: "one", area: true, of: (it) => it.borrowed },
  ], numbers),
  new Chart("chart-clients", [
    { name: "clients", hue: "one", area: true, of: (it) => it.clients },
    { name: "waiting", hue: "two", of: (it) => it.waiting },
    { name: "pinned", hue: "three", of: (it) => it.pinned },
  ], numbers),
];

// --- the rest of the page

function state(status) {
  const pill = byId("state");
  const is = status.ready ? "good" : status.phase === "running" ? "bad" : "wait";
  const text = status.ready ? "ready" : status.phase === "running" ? "not ready" : status.phase;
  if (pill.textContent !== text) pill.textContent = text;
  pill.dataset.is = is;
  const trouble = status.trouble ? `No statement can be served: ${status.trouble}` : "";
  // An alert that is set is read aloud, so it is set once.
  if (byId("trouble").textContent !== trouble) byId("trouble").textContent = trouble;
  byId("trouble").hidden = !trouble;
  document.title = status.ready ? "Tidegate" : `${text} – Tidegate`;
}

function fill(bar, use) {
  const most = Math.max(use.max, use.borrowed + use.dialing + use.idle, 1);
  const parts = ["borrowed", "dialing", "idle"];
  if (bar.children.length === 0) bar.append(...parts.map((part) => make("i", part)));
  parts.forEach((part, at) => { bar.children[at].style.width = `${(100 * use[part]) / most}%`; });
  bar.setAttribute("aria-label", parts.map((part) => `${use[part]} ${part}`).join(", ") + ` of ${use.max}`);
}

function card(target) {
  const made = make("div", `target ${target.standing}${target.up ? "" : " away"}`);
  made.setAttribute("role", "listitem");
  const name = make("h3", "", target.name);
  name.append(make("span", "badge", target.standing));
  const use = make("span", "use small");
  if (target.pool) {
    use.append(make("b", "", count(target.pool.borrowed)), ` of ${count(target.pool.max)} in use`);
  }
  const where = [target.address, target.version];
  if (target.replication_stopped) where.push("replicates from nobody");
  else if (target.lag_seconds !== null) where.push(`${target.lag_seconds} s behind`);
  if (target.pool && target.pool.waiting > 0) where.push(`${count(target.pool.waiting)} wait`);
  made.append(name, use, make("span", "where small", where.filter(Boolean).join(" · ")));
  if (target.pool) {
    const bar = make("div", "bar");
    bar.setAttribute("role", "img");
    fill(bar, target.pool);
    made.append(bar);
  }
  if (target.trouble) made.append(make("span", "why", target.trouble));
  return made;
}

function ago(time, now) {
  const passed = Math.max(0, now - time);
  return passed < 5000 ? "just now" : `${lasted(passed)} ago`;
}

function story(event, now) {
  const item = make("li", event.kind);
  const when = make("time", "", ago(event.time, now));
  when.dateTime = new Date(event.time).toISOString();
  when.title = new Date(event.time).toLocaleString();
  const titles = { primary: "primary", failover: "failover", no_primary: "no primary", up: "up", down: "down", rivals: "rivals", operator: "operator" };
  const what = make("span");
  what.append(make("b", "", event.target || titles[event.kind]), ` ${event.text}`);
  item.append(when, what);
  return item;
}

function pins(list) {
  const rows = list.map((pin) => {
    const row = make("tr");
    row.append(
      make("td", "", pin.reason.replaceAll("_", " ")),
      make("td", "number", count(pin.now)),
      make("td", "number", count(pin.total)),
    );
    return row;
  });
  byId("pins").hidden = rows.length === 0;
  byId("no-pins").hidden = rows.length > 0;
  byId("pins").querySelector("tbody").replaceChildren(...rows);
}

function show(status) {
  state(status);
  say("version", `version ${status.version}`);
  say("uptime", `up ${lasted(status.uptime_seconds * 1000)}`);
  say("clients", count(status.clients.connected));
  say("clients-max", `of ${count(status.clients.max)} at most`);
  const use = status.connections;
  bound = use.max;
  say("in-use", count(use.borrowed));
  say("bound", use.max > 0 ? ` of ${count(use.max)}` : "");
  fill(byId("bar"), use);
  byId("targets").replaceChildren(...status.targets.map(card));

  const now = status.rates;
  say("statements", rate(now.statements));
  say("p50", ...latency(now.p50_ms));
  say("p99", `p50, p99 is ${latency(now.p99_ms).join(" ")}`);
  say("waiting", count(use.waiting));
  say("wait-p95", now.wait_p95_ms === null ? "for a connection" : `p95 ${latency(now.wait_p95_ms).join(" ")}`);
  say("pinned", count(now.pinned));
  say("errors", rate(now.errors));
  say("bytes-out", ...bytes(now.bytes_out));
  say("bytes-in", `out, ${bytes(now.bytes_in).join(" ")} in`);
  byId("waiting-tile").className = use.waiting > 0 ? "fair" : "";
  byId("errors-tile").className = now.errors > 0 ? "bad" : "";

  pins(status.pins);
  const told = status.events.slice().reverse().map((event) => story(event, status.time));
  if (told.length === 0) told.push(make("li", "small", "None yet."));
  byId("events").replaceChildren(...told);
}

function hear(message) {
  const status = JSON.parse(message.data);
  events = status.events;
  if (status.history) {
    samples = status.history;
  } else if (samples.length === 0 || samples[samples.length - 1].time !== status.rates.time) {
    samples.push(status.rates);
  }
  samples = samples.slice(-SECONDS);
  byId("main").classList.remove("stale");
  show(status);
  for (const chart of charts) chart.paint();
}

function listen() {
  const source = new EventSource("live");
  source.onmessage = hear;
  source.onerror = () => {
    byId("state").textContent = "no connection";
    byId("state").dataset.is = "bad";
    byId("main").classList.add("stale");
    // A browser tries again by itself only while it takes the server for one that streams.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
}

// --- clients and statements in detail: only while somebody looks

const SHOWN = 100;

function cells(list) {
  const made = make("tr");
  for (const [look, text] of list) {
    const cell = make("td", look, text);
    cell.title = text;
    made.append(cell);
  }
  return made;
}

function row(client) {
  const kind = ["waiting", "active"].includes(client.activity) ? `does-${client.activity}` : "";
  return cells([
    ["", client.id], ["", client.user], ["", client.peer], ["", client.program || ""], ["", client.schema || ""],
    [kind, client.activity], ["number", lasted(client.since_ms)],
    ["number", client.transaction_ms === null ? "" : lasted(client.transaction_ms)],
    ["", client.pins.join(", ").replaceAll("_", " ")], ["", client.target || ""],
  ]);
}

function kinds(list) {
  const all = list.digests.reduce((sum, kind) => sum + kind.total_ms, 0) || 1;
  return list.digests.map((kind) => cells([
    ["statement", kind.statement], ["number", count(kind.timed)], ["number", count(kind.errors)],
    ["number", latency(kind.mean_ms).join(" ")], ["number", latency(kind.p95_ms).join(" ")],
    ["number", latency(kind.worst_ms).join(" ")], ["number", `${((100 * kind.total_ms) / all).toFixed(0)} %`],
  ]));
}

// Asks every two seconds while it is open; `fill` gives the rows, how many there are, and which come first.
function lookInto(panel, note, body, query, fill) {
  let asking = null;
  async function ask() {
    if (!byId(panel).open) { asking = null; byId(note).textContent = ""; return; }
    try {
      if (!document.hidden) {
        const answer = await fetch(`status?${query}=${SHOWN}`);
        const { rows, total, first } = fill(await answer.json());
        byId(note).textContent = total > rows.length ? `the ${rows.length} ${first} of ${count(total)}` : `all ${count(total)}`;
        byId(body).replaceChildren(...rows);
      }
    } catch {
      byId(note).textContent = "no answer";
    }
    asking = setTimeout(ask, 2000);
  }
  byId(panel).addEventListener("toggle", () => { if (byId(panel).open && asking === null) ask(); });
}

lookInto("sessions", "listed", "client-rows", "clients", (status) => {
  const list = status.client_list;
  return { rows: list.clients.map(row), total: list.total, first: "busiest" };
});
lookInto("kinds", "kinds-listed", "kind-rows", "digests", (status) => {
  // Not there where admin.digests = false.
  const list = status.digest_list ?? { digests: [], total: 0 };
  return { rows: kinds(list), total: list.total, first: "costliest" };
});

listen();
