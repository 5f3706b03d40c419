"use strict";
// Content against style distance (or any two measures), drawn by Plotly, thumbnails at the points.

const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#7f7f7f"];
const MARGIN = { l: 64, r: 16, t: 16, b: 56 };
const THUMB = 64; // pixels of a thumbnail at its point
const CROWD = 40; // of more points, only those of the frontier get one, and none gets error bars

// Plotly reads a few tags in texts: names must stay what they are.
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function colours() {
  const style = getComputedStyle(byId("live"));
  const probe = (name) => { byId("live").style.color = `var(${name})`; const { color } = style; byId("live").style.color = ""; return color; };
  return { text: probe("--text"), quiet: probe("--quiet"), line: probe("--line"), panel: probe("--panel"), best: probe("--best"), accent: probe("--accent") };
}

function renderPareto() {
  tiles.clear();
  const panel = byId("pareto");
  const drawn = view.units.filter((unit) => unit.completed && mean(unit, state.x) !== null && mean(unit, state.y) !== null);
  if (drawn.length === 0) {
    panel.replaceChildren(el("p", { class: "empty" }, "No visible run has both of these measures. Runs made before distances were recorded have none."));
    return;
  }
  const options = DATA.measures.map((measure) => [measure.key, measure.label, measure.hint]);
  const change = (key) => (value) => { state[key] = value; refresh(); };
  const places = state.places || (drawn.length > CROWD ? "frontier" : "all");
  const front = frontier(drawn, state.x, state.y);
  const plot = el("div", { id: "plot", role: "img", "aria-label": `${MEASURES.get(state.y).label} against ${MEASURES.get(state.x).label} of ${drawn.length} runs; the frontier is listed below` });
  panel.replaceChildren(
    el("div", { class: "bar inner" },
      select("across", options, state.x, change("x")), select("up", options, state.y, change("y")),
      checkbox("log across", state.logx, change("logx")), checkbox("log up", state.logy, change("logy")),
      select("colour", [["", "none"], ...settings().map((setting) => [setting.key, setting.short])], colourKey(), change("color")),
      select("thumbnails", [["all", "at every point"], ["frontier", "on the frontier"], ["none", "none"]], places, change("places"))),
    el("div", { class: "plotted" }, plot, el("div", { id: "preview", "aria-hidden": "true" })),
    el("h2", {}, "The frontier, from one end to the other"),
    el("div", { class: "gallery", id: "frontier" }, front.map((unit) => tile(unit, { pixels: 120, title: label(unit), keys: [...new Set([state.y, state.x])] }))));
  if (!tiles.has(current)) setCurrent(front.includes(view.best) ? view.best : front[0]);
  draw(plot, drawn, front, places);
}

function colourKey() {
  if (state.color === "none") return "";
  if (settingOf(state.color)) return state.color;
  return (settingOf(state.rows) ?? settings()[0])?.key ?? "";
}

function draw(plot, drawn, front, places) {
  const theme = colours();
  const range = { x: rangeOf(drawn, state.x, state.logx), y: rangeOf(drawn, state.y, state.logy) };
  const axis = (key, log, limits) => ({
    title: { text: plain(axisTitle(key)) }, type: log ? "log" : "linear", range: limits,
    color: theme.text, gridcolor: theme.line, zeroline: false, linecolor: theme.line,
  });
  const layout = {
    margin: MARGIN, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: theme.panel, font: { color: theme.text, family: "inherit" },
    xaxis: axis(state.x, state.logx, range.x), yaxis: axis(state.y, state.logy, range.y), hovermode: "closest",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", title: { text: plain(settingOf(colourKey())?.short ?? "") } },
    shapes: boundShape(theme), showlegend: true,
  };
  layout.margin = { ...MARGIN, t: 44 };
  const withPictures = (places === "all" ? drawn.filter((unit) => !front.includes(unit)).concat(front) : places === "frontier" ? front : []).filter((unit) => unit.run.thumb);
  layout.images = images(withPictures, plot, range, layout.margin);
  const traces = [...pointTraces(drawn), frontierTrace(front, theme), bestTrace(drawn, theme)].filter(Boolean);
  Plotly.newPlot(plot, traces, layout, { displaylogo: false, responsive: true, doubleClick: "reset", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
  const unitAt = (event) => event.points.find((point) => point.data.units)?.data.units[event.points[0].pointIndex];
  plot.on("plotly_hover", (event) => preview(unitAt(event)));
  plot.on("plotly_click", (event) => { const unit = unitAt(event); if (unit) openRun(unit); });
  plot.on("plotly_relayout", (changes) => { if (!("images" in changes)) rescale(plot, withPictures); });
  preview(drawn.includes(view.best) ? view.best : front[0]);
}

function axisTitle(key) {
  const { label, kind, hint, better } = MEASURES.get(key);
  const name = kind === "distance" && better === -1 ? `${label} distance` : label;
  return hint ? `${name} (${hint})` : name;
}

function coordinate(unit, key, log) {
  return log ? Math.log10(mean(unit, key)) : mean(unit, key);
}

// Limits with room for the thumbnails, which hang to the upper right of their points.
function rangeOf(drawn, key, log) {
  const values = drawn.map((unit) => coordinate(unit, key, log)).filter(Number.isFinite);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = high - low || Math.abs(high) || 1;
  return [low - 0.05 * span, high + 0.14 * span];
}

function images(among, plot, range, margin) {
  const side = among.length > 12 ? 0.75 * THUMB : THUMB;
  const wide = Math.max(1, plot.clientWidth - margin.l - margin.r), high = Math.max(1, plot.clientHeight - margin.t - margin.b);
  return among.map((unit) => ({
    source: unit.run.thumb, xref: "x", yref: "y", xanchor: "left", yanchor: "bottom", sizing: "contain", layer: "above",
    // Plotly counts in powers of ten on a logarithmic axis, here and for the sizes.
    x: coordinate(unit, state.x, state.logx), y: coordinate(unit, state.y, state.logy),
    sizex: (side / wide) * (range.x[1] - range.x[0]), sizey: (side / high) * (range.y[1] - range.y[0]),
  }));
}

// Zoomed, the thumbnails keep their size on the screen.
function rescale(plot, among) {
  const range = { x: plot.layout.xaxis.range.map(Number), y: plot.layout.yaxis.range.map(Number) };
  Plotly.relayout(plot, { images: images(among, plot, range, plot.layout.margin) });
}

function pointTraces(drawn) {
  const setting = settingOf(colourKey());
  const groups = setting ? present(setting).map((at) => [plain(setting.values[at].label), drawn.filter((unit) => unit.run.values[place(setting)] === at)]) : [["runs", drawn]];
  const errors = (among, key) => ({ type: "data", array: among.map((unit) => unit.statistics.get(key).spread ?? 0), visible: drawn.length <= CROWD && among.some((unit) => unit.members.length > 1), thickness: 1, width: 3 });
  return groups.filter(([, among]) => among.length).map(([name, among], index) => ({
    type: "scatter", mode: "markers", name, units: among, hoverinfo: "none",
    x: among.map((unit) => mean(unit, state.x)), y: among.map((unit) => mean(unit, state.y)),
    error_x: errors(among, state.x), error_y: errors(among, state.y),
    marker: { size: 11, color: PALETTE[index % PALETTE.length], symbol: Math.floor(index / PALETTE.length), opacity: among.map((unit) => (isAcceptable(unit) ? 1 : 0.35)) },
  }));
}

function frontierTrace(front, theme) {
  return front.length > 1 && {
    type: "scatter", mode: "lines", name: "Pareto frontier", hoverinfo: "skip", line: { shape: "hv", color: theme.quiet, width: 1.5, dash: "dot" },
    x: front.map((unit) => mean(unit, state.x)), y: front.map((unit) => mean(unit, state.y)),
  };
}

function bestTrace(drawn, theme) {
  return drawn.includes(view.best) && {
    type: "scatter", mode: "markers", name: "★ best", units: [view.best], hoverinfo: "none",
    x: [mean(view.best, state.x)], y: [mean(view.best, state.y)],
    marker: { size: 20, symbol: "star", color: theme.best, line: { color: theme.panel, width: 1 } },
  };
}

function boundShape(theme) {
  if (state.bound === null || state.x !== CONTENT) return [];
  return [{ type: "line", x0: state.bound, x1: state.bound, y0: 0, y1: 1, yref: "paper", line: { color: theme.best, width: 1.5, dash: "dash" } }];
}

function preview(unit) {
  if (!unit) return;
  byId("preview").replaceChildren(
    picture(unit, 1), el("p", {}, el("b", {}, label(unit)), " ", badges(unit)),
    measureList(unit, DATA.measures.filter(({ kind }) => kind !== "loss").map(({ key }) => key)));
}
