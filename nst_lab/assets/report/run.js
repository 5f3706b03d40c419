"use strict";
// One run, large: its picture, settings, distances, curves, sources, and the command that makes it again.

let opened = null; // the unit shown, and of its repeats which one
let member = 0;

function openRun(unit) {
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

function closeRun() {
  const unit = opened;
  opened = state.run = null;
  writeAddress();
  if (unit && tiles.has(unit)) focusTile(unit);
}

function renderRun() {
  const run = DATA.runs[opened.members[member]];
  const shownUnit = opened.members.length > 1 ? makeUnit([opened.members[member]]) : opened;
  const image = el("img", { src: run.link, alt: `Result of ${label(opened)}`, class: "large", title: "click: pixel by pixel, and back", onclick: (event) => event.target.closest(".stage").classList.toggle("actual") });
  image.addEventListener("error", () => image.replaceWith(fallback(run)), { once: true });
  const arrow = (text, name, across, down) => el("button", { class: "step", "aria-label": name, title: name, disabled: !neighbour(opened, across, down), onclick: () => stepRun(across, down) }, text);
  byId("run").replaceChildren(
    el("div", { class: "dialog-head" }, el("h2", {}, label(opened), " ", badges(opened)),
      el("span", { class: "steps" }, arrow("←", "previous run", -1, 0), arrow("↑", "run above", 0, -1), arrow("↓", "run below", 0, 1), arrow("→", "next run", 1, 0)),
      el("button", { "aria-pressed": picked.includes(opened), title: "C", onclick: () => { const unit = opened; byId("run").close(); togglePick(unit); } }, "⇆ compare with…"),
      el("button", { class: "close", "aria-label": "Close", onclick: () => byId("run").close() }, "✕")),
    el("div", { class: "dialog-body" },
      el("div", { class: "stage" }, run.thumb ? image : fallback(run)),
      el("div", { class: "facts" },
        run.problem && el("p", { class: "failed" }, run.problem),
        opened.members.length > 1 && memberChoice(),
        el("div", { class: "strip" }, sourceFigures(run.sources)),
        measureList(shownUnit, DATA.measures.filter(({ kind }) => kind !== "loss").map(({ key }) => key)),
        el("h3", {}, "Settings"), definitions(DATA.settings.map((setting) => [setting.key, setting.values[run.values[place(setting)]].full]).concat(run.more)),
        el("h3", {}, "Weighted losses by evaluation"), el("div", { id: "curves" }),
        el("p", { class: "quiet" }, MEASURES.has("total_loss") && run.measures.total_loss !== undefined ? `They add up to a total of ${number(run.measures.total_loss)} at the end. ` : "", `${DATA.caveat}.`),
        run.command && [el("h3", {}, "Made by"), el("code", { class: "command", tabindex: 0 }, run.command)],
        el("h3", {}, "Run"), definitions([["folder", run.name], ...run.facts]),
        el("p", {}, el("a", { href: run.link, target: "_blank", rel: "noopener" }, "the full picture")))));
  drawCurves(run);
}

function fallback(run) {
  return run.thumb
    ? el("figure", { class: "fallback" }, el("img", { src: run.thumb, alt: "", class: "large" }), el("figcaption", {}, "result.png is not beside this report; this is the thumbnail"))
    : el("p", { class: "missing" }, run.problem ?? "no picture");
}

function memberChoice() {
  const setting = DATA.settings.find(({ key }) => key === DATA.repeat);
  const options = opened.members.map((index, at) => [String(at), `${DATA.repeat} ${setting.values[DATA.runs[index].values[place(setting)]].label}`]);
  return select("repeat", options, String(member), (value) => { member = Number(value); renderRun(); byId("run").querySelector("select").focus(); });
}

function measureList(unit, keys) {
  return el("dl", { class: "measures" }, keys.filter((key) => unit.statistics.has(key)).map((key) => el("div", { title: MEASURES.get(key).hint || null },
    el("dt", {}, MEASURES.get(key).label), el("dd", {}, shown(unit, key)))));
}

function definitions(pairs) {
  return el("dl", { class: "pairs" }, pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function drawCurves(run) {
  const { evaluation, ...curves } = run.curves;
  const target = byId("curves");
  if (evaluation.length < 2) {
    target.replaceChildren(el("p", { class: "quiet" }, "no metrics.jsonl"));
    return;
  }
  const theme = colours();
  const positive = Object.values(curves).flat().filter((value) => value > 0);
  const decades = Math.log10(Math.max(...positive) / Math.min(...positive));
  const looks = { total: { color: theme.quiet, dash: "dot" }, content: { color: PALETTE[0] }, style: { color: PALETTE[1] }, tv: { color: PALETTE[2] } };
  const traces = Object.entries(curves).map(([name, values]) => ({ type: "scatter", mode: "lines", name, x: evaluation, y: values, line: looks[name] }));
  Plotly.newPlot(target, traces, {
    margin: { l: 52, r: 8, t: 8, b: 36 }, height: 220, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: theme.text, size: 11, family: "inherit" },
    xaxis: { gridcolor: theme.line, title: { text: "evaluation" } }, yaxis: { type: "log", gridcolor: theme.line, exponentformat: "power", dtick: decades > 1.5 ? Math.ceil(decades / 5) : undefined },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, hovermode: "x unified", hoverlabel: { bgcolor: theme.panel, font: { color: theme.text } },
  }, { displayModeBar: false, responsive: true });
}

function stepRun(across, down) {
  const next = neighbour(opened, across, down);
  if (next) openRun(next);
}
