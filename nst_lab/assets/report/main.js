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
  const { units: among, best } = view;
  const runs = among.reduce((sum, unit) => sum + unit.members.length, 0);
  const hidden = units().length - among.length;
  const groups = isFolded() ? ` in ${among.length} groups` : "";
  byId("count").textContent = `${runs} runs${groups}${hidden ? `, ${hidden} filtered out` : ""}`;
  byId("bound-value").textContent = state.bound === null ? "any" : number(state.bound);
  byId("best").hidden = !best && state.bound === null;
  byId("best").disabled = !best;
  byId("best").textContent = best
    ? `★ style ${shown(best, STYLE)}: ${label(best)}`
    : "no run is this close to its content";
}

// Made anew with the focus on the same field as before.
function renderBar() {
  const fields = () => [...byId("bar").querySelectorAll("select, input, button")];
  const at = fields().indexOf(document.activeElement);
  const several = settings().filter((setting) => setting.values.length > 1);
  byId("bar").replaceChildren(
    ...(state.tab === "matrix" ? matrixFields(several) : []),
    several.length ? el("span", { class: "legend" }, "only") : "",
    ...several.map((setting) => filterField(setting)),
    REPEATED ? checkbox("fold repeats", state.fold, set("fold")) : "");
  fields()[at]?.focus();
}

function set(key) {
  return (value) => { state[key] = value; refresh(); };
}

function matrixFields(several) {
  const axes = [["", "none"], ...several.map((setting) => [setting.key, setting.short])];
  const measures = DATA.measures.map(({ key, label: name, hint }) => [key, name, hint]);
  const swap = () => { [state.rows, state.columns] = [state.columns, state.rows]; refresh(); };
  const isGallery = !settingOf(state.rows) && !settingOf(state.columns);
  return [
    select("rows", axes, state.rows, (key) => chooseAxis("rows", key)),
    el("button", { "aria-label": "Swap rows and columns", title: "swap rows and columns", onclick: swap }, "⇄"),
    select("columns", axes, state.columns, (key) => chooseAxis("columns", key)),
    isGallery ? select("sorted by", [...measures, ...axes.slice(1)], state.sort, set("sort")) : "",
    el("label", { class: "field" }, el("span", {}, "picture size"), sizeInput()),
    select("numbers", [["", "style, content"], ...measures], state.caption, set("caption")),
    el("span", { class: "gap" }),
  ];
}

function sizeInput() {
  const input = el("input", { type: "range", min: 64, max: 512, step: 16, "aria-label": "Size of the pictures" });
  input.value = String(pixels());
  input.addEventListener("input", () => byId("matrix").style.setProperty("--pixels", `${input.value}px`));
  input.addEventListener("change", () => set("size")(Number(input.value)));
  return input;
}

function chooseAxis(axis, key) {
  const other = axis === "rows" ? "columns" : "rows";
  if (key && state[other] === key) state[other] = state[axis];
  set(axis)(key);
}

function filterField(setting) {
  const values = setting.values.map((value, index) => [String(index), value.label, value.full]);
  const chosen = String(state.filters[setting.key] ?? "");
  return select(setting.short, [["", "all"], ...values], chosen, (value) => {
    if (value === "") delete state.filters[setting.key];
    else state.filters[setting.key] = Number(value);
    refresh();
  }, `only ${setting.short}`);
}

// The bound runs over the content distances that there are; its last stop is no bound at all.
function setUpBound() {
  const values = units().map((unit) => mean(unit, CONTENT)).filter((value) => value !== null);
  const input = byId("bound");
  byId("bound-control").hidden = values.length < 2;
  if (values.length < 2) return;
  const low = Math.min(...values), span = Math.max(...values) - low || 1, last = Number(input.max);
  const isFree = state.bound === null || state.bound >= low + span;
  input.value = String(isFree ? last : Math.round(((state.bound - low) / span) * (last - 1)));
  input.addEventListener("input", () => {
    const step = Number(input.value);
    state.bound = step === last ? null : Number((low + (span * step) / (last - 1)).toPrecision(4));
    refresh();
    input.setAttribute("aria-valuetext", byId("bound-value").textContent);
    say(byId("best").textContent);
  });
}

function setUpTabs() {
  const names = Object.keys(TABS);
  for (const tab of names) byId(`tab-${tab}`).addEventListener("click", () => set("tab")(tab));
  byId("tabs").addEventListener("keydown", (event) => {
    const [step] = ARROWS[event.key] ?? [0];
    const visible = names.filter((tab) => !byId(`tab-${tab}`).hidden);
    if (!step) return;
    set("tab")(visible[(visible.indexOf(state.tab) + step + visible.length) % visible.length]);
    byId(`tab-${state.tab}`).focus();
  });
}

function setUpKeys() {
  byId("run").addEventListener("close", leaveRun);
  byId("slider").addEventListener("close", leaveSlider);
  document.addEventListener("keydown", (event) => {
    const isField = event.target.matches("select, input:not(#divider)");
    if (isField || event.ctrlKey || event.metaKey || event.altKey) return;
    if (byId("slider").open) sliderKey(event);
    else if (byId("run").open) runKey(event);
    else if (event.target.closest(".tile")) tileKey(event);
  });
}

function runKey(event) {
  const arrow = ARROWS[event.key];
  if (arrow) {
    event.preventDefault();
    stepRun(...arrow);
  } else if (event.key === "c") compareOpened();
}

function tileKey(event) {
  const arrow = ARROWS[event.key];
  const next = arrow && neighbour(current, ...arrow);
  if (next) {
    event.preventDefault();
    focusTile(next);
  } else if (event.key === "c") togglePick(current);
}

function list(node, title, pairs) {
  node.hidden = pairs.length === 0;
  node.replaceChildren(el("summary", {}, title), definitions(pairs));
}

function openWhatTheAddressSays() {
  const named = (name) => units().find(({ run }) => run.name === name);
  const both = (state.pair ?? "").split("|").map(named);
  if (state.run) openRun(named(state.run));
  else if (both.length === 2 && both.every(Boolean)) openSlider(...both);
}

const { rows, columns } = likelyAxes();
const sort = MEASURES.has(STYLE) ? STYLE : DATA.measures[0]?.key ?? "";
Object.assign(state, { rows, columns, sort, bound: DATA.maxContent });
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
