"use strict";
// Content against style distance, or any two measures, drawn by Plotly, thumbnails at the points.

const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#7f7f7f"];
const MARGIN = { l: 64, r: 16, t: 44, b: 56 };
const THUMB = 64, SMALL_THUMB = 48; // pixels of a thumbnail at its point, and where there are more than a dozen
const CROWD = 40; // of more points, only those of the frontier get one, and none gets error bars

// Plotly reads a few tags in texts: names must stay what they are.
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

// The colours of the page as Plotly wants them.
function theme() {
  const { style } = byId("live");
  const resolved = {};
  for (const name of ["text", "quiet", "line", "panel", "best"]) {
    style.color = `var(--${name})`;
    resolved[name] = getComputedStyle(byId("live")).color;
  }
  style.color = "";
  return resolved;
}

function renderPareto() {
  tiles.clear();
  const panel = byId("pareto");
  const has = (unit, key) => mean(unit, key) !== null;
  const drawn = view.units.filter((unit) => unit.completed && has(unit, state.x) && has(unit, state.y));
  if (drawn.length === 0) {
    panel.replaceChildren(el("p", { class: "empty" }, "No visible run has both of these measures."));
    return;
  }
  const front = frontier(drawn, state.x, state.y);
  const [x, y] = [state.x, state.y].map((key) => MEASURES.get(key).label);
  const name = `${y} against ${x} of ${drawn.length} runs; the frontier is listed below`;
  const plot = el("div", { id: "plot", role: "img", "aria-label": name });
  const keys = [...new Set([state.y, state.x])];
  panel.replaceChildren(
    plotOptions(drawn),
    el("div", { class: "plotted" }, plot, el("div", { id: "preview", "aria-hidden": "true" })),
    el("h2", {}, "The frontier, from one end to the other"),
    el("div", { class: "gallery", id: "frontier" },
      front.map((unit) => tile(unit, { pixels: 120, title: label(unit), keys }))));
  if (!tiles.has(current)) setCurrent(tiles.has(view.best) ? view.best : front[0]);
  draw(plot, drawn, front);
}

function plotOptions(drawn) {
  const measures = DATA.measures.map((measure) => [measure.key, measure.label, measure.hint]);
  const groups = [["none", "nothing"], ...settings().map((setting) => [setting.key, setting.short])];
  const places = [["all", "at every point"], ["frontier", "on the frontier"], ["none", "none"]];
  const set = (key) => (value) => { state[key] = value; refresh(); };
  return el("div", { class: "bar inner" },
    select("across", measures, state.x, set("x")), select("up", measures, state.y, set("y")),
    checkbox("log across", state.logx, set("logx")), checkbox("log up", state.logy, set("logy")),
    select("colour", groups, colouring()?.key ?? "none", set("color")),
    select("thumbnails", places, placing(drawn), set("places")));
}

function colouring() {
  if (state.color === "none") return null;
  return settingOf(state.color) ?? settingOf(state.rows) ?? settings()[0] ?? null;
}

function placing(drawn) {
  return state.places || (drawn.length > CROWD ? "frontier" : "all");
}

function draw(plot, drawn, front) {
  const colours = theme();
  const ranges = { x: rangeOf(drawn, state.x, state.logx), y: rangeOf(drawn, state.y, state.logy) };
  const places = { all: [...drawn.filter((unit) => !front.includes(unit)), ...front], frontier: front, none: [] };
  const pictured = places[placing(drawn)].filter((unit) => unit.run.thumb);
  const layout = {
    margin: MARGIN,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: colours.panel,
    font: { color: colours.text, family: "inherit" },
    hovermode: "closest",
    xaxis: axis(state.x, state.logx, ranges.x, colours),
    yaxis: axis(state.y, state.logy, ranges.y, colours),
    showlegend: true,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", title: { text: plain(colouring()?.short ?? "") } },
    shapes: boundLine(colours),
    images: imagesAt(pictured, plot, ranges),
  };
  const traces = [...pointTraces(drawn), frontierTrace(front, colours), bestTrace(drawn, colours)].filter(Boolean);
  const buttons = ["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]; // none of the network's
  Plotly.newPlot(plot, traces, layout, {
    displaylogo: false, responsive: true, doubleClick: "reset", modeBarButtons: [buttons],
  });
  const unitAt = ({ points: [point] }) => point.data.units?.[point.pointIndex];
  plot.on("plotly_hover", (event) => preview(unitAt(event)));
  plot.on("plotly_click", (event) => openRun(unitAt(event)));
  plot.on("plotly_relayout", (changes) => { if (!("images" in changes)) rescale(plot, pictured); });
  preview(drawn.includes(view.best) ? view.best : front[0]);
}

function axis(key, log, range, colours) {
  const { label: name, kind, hint, better } = MEASURES.get(key);
  const measure = kind === "distance" && better === -1 ? `${name} distance` : name;
  return {
    title: { text: plain(hint ? `${measure} (${hint})` : measure) },
    type: log ? "log" : "linear",
    range,
    color: colours.text,
    gridcolor: colours.line,
    linecolor: colours.line,
    zeroline: false,
  };
}

// Plotly counts in powers of ten on a logarithmic axis, for limits, places and sizes.
function coordinate(unit, key, log) {
  return log ? Math.log10(mean(unit, key)) : mean(unit, key);
}

// Limits with room for the thumbnails, which hang to the upper right of their points.
function rangeOf(drawn, key, log) {
  const values = drawn.map((unit) => coordinate(unit, key, log)).filter(Number.isFinite);
  const low = Math.min(...values), high = Math.max(...values);
  const span = high - low || Math.abs(high) || 1;
  return [low - 0.05 * span, high + 0.14 * span];
}

function imagesAt(units, plot, ranges) {
  const side = units.length > 12 ? SMALL_THUMB : THUMB;
  const wide = Math.max(1, plot.clientWidth - MARGIN.l - MARGIN.r);
  const high = Math.max(1, plot.clientHeight - MARGIN.t - MARGIN.b);
  return units.map((unit) => ({
    source: unit.run.thumb, xref: "x", yref: "y", xanchor: "left", yanchor: "bottom", sizing: "contain",
    layer: "above",
    x: coordinate(unit, state.x, state.logx),
    y: coordinate(unit, state.y, state.logy),
    sizex: (side / wide) * (ranges.x[1] - ranges.x[0]),
    sizey: (side / high) * (ranges.y[1] - ranges.y[0]),
  }));
}

// Zoomed, the thumbnails keep their size on the screen.
function rescale(plot, pictured) {
  const { xaxis, yaxis } = plot.layout;
  const ranges = { x: xaxis.range.map(Number), y: yaxis.range.map(Number) };
  Plotly.relayout(plot, { images: imagesAt(pictured, plot, ranges) });
}

function pointTraces(drawn) {
  const setting = colouring();
  const groups = setting
    ? present(setting).map((at) => [setting.values[at].label, (unit) => unit.run.values[place(setting)] === at])
    : [["runs", () => true]];
  return groups.map(([name, belongs], index) => {
    const among = drawn.filter(belongs);
    return {
      type: "scatter", mode: "markers", name: plain(name), units: among, hoverinfo: "none",
      ...points(among),
      error_x: errorBars(among, state.x, drawn), error_y: errorBars(among, state.y, drawn),
      marker: {
        size: 11,
        color: PALETTE[index % PALETTE.length],
        symbol: Math.floor(index / PALETTE.length),
        opacity: among.map((unit) => (isAcceptable(unit) ? 1 : 0.35)),
      },
    };
  }).filter(({ units: among }) => among.length);
}

function points(among) {
  return { x: among.map((unit) => mean(unit, state.x)), y: among.map((unit) => mean(unit, state.y)) };
}

function errorBars(among, key, drawn) {
  const visible = drawn.length <= CROWD && among.some((unit) => unit.members.length > 1);
  return { type: "data", array: among.map((unit) => unit.statistics.get(key).spread ?? 0), visible, thickness: 1 };
}

function frontierTrace(front, colours) {
  return front.length > 1 && {
    type: "scatter", mode: "lines", name: "Pareto frontier", hoverinfo: "skip", ...points(front),
    line: { shape: "hv", color: colours.quiet, width: 1.5, dash: "dot" },
  };
}

function bestTrace(drawn, colours) {
  return drawn.includes(view.best) && {
    type: "scatter", mode: "markers", name: "★ best", units: [view.best], hoverinfo: "none", ...points([view.best]),
    marker: { size: 20, symbol: "star", color: colours.best, line: { color: colours.panel, width: 1 } },
  };
}

function boundLine(colours) {
  if (state.bound === null || state.x !== CONTENT) return [];
  const at = state.bound; // of a shape, unlike an image, Plotly takes the logarithm itself
  const line = { color: colours.best, width: 1.5, dash: "dash" };
  return [{ type: "line", x0: at, x1: at, y0: 0, y1: 1, yref: "paper", line }];
}

function preview(unit) {
  if (!unit) return;
  byId("preview").replaceChildren(
    picture(unit, 1), el("p", {}, el("b", {}, label(unit)), badges(unit)), measureList(unit));
}
