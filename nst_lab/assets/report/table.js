"use strict";
// Every number of every run, sorted by any column.

function renderTable() {
  tiles.clear();
  const keys = DATA.measures.map(({ key }) => key);
  const order = sortedUnits(view.units, state.sort, state.down);
  if (!view.units.includes(current)) current = order[0] ?? null;
  const head = el("tr", {}, el("th", {}, el("span", { class: "unseen" }, "picture")),
    settings().map((setting) => sortHead(setting.key, setting.short, setting.key, false)),
    DATA.measures.map((measure) => sortHead(measure.key, measure.label, measure.hint, true)),
    isFolded() && el("th", { class: "count" }, "runs"), el("th", {}, "run"));
  const body = order.map((unit) => el("tr", { class: [unit === view.best && "best", unit.completed && !isAcceptable(unit) && "beyond"].filter(Boolean).join(" ") },
    el("td", {}, tile(unit, { pixels: 56, keys: [] })),
    settings().map((setting) => el("td", { title: valueOf(unit, setting).full }, valueOf(unit, setting).label)),
    unit.completed ? keys.map((key) => el("td", { class: "figure" }, shown(unit, key))) : el("td", { colspan: keys.length, class: "failed" }, unit.run.problem),
    isFolded() && el("td", { class: "figure" }, unit.members.length),
    el("td", { class: "quiet folder" }, unit.run.name, " ", badges(unit))));
  byId("table").replaceChildren(
    MEASURES.has("total_loss") ? el("p", { class: "quiet" }, `${DATA.caveat}.`) : "",
    el("div", { class: "scroll" }, el("table", { class: "numbers" }, el("thead", {}, head), el("tbody", {}, body))));
}

function sortHead(key, text, hint, isNumber) {
  const active = state.sort === key;
  const upwards = (MEASURES.get(key)?.better === 1) === state.down;
  const change = () => {
    state.down = active ? !state.down : false;
    state.sort = key;
    refresh();
    byId("table").querySelector(`th button[data-key="${CSS.escape(key)}"]`)?.focus();
  };
  const arrow = active ? (upwards ? " ▲" : " ▼") : "";
  return el("th", { scope: "col", class: isNumber ? "figure" : null, "aria-sort": active ? (upwards ? "ascending" : "descending") : null },
    el("button", { "data-key": key, title: hint || null, onclick: change }, text, el("span", { "aria-hidden": "true" }, arrow)));
}
