"use strict";
// The pictures over two settings, or without axes all of them in the order of a measure.

function pixels() {
  const columns = settingOf(state.columns);
  const count = columns ? columns.values.length * abreast() : 4;
  return state.size || Math.max(96, Math.min(200, Math.floor(1000 / Math.max(4, count))));
}

// How many pictures of a cell stand side by side; more of them go into further rows.
function abreast() {
  const each = freeSettings().reduce((product, setting) => product * setting.values.length, 1);
  return Math.ceil(Math.sqrt(each));
}

// Settings that are neither an axis nor held fixed: their values share a cell.
function freeSettings() {
  const taken = (key) => key === state.rows || key === state.columns || state.filters[key] !== undefined;
  return settings().filter(({ key, values }) => !taken(key) && values.length > 1);
}

function renderMatrix() {
  tiles.clear();
  const panel = byId("matrix");
  const rows = settingOf(state.rows), columns = settingOf(state.columns);
  panel.style.setProperty("--pixels", `${pixels()}px`);
  panel.style.setProperty("--abreast", abreast());
  if (!view.units.includes(current)) current = view.best ?? view.units[0];
  if (view.units.length === 0) {
    panel.replaceChildren(el("p", { class: "empty" }, "No run has these settings. Set a filter to “all”."));
  } else {
    panel.replaceChildren(rows || columns ? matrix(rows, columns) : gallery());
  }
}

function gallery() {
  const order = sortedUnits(view.units, state.sort, state.down);
  return el("div", { class: "gallery" }, order.map((unit) => tile(unit, { pixels: pixels(), title: label(unit) })));
}

function matrix(rows, columns) {
  const across = columns ? present(columns) : [null], down = rows ? present(rows) : [null];
  const head = columns && el("tr", {}, el("th", { class: "corner" }, corner(rows, columns)),
    across.map((at) => el("th", { scope: "col" }, heading(columns, at))));
  const body = down.map((row) => el("tr", {},
    el("th", { scope: "row" }, rows ? heading(rows, row) : ""),
    across.map((column) => el("td", { role: "gridcell" }, cell(inCell(rows, row, columns, column))))));
  const name = `Pictures by ${[rows, columns].filter(Boolean).map(({ key }) => key).join(" and ")}`;
  return el("div", { class: "scroll" }, el("table", { class: "matrix", role: "grid", "aria-label": name },
    head && el("thead", {}, head), el("tbody", {}, body)));
}

function cell(found) {
  if (found.length === 0) return el("span", { class: "none" }, "no run");
  const free = freeSettings();
  const title = (unit) => (free.length ? label(unit, free) : null);
  return el("div", { class: "cell" }, found.map((unit) => tile(unit, { pixels: pixels(), title: title(unit) })));
}

// The positions of a setting's values that visible runs have.
function present(setting) {
  const at = place(setting);
  return [...new Set(view.units.map((unit) => unit.run.values[at]))].sort((a, b) => a - b);
}

function inCell(rows, row, columns, column) {
  const has = (unit, setting, at) => !setting || unit.run.values[place(setting)] === at;
  return view.units.filter((unit) => has(unit, rows, row) && has(unit, columns, column)).sort(bySettings);
}

function bySettings(a, b) {
  return a.run.values.reduce((sign, value, at) => sign || value - b.run.values[at], 0);
}

function corner(rows, columns) {
  const axis = (text) => el("span", { class: "axis" }, text);
  return [rows && axis(`${rows.short} ↓`), axis(`${columns.short} →`)];
}

function heading(setting, at) {
  const value = setting.values[at];
  const source = sourceOf(setting, value);
  const text = el("span", { title: `${setting.key}=${value.full}` }, value.label);
  return [source && el("img", { src: source.thumb, alt: "" }), text];
}

// The unit that an arrow key leads to from `unit`: in their order to the sides, up and down the nearest on the page.
function neighbour(unit, across, down) {
  const order = [...tiles.keys()];
  if (across) return order[order.indexOf(unit) + across] ?? null;
  const box = (each) => tiles.get(each).box.getBoundingClientRect();
  const here = box(unit);
  let nearest = null, least = Infinity;
  for (const each of order) {
    const there = box(each);
    const away = down > 0 ? there.top - here.bottom : here.top - there.bottom;
    const far = away + 4 * Math.abs(there.left - here.left); // the same column counts for more than the next row
    if (away >= 0 && far < least) [nearest, least] = [each, far];
  }
  return nearest;
}
