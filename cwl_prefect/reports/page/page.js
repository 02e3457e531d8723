"use strict";
// Everything from the run becomes text, never markup.
const data = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");
const only = data.only;

function make(name, attributes = {}, ...children) {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) found.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) found.setAttribute(key, value);
  }
  found.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : String(child))));
  return found;
}
const moment = (at) => (at === null ? "" : new Date(at * 1000).toLocaleString());
function duration(s) {
  if (s === null) return "";
  if (s < 60) return `${s.toFixed(s < 10 ? 2 : 1)} s`;
  const minutes = Math.floor(s / 60), hours = Math.floor(minutes / 60);
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min ${Math.floor(s % 60)} s`;
}
const size = (bytes) => (bytes === null ? "" : bytes < 1024 ? `${bytes} B` : bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`);
const mib = (value) => (value === null ? "" : `${value.toFixed(value < 10 ? 1 : 0)} MiB`);
const number = (value, digits = 2) => (value === null ? "" : value.toFixed(digits));
const money = (cost) => (cost === null ? "" : `${cost.toFixed(4)} ${data.currency}`);
const section = (title, ...children) => page.append(make("section", {}, make("h2", {}, title), ...children));

const columns = data.columns;
const calls = data.calls.map((row) => Object.fromEntries(columns.map((name, index) => [name, row[index]])));
for (const call of calls) {
  call.running_s = call.started_at === null || call.ended_at === null ? null : Math.max(0, call.ended_at - call.started_at);
  call.waiting_s = call.prepared_at === null || call.ready_at === null ? null : Math.max(0, call.ready_at - call.prepared_at);
  call.average = call.cpu_s === null || !call.running_s ? null : call.cpu_s / call.running_s;
}

function summary() {
  const list = make("dl");
  for (const [name, value] of data.summary) list.append(make("dt", {}, name), make("dd", {}, value));
  page.append(make("h1", {}, data.title), list);
}

function table(heads, rows) {
  return make("div", { class: "wide" }, make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map(([name, numeric]) => make("th", { class: numeric ? "number" : null, scope: "col" }, name)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value, index) => make("td", { class: heads[index][1] ? "number" : null }, value)))))));
}

function steps() {
  const heads = [["step"], ["calls"], ["time of all tries", true], ["CPU", true], ["most memory", true], ["asked for", true], ["saved by the cache", true], ...(data.currency ? [["cost", true]] : [])];
  section("Steps", table(heads, data.steps.map((step) => [
    step.step, Object.entries(step.states).map(([state, count]) => `${count} ${state}`).join(", "),
    duration(step.running_s), step.cpu_s === null ? "" : duration(step.cpu_s), mib(step.peak_memory_mib),
    step.cores === null ? "" : `${step.cores} ${step.cores === 1 ? "core" : "cores"}, ${mib(step.ram_mib)}`, step.saved_s ? duration(step.saved_s) : "",
    ...(data.currency ? [money(step.cost)] : []),
  ])));
}

function graph() {
  const drawn = document.getElementById("graph").content;
  if (drawn.childElementCount) section("Workflow", make("div", { class: "wide graph" }, drawn.cloneNode(true)));
}

// Charts are drawn when they come into view, all of them before the page is printed.
const waiting = new Map();
const seen = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => drawn(entry.target)), { rootMargin: "400px" });
function drawn(place) {
  const draw = waiting.get(place);
  waiting.delete(place);
  seen.unobserve(place);
  draw?.();
}
function later(place, draw) { waiting.set(place, draw); seen.observe(place); }
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  [...waiting.keys()].forEach(drawn);
});

const colours = { waiting: "#d6dde3", running: "#7fb3e6", succeeded: "#2f6f4a", failed: "#d9534f", retrying: "#e6a23c", cached: "#1f6feb" };
// Without colour the bars differ in lightness and in their lines.
const lines = { failed: [[0, 6, 6, 0]], retrying: [[0, 3, 6, 3]], cached: [[3, 0, 3, 6]] };
function fill(state) {
  const tile = document.createElement("canvas"), ctx = tile.getContext("2d");
  tile.width = tile.height = 6;
  ctx.fillStyle = colours[state];
  ctx.fillRect(0, 0, 6, 6);
  for (const [x1, y1, x2, y2] of lines[state] ?? []) { ctx.beginPath(); ctx.moveTo(x1, y1); ctx.lineTo(x2, y2); ctx.lineWidth = 1.5; ctx.stroke(); }
  return tile;
}
function timeline() {
  const shown = calls.filter((call) => call.prepared_at !== null || call.state === "cached" || call.state === "running");
  if (!shown.length) return;
  const began = (call) => call.prepared_at ?? call.started_at ?? call.at;
  shown.sort((a, b) => began(a) - began(b));
  const tiles = Object.fromEntries(Object.keys(colours).map((state) => [state, fill(state)]));
  const x = shown.map(began), rows = shown.map((_, index) => index), last = data.ended_at ?? Math.max(...shown.map((call) => call.at));
  const bars = (u) => {
    const { ctx } = u, thick = Math.max(1, Math.abs(u.valToPos(0, "y", true) - u.valToPos(1, "y", true)) * 0.8);
    const fills = Object.fromEntries(Object.keys(colours).map((state) => [state, thick > 3 && lines[state] ? ctx.createPattern(tiles[state], "repeat") : colours[state]]));
    ctx.save();
    ctx.beginPath(); ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); ctx.clip();
    shown.forEach((call, index) => {
      const y = u.valToPos(index, "y", true) - thick / 2;
      const bar = (from, to, colour) => {
        if (from === null || to === null || to < u.scales.x.min || from > u.scales.x.max) return;
        const left = u.valToPos(from, "x", true);
        ctx.fillStyle = fills[colour] ?? fills.succeeded;
        ctx.fillRect(left, y, Math.max(1, u.valToPos(to, "x", true) - left), thick);
      };
      bar(call.prepared_at, call.started_at ?? call.collected_at, "waiting");
      bar(call.started_at, call.ended_at ?? last, lines[call.state] ? call.state : "running");
      bar(call.ended_at, call.collected_at, call.state);
      if (call.state === "cached") bar(call.at - 0.05, call.at, "cached");
    });
    ctx.restore();
  };
  const place = make("div", { class: "wide" }), text = make("p", { class: "note", "aria-live": "polite" }, "Drag to zoom, click twice to see all. With keys: up and down to a call, + and - to zoom, left and right to move, 0 to see all.");
  place.tabIndex = 0;
  place.setAttribute("role", "application");
  place.setAttribute("aria-label", "timeline");
  const tell = (call) => { text.textContent = `${call.call}: ${call.state}, waited ${duration(call.waiting_s)}, ran ${duration(call.running_s)}`; };
  section("Timeline", make("p", { class: "legend" }, ...[["waiting, starting", "waiting"], ["running", "running"], ["collecting", "succeeded"], ["failed", "failed"], ["cached", "cached"]]
    .map(([name, colour]) => make("span", {}, tiles[colour], name))), place, text);
  const chart = new uPlot({
    width: Math.min(1160, page.clientWidth), height: Math.min(700, 90 + 18 * shown.length), legend: { show: false },
    cursor: { y: false }, scales: { x: { time: true, range: (u, low, high) => [low, Math.max(high, low + 0.1)] }, y: { dir: -1, range: [-0.5, shown.length - 0.5] } },
    axes: [{}, { size: 180, values: (u, ticks) => ticks.map((tick) => (shown[tick] && Number.isInteger(tick) ? shown[tick].call.slice(-24) : "")), grid: { show: false } }],
    series: [{}, { paths: () => null, points: { show: false } }, { paths: () => null, points: { show: false } }],
    hooks: {
      draw: [bars],
      setCursor: [(u) => {
        const call = u.cursor.top >= 0 ? shown[Math.round(u.posToVal(u.cursor.top, "y"))] : undefined;
        if (call) tell(call);
      }],
    },
  }, [[...x, last], [...rows, null], [...rows, null]], place);
  by_keys(chart, place, { first: x[0], last, move: (row) => { const call = shown[row]; tell(call); return began(call); }, most: shown.length });
}

function by_keys(chart, place, { first, last, move, most }) {
  let row = -1;
  const show = (from, to) => chart.setScale("x", { min: Math.max(first, from), max: Math.min(last, Math.max(to, from + 0.1)) });
  place.addEventListener("keydown", (event) => {
    const { min, max } = chart.scales.x, wide = max - min;
    const keys = {
      ArrowDown: () => { row = Math.min(most - 1, row + 1); move(row); }, ArrowUp: () => { row = Math.max(0, row - 1); move(row); },
      "+": () => show(min + wide / 4, max - wide / 4), "-": () => show(min - wide / 2, max + wide / 2),
      ArrowLeft: () => show(Math.max(first, min - wide / 4), Math.max(first, min - wide / 4) + wide),
      ArrowRight: () => show(Math.min(last, max + wide / 4) - wide, Math.min(last, max + wide / 4)), 0: () => show(first, last),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

function distribution(title, used, asked, unit) {
  const names = data.steps.map((step) => step.step);
  const rows = calls.filter((call) => used(call) !== null).map((call) => [names.indexOf(call.step.replace(/\[[\d,]*\]/g, "")), used(call), asked(call)]);
  if (!rows.length) return null;
  const seen = new Map(), counts = new Map();
  for (const [step] of rows) counts.set(step, (counts.get(step) ?? 0) + 1);
  const points = rows.map(([step, value, wanted]) => {
    const place = seen.get(step) ?? 0;
    seen.set(step, place + 1);
    return [step + 0.6 * (place / Math.max(1, counts.get(step)) - 0.5), value, wanted];
  }).sort((a, b) => a[0] - b[0]);
  const place = make("figure", {}, make("figcaption", {}, title));
  later(place, () => new uPlot({
    width: Math.min(1160, page.clientWidth), height: 240, scales: { x: { time: false, range: [-0.5, names.length - 0.5] }, y: { range: (u, low, high) => [0, high * 1.1 || 1] } },
    axes: [{ values: (u, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? (names[tick] ?? "").slice(-20) : "")) }, { label: unit }],
    series: [{ label: "step", value: (u, value) => (value === null ? "" : names[Math.round(value)]) },
      { label: "used", stroke: "#1f6feb", paths: () => null, points: { show: true, size: 5 } },
      { label: "asked for", stroke: "#b54708", paths: () => null, points: { show: true, size: 5, fill: "#b54708" } }],
  }, [points.map((row) => row[0]), points.map((row) => row[1]), points.map((row) => row[2])], place));
  return place;
}

const of = (used, asked) => (asked === null ? used : `${used} / ${asked}`);
const fields = [
  ["call", false, (call) => call.call], ["state", false, (call) => call.state], ["try", true, (call) => call.number ?? ""],
  ["waited", true, (call) => duration(call.waiting_s), "waiting_s"], ["ran", true, (call) => duration(call.running_s), "running_s"],
  ["CPU", true, (call) => duration(call.cpu_s), "cpu_s"], ["cores used / asked", true, (call) => of(number(call.average), call.cores), "average"],
  ["memory used / asked", true, (call) => of(mib(call.peak_memory_mib), call.ram_mib === null ? null : mib(call.ram_mib)), "peak_memory_mib"],
  ["read", true, (call) => size(call.read_bytes), "read_bytes"], ["written", true, (call) => size(call.written_bytes), "written_bytes"],
  ["exit", true, (call) => call.exit_code ?? ""], ["saved", true, (call) => duration(call.saved_s), "saved_s"],
  ...(data.currency ? [["cost", true, (call) => money(call.cost), "cost"]] : []),
  ["where", false, (call) => [call.backend, call.node, call.image, call.container?.slice(0, 12)].filter((value) => value).join(" ")],
];
function table_of_calls() {
  let sorted = null, downwards = false, most = 100;
  const search = make("input", { type: "search", placeholder: "search", "aria-label": "search calls", oninput: () => { most = 100; fill(); } });
  const states = make("select", { "aria-label": "state", onchange: fill }, make("option", { value: "" }, "all states"),
    ...[...new Set(calls.map((call) => call.state))].map((state) => make("option", { value: state }, state)));
  const body = make("tbody"), note = make("p", { class: "note", "aria-live": "polite" });
  const more = make("button", { class: "more", onclick: () => { most *= 5; fill(); } }, "show more");
  const heads = fields.map(([name, numeric, , key]) => make("th", { class: numeric ? "number" : null, scope: "col", "aria-sort": "none" },
    make("button", { onclick: () => { downwards = sorted === name ? !downwards : Boolean(key); sorted = name; fill(); } }, name)));
  function fill() {
    const wanted = search.value.toLowerCase();
    let found = calls.filter((call) => (!states.value || call.state === states.value) && (!wanted || `${call.call} ${call.message ?? ""} ${call.node ?? ""}`.toLowerCase().includes(wanted)));
    const field = fields.find(([name]) => name === sorted);
    if (field) {
      const key = field[3] ? (call) => call[field[3]] ?? -1 : (call) => field[2](call);
      found = found.map((call) => [key(call), call]).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, call]) => call);
      if (downwards) found.reverse();
    }
    heads.forEach((head, index) => head.setAttribute("aria-sort", fields[index][0] === sorted ? (downwards ? "descending" : "ascending") : "none"));
    body.replaceChildren(...found.slice(0, most).map((call) => make("tr", {}, ...fields.map(([name, numeric, show]) =>
      make("td", { class: numeric ? "number" : null }, name === "state" ? make("span", { class: `state ${call.state}` }, show(call)) : show(call))))));
    note.textContent = `${found.length} of ${calls.length}, ${Math.min(most, found.length)} shown`;
    more.hidden = found.length <= most;
  }
  section("Calls", make("div", { class: "filters" }, search, states), make("div", { class: "wide" }, make("table", { id: "calls" }, make("thead", {}, make("tr", {}, ...heads)), body)), note, more);
  fill();
}

function failures() {
  const failed = calls.filter((call) => call.message && (call.state === "failed" || call.state === "retrying"));
  if (!failed.length && !data.message) return;
  section("Failures", data.message ? make("pre", {}, data.message) : null, ...failed.slice(0, 50).map((call) =>
    make("details", { open: failed.length < 4 }, make("summary", {}, `${call.call}, try ${call.number ?? ""}`), make("pre", {}, call.message))),
    failed.length > 50 ? make("p", { class: "note" }, `and ${failed.length - 50} more, which the table of calls finds`) : null);
}

function object(title, value) {
  if (value === null) return;
  const files = [];
  (function walk(found) {
    if (Array.isArray(found)) found.forEach(walk);
    else if (found && typeof found === "object") {
      if (found.class === "File" && typeof found.location === "string") files.push(found);
      Object.values(found).forEach(walk);
    }
  })(value);
  section(title, make("pre", {}, JSON.stringify(value, null, 2)), ...(files.length ? [table([["file"], ["size", true], ["checksum"]], files.slice(0, 200).map((file) => [
    /^(file|https?):\/\//.test(file.location) ? make("a", { href: file.location, rel: "noreferrer" }, file.basename ?? file.location) : file.location,
    size(file.size ?? null), file.checksum ?? ""]))] : []),
    ...files.filter((file) => data.previews[file.location]).map((file, index) => preview(index < 3, file.basename ?? file.location, data.previews[file.location])));
}

function preview(open, name, { kind, text, rows, data: image, cut }) {
  return make("details", { open, class: "preview" }, make("summary", {}, cut ? `${name}, its beginning` : name),
    kind === "image" ? make("img", { src: image, alt: name }) : kind === "text" ? make("pre", {}, text) : table(rows[0].map((head) => [head]), rows.slice(1).map((row) => rows[0].map((_, index) => row[index] ?? ""))));
}

summary();
if (only !== "timeline") { failures(); steps(); graph(); }
timeline();
if (only !== "timeline") {
  const charts = [
    distribution("Time that each try ran", (call) => call.running_s, () => null, "s"),
    distribution("Memory", (call) => call.peak_memory_mib, (call) => call.ram_mib, "MiB"),
    distribution("Cores on average", (call) => call.average, (call) => call.cores, "cores"),
  ].filter((chart) => chart);
  if (charts.length) section("Distributions", ...charts);
  table_of_calls();
  object("Inputs", data.inputs);
  object("Outputs", data.outputs);
}
document.body.dataset.ready = "1";
