"use strict";
// Every number of every run, sorted by any column.

function renderTable() {
  tiles.clear();
  const order = sortedUnits(view.units, state.sort, state.down);
  if (!view.units.includes(current)) current = order[0];
  const head = el("tr", {},
    el("th", {}, el("span", { class: "unseen" }, "picture")),
    settings().map((setting) => sortHead(setting.key, setting.short, setting.key, false)),
    DATA.measures.map((measure) => sortHead(measure.key, measure.label, measure.hint, true)),
    isFolded() && el("th", {}, "runs"),
    el("th", {}, "run"));
  byId("table").replaceChildren(
    MEASURES.has(LOSS) ? el("p", { class: "quiet" }, `${DATA.caveat}.`) : "",
    el("div", { class: "scroll" }, el("table", { class: "numbers" },
      el("thead", {}, head), el("tbody", {}, order.map((unit) => tableRow(unit))))));
}

function tableRow(unit) {
  const measures = unit.completed
    ? DATA.measures.map(({ key }) => el("td", { class: "figure" }, shown(unit, key)))
    : el("td", { class: "failed", colspan: DATA.measures.length }, unit.run.problem);
  const values = settings().map((setting) => valueOf(unit, setting));
  return el("tr", { class: kindOf(unit) },
    el("td", {}, tile(unit, { pixels: 56, keys: [] })),
    values.map((value) => el("td", { title: value.full }, value.label)),
    measures,
    isFolded() && el("td", { class: "figure" }, unit.members.length),
    el("td", { class: "quiet folder" }, unit.run.name, badges(unit)));
}

function sortHead(key, text, hint, isNumber) {
  const active = state.sort === key;
  const upwards = (MEASURES.get(key)?.better === 1) === state.down;
  const sort = () => {
    state.down = active && !state.down;
    state.sort = key;
    refresh();
    byId("table").querySelector(`th button[data-key="${CSS.escape(key)}"]`).focus();
  };
  const arrow = el("span", { "aria-hidden": "true" }, active ? (upwards ? " ▲" : " ▼") : "");
  return el("th", {
    scope: "col",
    class: isNumber ? "figure" : null,
    "aria-sort": active ? (upwards ? "ascending" : "descending") : null,
  }, el("button", { "data-key": key, title: hint || null, onclick: sort }, text, arrow));
}
