"use strict";
// One run, large: its picture, settings, distances, curves, sources, and the command that makes it again.

let opened = null; // the unit shown
let member = 0; // and which of its repeats

function openRun(unit) {
  if (!unit) return;
  opened = unit;
  member = 0;
  state.run = unit.run.name;
  writeAddress();
  if (tiles.has(unit)) setCurrent(unit);
  const dialog = byId("run");
  if (!dialog.open) dialog.showModal(); // first, since curves are drawn to the width that they find
  renderRun();
  dialog.focus();
  say(`${label(unit)}${unit === view.best ? ", the best" : ""}`);
}

// When the dialog has closed.
function leaveRun() {
  state.run = null;
  writeAddress();
  if (tiles.has(opened)) focusTile(opened);
}

function stepRun(across, down) {
  openRun(neighbour(opened, across, down));
}

function compareOpened() {
  byId("run").close();
  togglePick(opened);
}

function renderRun() {
  const run = DATA.runs[opened.members[member]];
  byId("run").replaceChildren(runHead(), el("div", { class: "dialog-body" },
    el("div", { class: "stage" }, run.thumb ? largePicture(run) : el("p", { class: "missing" }, run.problem)),
    el("div", { class: "facts" }, runFacts(run))));
  drawCurves(run);
}

function runHead() {
  const step = (text, name, across, down) => el("button", {
    "aria-label": name, title: name, disabled: !neighbour(opened, across, down), onclick: () => stepRun(across, down),
  }, text);
  return el("div", { class: "dialog-head" },
    el("h2", {}, label(opened), badges(opened)),
    el("span", { class: "steps" }, step("←", "previous run", -1, 0), step("↑", "run above", 0, -1),
      step("↓", "run below", 0, 1), step("→", "next run", 1, 0)),
    el("button", { title: "C", onclick: compareOpened }, picked.includes(opened) ? "unpick" : "⇆ compare with…"),
    el("button", { class: "close", "aria-label": "Close", onclick: () => byId("run").close() }, "✕"));
}

function largePicture(run) {
  const image = el("img", {
    src: run.link, alt: `Result of ${label(opened)}`, class: "large", title: "click: pixel by pixel, and back",
    onclick: () => image.closest(".stage").classList.toggle("actual"),
  });
  image.addEventListener("error", () => {
    const note = "result.png is not where this report was made to find it; this is the thumbnail";
    image.src = run.thumb;
    image.closest(".stage").append(el("p", { class: "quiet" }, note));
  }, { once: true });
  return image;
}

function runFacts(run) {
  const set = DATA.settings.map((setting) => [setting.key, setting.values[run.values[place(setting)]].full]);
  const single = opened.members.length > 1 ? makeUnit([opened.members[member]]) : opened;
  const total = run.measures[LOSS];
  return [
    run.problem && el("p", { class: "failed" }, run.problem),
    opened.members.length > 1 && repeatChoice(),
    el("div", { class: "strip" }, sourceFigures(run.sources)),
    measureList(single),
    el("h3", {}, "Settings"), definitions([...set, ...run.more]),
    el("h3", {}, "Weighted losses by evaluation"), el("div", { id: "curves" }),
    total !== undefined && el("p", { class: "quiet" }, `total at the end: ${number(total)}; ${DATA.caveat}`),
    run.command && [el("h3", {}, "Made by"), el("code", { class: "command", tabindex: 0 }, run.command)],
    el("h3", {}, "Run"), definitions([["folder", run.name], ...run.facts]),
    el("p", {}, el("a", { href: run.link, target: "_blank", rel: "noopener" }, "the full picture")),
  ];
}

function repeatChoice() {
  const setting = DATA.settings.find(({ key }) => key === DATA.repeat);
  const value = (index) => setting.values[DATA.runs[index].values[place(setting)]].label;
  const options = opened.members.map((index, at) => [String(at), `${DATA.repeat} ${value(index)}`]);
  return select("repeat", options, String(member), (chosen) => {
    member = Number(chosen);
    renderRun();
    byId("run").querySelector("select").focus();
  });
}

// The distances and costs of a unit; the total loss is told apart, with its caveat.
function measureList(unit) {
  const measures = DATA.measures.filter(({ key }) => key !== LOSS && unit.statistics.has(key));
  return el("dl", { class: "measures" }, measures.map(({ key, label: name, hint }) =>
    el("div", { title: hint || null }, el("dt", {}, name), el("dd", {}, shown(unit, key)))));
}

function definitions(pairs) {
  return el("dl", { class: "pairs" },
    pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function drawCurves(run) {
  const { evaluation, ...curves } = run.curves;
  if (evaluation.length < 2) {
    byId("curves").replaceChildren(el("p", { class: "quiet" }, "no metrics.jsonl"));
    return;
  }
  const colours = theme();
  const looks = {
    total: { color: colours.quiet, dash: "dot" },
    content: { color: PALETTE[0] },
    style: { color: PALETTE[1] },
    tv: { color: PALETTE[2] },
  };
  const positive = (values) => values.map((value) => (value > 0 ? value : null)); // the axis is logarithmic
  const traces = Object.entries(curves).map(([name, values]) =>
    ({ type: "scatter", mode: "lines", name, x: evaluation, y: positive(values), line: looks[name] }));
  Plotly.newPlot("curves", traces, {
    margin: { l: 52, r: 8, t: 8, b: 36 },
    height: 220,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colours.text, size: 11, family: "inherit" },
    xaxis: { gridcolor: colours.line, title: { text: "evaluation" } },
    yaxis: { type: "log", gridcolor: colours.line, exponentformat: "power", dtick: decadesPerTick(curves) },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colours.panel, font: { color: colours.text } },
  }, { displayModeBar: false, responsive: true });
}

// Whole powers of ten on the axis, at most about five; Plotly's own choice for a short one.
function decadesPerTick(curves) {
  const values = Object.values(curves).flat().filter((value) => value > 0);
  const decades = Math.log10(Math.max(...values) / Math.min(...values));
  return decades > 1.5 ? Math.ceil(decades / 5) : undefined;
}
