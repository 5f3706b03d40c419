"use strict";
// The bar of axes and filters, the tabs, the keyboard; refresh() draws the page anew from its state.

const TABS = { matrix: renderMatrix, pareto: renderPareto, table: renderTable };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function refresh() {
  refreshView();
  for (const tab of Object.keys(TABS)) {
    const active = tab === state.tab;
    byId(tab).hidden = !active;
    byId(`tab-${tab}`).setAttribute("aria-selected", active);
    byId(`tab-${tab}`).tabIndex = active ? 0 : -1;
  }
  renderBar();
  renderHead();
  byId("sources").replaceChildren(...sourceFigures(view.units.flatMap((unit) => unit.run.sources)));
  TABS[state.tab]();
  renderTray();
  writeAddress();
}

function renderHead() {
  const hidden = units().length - view.units.length;
  const runs = view.units.reduce((sum, unit) => sum + unit.members.length, 0);
  byId("count").textContent = `${runs} runs${isFolded() ? ` in ${view.units.length} groups` : ""}${hidden ? `, ${hidden} filtered out` : ""}`;
  const best = byId("best");
  best.hidden = !view.best && state.bound === null;
  best.disabled = !view.best;
  best.textContent = view.best ? `★ style ${shown(view.best, STYLE)}: ${label(view.best)}` : "no run is this close to its content";
  byId("bound-value").textContent = state.bound === null ? "any" : number(state.bound);
}

// Keeps the focus where it is: on the same field, made anew.
function renderBar() {
  const at = [...byId("bar").querySelectorAll("select, input, button")].indexOf(document.activeElement);
  const set = (key) => (value) => { state[key] = value; refresh(); };
  const several = settings().filter((setting) => setting.values.length > 1);
  const names = [["", "none"], ...several.map((setting) => [setting.key, setting.short])];
  const isMatrix = state.tab === "matrix";
  const sorts = [...DATA.measures.map(({ key, label: name }) => [key, name]), ...several.map((setting) => [setting.key, setting.short])];
  const isGallery = !settingOf(state.rows) && !settingOf(state.columns);
  byId("bar").replaceChildren(
    ...(isMatrix ? [
      select("rows", names, state.rows, (key) => chooseAxis("rows", key)),
      el("button", { class: "swap", "aria-label": "Swap rows and columns", title: "swap rows and columns", onclick: () => { [state.rows, state.columns] = [state.columns, state.rows]; refresh(); } }, "⇄"),
      select("columns", names, state.columns, (key) => chooseAxis("columns", key)),
      isGallery && select("sorted by", sorts, state.sort, set("sort")),
      el("label", { class: "field" }, el("span", {}, "size"), sizeInput()),
      select("numbers", [["", "style, content"], ...DATA.measures.map(({ key, label: name, hint }) => [key, name, hint])], state.caption, set("caption")),
      el("span", { class: "gap" }),
    ] : []).filter(Boolean),
    several.length ? el("span", { class: "legend" }, "only") : "",
    ...several.map((setting) => select(`only ${setting.short}`, [["", "all"], ...setting.values.map((value, index) => [String(index), value.label, value.full])],
      String(state.filters[setting.key] ?? ""), (value) => filter(setting.key, value), `only runs with this ${setting.key}`)),
    REPEATED ? checkbox("fold repeats", state.fold, set("fold")) : "");
  byId("bar").querySelectorAll("select, input, button")[at]?.focus();
}

function sizeInput() {
  const input = el("input", { type: "range", min: 64, max: 512, step: 16, "aria-label": "Size of the pictures", onchange: () => { state.size = Number(input.value); refresh(); } });
  input.value = String(pixels());
  input.addEventListener("input", () => byId("matrix").style.setProperty("--pixels", `${input.value}px`));
  return input;
}

function chooseAxis(axis, key) {
  const other = axis === "rows" ? "columns" : "rows";
  if (key && state[other] === key) state[other] = state[axis];
  state[axis] = key;
  refresh();
}

function filter(key, value) {
  if (value === "") delete state.filters[key];
  else state.filters[key] = Number(value);
  refresh();
}

// The bound runs over the content distances that there are; its last stop is no bound at all.
function setUpBound() {
  const values = units().map((unit) => mean(unit, CONTENT)).filter((value) => value !== null);
  const input = byId("bound");
  if (values.length < 2) {
    byId("bound-control").hidden = true;
    return;
  }
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const steps = Number(input.max);
  const shownAs = (bound) => (bound === null || bound >= high ? steps : Math.max(0, Math.round(((bound - low) / (high - low)) * (steps - 1))));
  input.value = String(shownAs(state.bound));
  input.addEventListener("input", () => {
    const step = Number(input.value);
    state.bound = step === steps ? null : Number((low + ((high - low) * step) / (steps - 1)).toPrecision(4));
    refresh();
    input.setAttribute("aria-valuetext", state.bound === null ? "any" : number(state.bound));
    say(view.best ? `Best: ${label(view.best)}, style ${shown(view.best, STYLE)}` : "No run is this close to its content");
  });
}

function setUpTabs() {
  for (const tab of Object.keys(TABS)) byId(`tab-${tab}`).addEventListener("click", () => { state.tab = tab; refresh(); });
  byId("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const names = Object.keys(TABS);
    state.tab = names[(names.indexOf(state.tab) + step + names.length) % names.length];
    refresh();
    byId(`tab-${state.tab}`).focus();
  });
}

function setUpKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input:not(#divider)")) return;
    const arrow = ARROWS[event.key];
    if (byId("slider").open) return sliderKey(event);
    if (byId("run").open) {
      if (arrow && !event.target.closest(".command")) { event.preventDefault(); stepRun(...arrow); }
      else if (event.key === "c") { const unit = opened; byId("run").close(); togglePick(unit); }
      return;
    }
    if (!event.target.closest(".tile")) return;
    if (arrow) {
      const next = neighbour(current, ...arrow);
      if (next) { event.preventDefault(); focusTile(next); }
    } else if (event.key === "c") togglePick(current);
  });
  byId("run").addEventListener("close", closeRun);
  byId("slider").addEventListener("close", closeSlider);
}

function sliderKey(event) {
  const step = { n: 1, p: -1 }[event.key];
  if (step) stepRight(step);
  else if (event.key === "f") {
    byId("divider").value = Number(byId("divider").value) < 50 ? "100" : "0";
    moveDivider();
  }
}

function list(node, title, lines) {
  node.hidden = lines.length === 0;
  node.replaceChildren(el("summary", {}, title), lines.length ? definitions(lines) : "");
}

function openWhatTheAddressSays() {
  const unit = state.run && units().find(({ run }) => run.name === state.run);
  const both = state.pair?.split("|").map((name) => units().find(({ run }) => run.name === name)) ?? [];
  if (unit) openRun(unit);
  else if (both.length === 2 && both.every(Boolean)) openSlider(...both);
}

const likely = likelyAxes();
Object.assign(state, { rows: likely.rows, columns: likely.columns, bound: DATA.maxContent, sort: MEASURES.has(STYLE) ? STYLE : DATA.settings[0]?.key ?? "" });
const initial = { ...state };
readAddress();
byId("made").textContent = `made ${DATA.made}`;
byId("notes").replaceChildren(...DATA.notes.map((note) => el("p", {}, note)));
list(byId("common"), `${DATA.common.length} settings that all runs share`, DATA.common);
list(byId("problems"), `${DATA.problems.length} folders are no completed runs`, DATA.problems);
byId("tab-pareto").hidden = !(MEASURES.has(CONTENT) && MEASURES.has(STYLE));
byId("best").addEventListener("click", () => openRun(view.best));
setUpBound();
setUpTabs();
setUpKeys();
refresh();
openWhatTheAddressSays();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
