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

// Settings that are neither an axis nor held fixed: their values stand side by side in a cell.
function freeSettings() {
  return settings().filter(({ key }) => key !== state.rows && key !== state.columns && state.filters[key] === undefined);
}

function renderMatrix() {
  tiles.clear();
  const rows = settingOf(state.rows), columns = settingOf(state.columns);
  const panel = byId("matrix");
  panel.style.setProperty("--pixels", `${pixels()}px`);
  panel.style.setProperty("--abreast", abreast());
  if (view.units.length === 0) {
    panel.replaceChildren(el("p", { class: "empty" }, "No run has these settings. Set a filter to “all”."));
    return;
  }
  if (!view.units.includes(current)) current = view.best ?? view.units[0];
  panel.replaceChildren(rows || columns ? matrix(rows, columns) : gallery());
}

function gallery() {
  const order = sortedUnits(view.units, state.sort, state.down);
  return el("div", { class: "gallery" }, order.map((unit) => tile(unit, { pixels: pixels(), title: label(unit) })));
}

function matrix(rows, columns) {
  const among = freeSettings();
  const across = columns ? present(columns) : [null];
  const down = rows ? present(rows) : [null];
  const lines = down.map((row) => across.map((column) => inCell(rows, row, columns, column)));
  const head = columns && el("tr", {}, el("th", { class: "corner" }, corner(rows, columns)),
    across.map((at) => el("th", { scope: "col" }, heading(columns, at))));
  const body = lines.map((line, index) => el("tr", {},
    el("th", { scope: "row" }, rows ? heading(rows, down[index]) : ""),
    line.map((found) => el("td", { role: "gridcell" }, el("div", { class: "cell" },
      found.length ? found.map((unit) => tile(unit, { pixels: pixels(), title: label(unit, among.filter((setting) => setting.values.length > 1)) }))
        : el("span", { class: "none" }, "no run"))))));
  const name = `Pictures${rows ? ` by ${rows.key}` : ""}${columns ? ` and ${columns.key}` : ""}`;
  return el("div", { class: "scroll" }, el("table", { class: "matrix", role: "grid", "aria-label": name }, head && el("thead", {}, head), el("tbody", {}, body)));
}

// The positions of a setting's values that visible runs have.
function present(setting) {
  return [...new Set(view.units.map((unit) => unit.run.values[place(setting)]))].sort((a, b) => a - b);
}

function inCell(rows, row, columns, column) {
  const found = view.units.filter((unit) => (!rows || unit.run.values[place(rows)] === row) && (!columns || unit.run.values[place(columns)] === column));
  return found.sort((a, b) => a.run.values.reduce((sign, value, at) => sign || value - b.run.values[at], 0));
}

function corner(rows, columns) {
  return [el("span", { class: "axis down" }, rows ? `${rows.short} ↓` : ""), el("span", { class: "axis" }, `${columns.short} →`)];
}

function heading(setting, at) {
  const value = setting.values[at];
  const source = sourceOf(setting, value);
  return [source && el("img", { src: source.thumb, alt: "" }), el("span", { title: `${setting.key}=${value.full}` }, value.label)];
}

// The unit that an arrow key leads to from `unit`: in their order to the sides, up and down the nearest on the page.
function neighbour(unit, across, down) {
  const order = [...tiles.keys()];
  if (across) return order[order.indexOf(unit) + across] ?? null;
  const place = (each) => { const { left, top, bottom } = tiles.get(each).box.getBoundingClientRect(); return { left, top, bottom }; };
  const here = place(unit);
  let nearest = null, least = Infinity;
  for (const each of order) {
    const there = place(each);
    const away = down > 0 ? there.top - here.bottom : here.top - there.bottom;
    const far = Math.abs(there.left - here.left) * 4 + away; // the same column counts for more than the next row
    if (away >= 0 && far < least) [nearest, least] = [each, far];
  }
  return nearest;
}
