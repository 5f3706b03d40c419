"use strict";
// A picture with its numbers, as a button that opens it; the sources beside; picking two to compare.

let view = { units: [], best: null, front: new Set() }; // what the filters let through
let current = null; // the unit that the keyboard is on
const tiles = new Map(); // unit -> its elements in the view that is shown
const picked = []; // at most two units, to compare

const BRIEF = 140; // pixels: below, a tile has no room for words beside its signs, nor for a spread

function refreshView() {
  const among = visibleUnits();
  view = { units: among, best: bestUnit(among), front: new Set(frontier(among)) };
}

// The thumbnail, or where it is shown larger than it is the full picture, as soon as it comes into sight.
function picture(unit, pixels) {
  const { run } = unit;
  if (!run.thumb) return el("span", { class: "missing" }, run.problem ?? "no picture");
  const src = pixels * devicePixelRatio > DATA.thumbSide ? run.link : run.thumb;
  const alt = `Result of ${label(unit)}`;
  const image = el("img", { src, alt, loading: "lazy", decoding: "async", draggable: "false" });
  orThumbnail(image, run);
  return image;
}

// A report that was moved away from its runs still has the thumbnails.
function orThumbnail(image, run) {
  image.addEventListener("error", () => { image.src = run.thumb; }, { once: true });
}

function badges(unit, brief = false) {
  const made = [];
  const add = (kind, title, sign, words) =>
    made.push(" ", el("span", { class: `badge ${kind}`, title }, brief ? sign : words));
  const count = unit.members.length;
  if (unit === view.best) {
    add("best", "lowest style distance at acceptable content distance", "★ best", "★ best");
  } else if (view.front.has(unit)) {
    add("front", "on the Pareto frontier of content and style distance", "●", "● frontier");
  }
  if (count > 1) add("plain", "repeats that differ in the seed", `×${count}`, `${count} seeds`);
  if (!unit.completed) add("failed", unit.run.problem, "failed", unit.run.problem.split(/[: ]/)[0]);
  return made;
}

// One picture of a view; `title` is what tells it from the others beside it.
function tile(unit, { pixels, title = null, keys = captionKeys() }) {
  const brief = pixels < BRIEF;
  const open = el("button", {
    class: "open",
    tabindex: unit === current ? 0 : -1,
    onclick: () => openRun(unit),
    onfocus: () => setCurrent(unit),
  }, picture(unit, pixels), el("span", { class: "caption" },
    title && el("span", { class: "title" }, title),
    el("span", { class: "badges" }, badges(unit, brief)),
    unit.completed ? captions(unit, keys, brief) : el("span", { class: "measure" }, unit.run.problem)));
  const pick = el("button", {
    class: "pick",
    tabindex: -1,
    title: "pick to compare (C)",
    "aria-label": `Pick to compare: ${label(unit)}`,
    "aria-pressed": picked.includes(unit),
    onclick: () => togglePick(unit),
  }, "⇆");
  const box = el("div", { class: `tile ${kindOf(unit)}` }, open, pick);
  tiles.set(unit, { box, open, pick });
  return box;
}

function kindOf(unit) {
  if (!unit.completed) return "failed";
  if (unit === view.best) return "best";
  return isAcceptable(unit) ? "" : "beyond";
}

function captionKeys() {
  return state.caption ? [state.caption] : [STYLE, CONTENT];
}

function captions(unit, keys, brief) {
  return keys.filter((key) => unit.statistics.has(key)).map((key) => {
    const { label: name, hint } = MEASURES.get(key);
    const value = brief ? number(mean(unit, key)) : shown(unit, key);
    return el("span", { class: "measure", title: hint || null }, el("span", { class: "quiet" }, name), ` ${value}`);
  });
}

function setCurrent(unit) {
  const before = tiles.get(current), now = tiles.get(unit);
  if (before) before.open.tabIndex = -1;
  if (now) now.open.tabIndex = 0;
  current = unit;
}

function focusTile(unit) {
  setCurrent(unit);
  tiles.get(unit)?.open.focus();
}

function togglePick(unit) {
  const at = picked.indexOf(unit);
  if (at >= 0) picked.splice(at, 1);
  else picked.push(unit);
  if (picked.length > 2) picked.shift();
  for (const [each, { pick }] of tiles) pick.setAttribute("aria-pressed", picked.includes(each));
  renderTray();
  say(at >= 0 ? `${label(unit)} not picked any more` : `${label(unit)} picked, ${picked.length} of 2`);
  if (picked.length === 2 && at < 0) byId("compare-picked").focus();
}

function renderTray() {
  const clear = () => { picked.length = 0; refresh(); };
  const compare = { id: "compare-picked", class: "primary", onclick: () => openSlider(...picked) };
  byId("tray").hidden = picked.length === 0;
  byId("tray").replaceChildren(
    ...picked.map(({ run }, at) =>
      el("span", { class: "picked" }, run.thumb && el("img", { src: run.thumb, alt: "" }), label(picked[at]))),
    picked.length < 2 ? el("span", { class: "quiet" }, "pick another to compare") : el("button", compare, "compare"),
    el("button", { onclick: clear }, "clear"));
}

// For screen readers.
function say(text) {
  byId("live").textContent = text;
}

// Content and styles by their places among the sources, each once, the content first.
function sourceFigures(places) {
  const kind = (at) => DATA.sources[at].kind;
  return [...new Set(places)].sort((a, b) => kind(a).localeCompare(kind(b)) || a - b).map((at) => {
    const source = DATA.sources[at];
    const image = source.thumb
      ? el("img", { src: source.thumb, alt: `${source.kind}: ${source.name}` })
      : el("span", { class: "missing" }, source.missing);
    return el("figure", { class: "source" }, image, el("figcaption", {},
      el("span", { class: "quiet" }, `${source.kind} `), el("b", {}, source.name),
      source.credit && el("span", { class: "credit" }, source.credit)));
  });
}

// The picture that a value of a setting names.
function sourceOf(setting, value) {
  const kind = { "content.image": "content", "style.images": "style" }[setting.key];
  return DATA.sources.find((source) => source.kind === kind && source.image === value.full && source.thumb);
}
