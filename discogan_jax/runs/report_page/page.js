"use strict";
const runs = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function make(tag, parent, text, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function number(x) {
  if (x === null || x === undefined) return "–";
  const small = x !== 0 && Math.abs(x) < 1e-3; // such as a learning rate: 2e-4
  return small ? Number(x.toPrecision(4)).toExponential() : x.toLocaleString("en", { maximumSignificantDigits: 4 });
}
const colour = (i) => getComputedStyle(document.documentElement).getPropertyValue(`--c${i % 8}`).trim();
const label = (run, text) => (runs.length > 1 ? `${run.name}: ${text}` : text);

function head() {
  document.querySelector("h1").textContent = runs.map((r) => r.name).join(" · ");
  const facts = (run) => [...run.facts.split("\n"), ...run.changes.map((change) => change.text)];
  byId("summary").textContent = runs.map((run) => label(run, facts(run)[0])).join("\n");
  byId("facts").textContent = runs.map((run) => label(run, facts(run).slice(1).join("\n"))).join("\n");
  const list = byId("warnings").querySelector("ul");
  for (const run of runs) for (const text of run.warnings) make("li", list, label(run, text));
  byId("warnings").hidden = !list.children.length;
}

function samples() {
  const shown = runs.filter((run) => run.samples.length);
  const place = byId("samples");
  if (!shown.length) return void (place.hidden = true);
  const steps = [...new Set(shown.flatMap((r) => r.samples.map((s) => s.step)))].sort((a, b) => a - b);
  const line = make("label", place, "Step ", { className: "slider" });
  const slider = make("input", line, undefined, { type: "range", min: 0, max: steps.length - 1, step: 1 });
  slider.value = steps.length - 1;
  const said = make("output", line);
  const grid = make("div", place, undefined, { className: "runs" + (shown.length > 1 ? "" : " alone") });
  const pictures = shown.map((run) => {
    const card = make("div", grid, undefined, { className: "card" });
    if (runs.length > 1) make("h3", card, run.name);
    return { run, picture: make("img", card), step: make("p", card) };
  });
  const show = () => {
    const step = steps[slider.value];
    said.textContent = step.toLocaleString("en");
    for (const { run, picture, step: text } of pictures) {
      const sample = run.samples.filter((s) => s.step <= step).at(-1) ?? run.samples[0];
      picture.src = sample.image;
      picture.alt = `Held-out images and their translations after step ${sample.step} of ${run.name}`;
      text.textContent = sample.step === step ? "" : `step ${sample.step.toLocaleString("en")}`;
    }
  };
  slider.addEventListener("input", show);
  show();
}

function smoothed(values, weight) {
  let last = 0, total = 0;
  return values.map((value) => {
    if (value === null) return null;
    last = weight * last + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return last / total;
  });
}

// What changed on the way is a vertical line over a chart; its text shows where the mouse rests.
function marks(plot, shown) {
  plot.over.querySelectorAll(".mark").forEach((mark) => mark.remove());
  const { min, max } = plot.scales.x, texts = new Map();
  for (const run of shown)
    for (const { step, text } of run.changes)
      if (step >= min && step <= max) texts.set(step, [...(texts.get(step) ?? []), label(run, text)]);
  let free = 0; // where the next label has room
  for (const [step, lines] of [...texts].sort((a, b) => a[0] - b[0])) {
    const mark = make("div", plot.over, undefined, { className: "mark", title: lines.join("\n") });
    const left = plot.valToPos(step, "x");
    mark.style.left = `${left}px`;
    if (left >= free) free = left + make("span", mark, `changed at ${step.toLocaleString("en")}`).offsetWidth + 8;
  }
}

// One chart a family of numbers; every run and domain in it is a line over that run's own steps.
function chart(place, family) {
  const card = make("div", place, undefined, { className: "card" });
  make("h3", card, family.title);
  make("p", card, family.about);
  const lines = [];
  for (const run of runs)
    for (const [name, text] of Object.entries(family.names))
      if (run.series[name]) lines.push({ run, text: label(run, text), values: run.series[name] });
  const x = [...new Set(lines.flatMap((l) => l.run.steps))].sort((a, b) => a - b);
  const at = new Map(x.map((step, i) => [step, i]));
  const draw = () => {
    const weight = family.noisy ? Number(byId("smoothing").value) : 0;
    const data = [x];
    for (const { run, values } of lines) {
      const y = smoothed(values, weight), placed = new Array(x.length).fill(null);
      run.steps.forEach((step, i) => (placed[at.get(step)] = y[i]));
      data.push(placed);
    }
    return data;
  };
  const build = () => {
    const ink = getComputedStyle(document.body).color;
    const grid = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    const positive = lines.every((l) => l.values.every((v) => v === null || v > 0));
    return new uPlot({
      width: card.clientWidth - 26, height: 220,
      scales: { x: { time: false }, y: { distr: byId("log").checked && family.log && positive ? 3 : 1 } },
      hooks: { draw: [(u) => marks(u, new Set(lines.map((line) => line.run)))] },
      axes: [axis, { ...axis, size: 60, values: (_, ticks) => ticks.map((t) => (t === null ? "" : number(t))) }],
      series: [
        { label: "step", value: (_, v) => (v === null ? "–" : v.toLocaleString("en")) },
        ...lines.map((l, i) => ({
          label: l.text, stroke: colour(i), width: 1.5, spanGaps: true,
          points: { show: l.values.filter((v) => v !== null).length < 40, size: 5 },
          value: (_, v) => number(v),
        })),
      ],
    }, draw(), card);
  };
  let plot = build();
  const again = () => { plot.destroy(); plot = build(); };
  byId("smoothing").addEventListener("input", () => plot.setData(draw()));
  byId("log").addEventListener("change", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  new ResizeObserver(() => plot.setSize({ width: card.clientWidth - 26, height: 220 })).observe(card);
}

function curves() {
  const families = [];
  for (const run of runs)
    for (const family of run.families) {
      const known = families.find((f) => f.title === family.title);
      if (known) Object.assign(known.names, family.names);
      // The best step, which evaluations name, is that of one run.
      else families.push({ ...family, about: runs.length > 1 && family.more ? "" : family.about, names: { ...family.names } });
    }
  const slider = byId("smoothing"), said = slider.parentElement.querySelector("output");
  const say = () => (said.textContent = Number(slider.value).toFixed(2));
  slider.addEventListener("input", say);
  say();
  if (!families.length) byId("curves").hidden = true;
  let more = null;
  for (const family of families) {
    if (family.more && !more) {
      const details = make("details", byId("curves"));
      make("summary", details, "Evaluations over time");
      more = make("div", details, undefined, { className: "runs" });
    }
    chart(family.more ? more : byId("charts"), family);
  }
}

// A function that adds rows: the cells after the first one are texts, or have a smaller text behind.
function table(parent, head, className = "") {
  const made = make("table", make("div", parent, undefined, { className: `scroll ${className}` }));
  const top = make("tr", make("thead", made)), body = make("tbody", made);
  for (const text of head) make("th", top, text, { scope: "col" });
  return (first, ...cells) => {
    const row = make("tr", body);
    make("th", row, first, { scope: "row" });
    cells.forEach((cell, i) => {
      const [text, small] = [cell].flat(), td = make("td", row, text);
      td.dataset.label = head[i + 1];
      if (small) make("small", td, ` ${small}`);
    });
    return row;
  };
}

// No distance is below 0: an estimate that is cannot be told from 0 (as in evaluation/table.py).
function measure(value, better, interval) {
  if (better !== "lower" || !(value < 0)) return number(value);
  return interval ? `< ${number(interval[1])}` : "about 0";
}

// What to look at first has names for people and comes before all measures, which are folded.
function evaluation() {
  const measured = runs.flatMap((run) => run.evaluations.map((found) => ({ run, ...found })));
  const place = byId("evaluation");
  if (!measured.length) return;
  place.hidden = false;
  const titled = measured.map(({ run, title }) => label(run, title));
  make("p", place, `${titled.join("; ")}, on held-out images; in brackets where 95% of other held-out sets would put the value.`);
  const rows = measured.map(({ rows }) => new Map(rows.map((row) => [row.name, row])));
  const columns = measured.length > 1 ? titled : ["value"];
  const cells = (name) => {
    const found = rows.map((of) => of.get(name)), any = found.find(Boolean);
    const values = found.map((row) => [
      row ? measure(row.value, row.better, row.interval) : "–",
      row?.interval && `(${number(row.interval[0])} to ${number(row.interval[1])})`,
    ]);
    // Runs on other images have other references.
    const beside = new Set(found.filter(Boolean).map((row) => measure(row.reference, row.better)));
    return [...values, any.beside ? [[...beside].join(" / "), any.beside] : "", any.better ?? ""];
  };
  const first = {};
  for (const run of runs)
    for (const [title, names] of Object.entries(run.headlines)) first[title] = { ...first[title], ...names };
  for (const [title, names] of Object.entries(first)) {
    make("h3", place, title);
    const add = table(place, ["", ...columns, "beside", "better", "measure"], "first");
    for (const [name, text] of Object.entries(names)) add(text, ...cells(name), name.split("/").at(-1));
  }
  const all = new Map(measured.flatMap((found) => found.rows.map((row) => [row.name, row.what])));
  const details = make("details", place);
  make("summary", details, `All ${all.size} measures`);
  const add = table(details, ["", ...columns, "beside", "better"]);
  for (const [name, what] of all) add(what ?? name, ...cells(name));
  const list = make("ul", place);
  for (const { run, title, remarks } of measured)
    for (const text of remarks ?? []) make("li", list, measured.length > 1 ? label(run, `${title}: ${text}`) : text);
}

function settings() {
  const names = [...new Set(runs.flatMap((r) => Object.keys(r.config)))].sort();
  const details = make("details", byId("settings"), undefined, { open: runs.length > 1 });
  make("summary", details, runs.length > 1 ? "What differs is marked" : "All settings");
  const columns = runs.length > 1 ? runs.map((r) => r.name) : [""];
  const add = table(details, ["", ...columns]);
  for (const name of names) {
    const values = runs.map((r) => (name in r.config ? JSON.stringify(r.config[name]) : "–"));
    add(name, ...values).className = new Set(values).size > 1 ? "differs" : "";
  }
  const versions = make("details", byId("settings"));
  make("summary", versions, "Versions and machine");
  const list = table(versions, ["", ...columns]);
  for (const name of [...new Set(runs.flatMap((r) => Object.keys(r.versions)))])
    list(name, ...runs.map((run) => run.versions[name] ?? "–"));
}

head();
samples();
evaluation();
curves();
settings();
