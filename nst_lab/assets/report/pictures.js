"use strict";
// A picture with its numbers, as a button that opens it; the sources beside; picking two to compare.

let view = { units: [], best: null, front: new Set() }; // what the filters let through, set by refresh()
let current = null; // the unit that the keyboard is on
const picked = []; // at most two units, to compare

function refreshView() {
  const among = visibleUnits();
  view = { units: among, best: bestUnit(among), front: new Set(frontier(among)) };
}

// The thumbnail; where it is shown larger than it is, the full picture in its place as soon as it comes into sight.
function picture(unit, pixels) {
  const { run } = unit;
  const alt = `Result of ${label(unit)}`;
  if (!run.thumb) return el("span", { class: "missing" }, run.problem ?? "no picture");
  const sharp = pixels * devicePixelRatio > DATA.thumbSide;
  const image = el("img", { src: sharp ? run.link : run.thumb, alt, loading: "lazy", decoding: "async", draggable: "false" });
  if (sharp) image.addEventListener("error", () => { image.src = run.thumb; }, { once: true });
  return image;
}

// `brief`: signs alone, for small pictures.
function badges(unit, brief = false) {
  const text = (sign, word) => (brief ? sign : `${sign} ${word}`);
  return [
    unit === view.best && el("span", { class: "badge best", title: "lowest style distance at acceptable content distance" }, "★ best"),
    view.front.has(unit) && unit !== view.best && el("span", { class: "badge", title: "on the Pareto frontier of content and style distance" }, text("●", "frontier")),
    unit.members.length > 1 && el("span", { class: "badge plain", title: "repeats that differ in the seed" }, brief ? `×${unit.members.length}` : `${unit.members.length} seeds`),
    !unit.completed && el("span", { class: "badge failed", title: unit.run.problem }, unit.run.problem?.split(/[: ]/)[0] ?? "not completed"),
  ].filter(Boolean).flatMap((badge) => [" ", badge]);
}

// One picture of a view. `title` tells it from others in the same cell; `position` is where arrow keys find it.
function tile(unit, { pixels, title = null, keys = captionKeys() }) {
  const brief = pixels < 140;
  const numbers = unit.completed
    ? keys.filter((key) => unit.statistics.has(key)).map((key) => el("span", { class: "measure", title: MEASURES.get(key).hint || null },
      el("span", { class: "quiet" }, MEASURES.get(key).label), ` ${brief ? number(mean(unit, key)) : shown(unit, key)}`))
    : [el("span", { class: "measure" }, unit.run.problem ?? "")];
  const open = el("button", {
    class: "open", tabindex: unit === current ? 0 : -1,
    onclick: () => openRun(unit), onfocus: () => setCurrent(unit),
  }, picture(unit, pixels), el("span", { class: "caption" }, title && el("span", { class: "title" }, title), el("span", { class: "badges" }, badges(unit, brief)), numbers));
  const pick = el("button", {
    class: "pick", tabindex: -1, "aria-pressed": picked.includes(unit), title: "pick to compare (C)",
    "aria-label": `Pick to compare: ${label(unit)}`, onclick: () => togglePick(unit),
  }, "⇆");
  const kind = [unit === view.best && "best", unit.completed && !isAcceptable(unit) && "beyond", !unit.completed && "failed"];
  const box = el("div", { class: ["tile", ...kind.filter(Boolean)].join(" ") }, open, pick);
  tiles.set(unit, { box, open, pick });
  return box;
}

const tiles = new Map(); // unit -> its elements in the view that is shown

function captionKeys() {
  if (state.caption) return [state.caption];
  return [STYLE, CONTENT].filter((key) => MEASURES.has(key));
}

function setCurrent(unit) {
  const before = tiles.get(current);
  if (before) before.open.tabIndex = -1;
  current = unit;
  const now = tiles.get(unit);
  if (now) now.open.tabIndex = 0;
}

function focusTile(unit) {
  setCurrent(unit);
  tiles.get(unit)?.open.focus();
}

function togglePick(unit) {
  const at = picked.indexOf(unit);
  if (at >= 0) picked.splice(at, 1);
  else {
    picked.push(unit);
    if (picked.length > 2) picked.shift();
  }
  for (const [each, { pick }] of tiles) pick.setAttribute("aria-pressed", picked.includes(each));
  renderTray();
  say(at >= 0 ? `${label(unit)} not picked any more` : `${label(unit)} picked, ${picked.length} of 2`);
  if (picked.length === 2 && at < 0) byId("compare-picked").focus();
}

function renderTray() {
  const tray = byId("tray");
  tray.hidden = picked.length === 0;
  const clear = el("button", { onclick: () => { picked.length = 0; refresh(); } }, "clear");
  const compare = el("button", { id: "compare-picked", class: "primary", disabled: picked.length < 2, onclick: () => openSlider(...picked) }, "compare");
  tray.replaceChildren(
    ...picked.map((unit) => el("span", { class: "picked" }, unit.run.thumb && el("img", { src: unit.run.thumb, alt: "" }), label(unit))),
    picked.length < 2 ? el("span", { class: "quiet" }, "pick another to compare") : "", compare, clear,
  );
}

function say(text) {
  byId("live").textContent = text;
}

// Content and styles, those of `run` or of all that are shown.
function sourceFigures(places) {
  const order = [...new Set(places)].sort((a, b) => DATA.sources[a].kind.localeCompare(DATA.sources[b].kind) || a - b);
  return order.map((at) => {
    const source = DATA.sources[at];
    return el("figure", { class: "source" },
      source.thumb ? el("img", { src: source.thumb, alt: `${source.kind}: ${source.name}` }) : el("span", { class: "missing" }, source.missing),
      el("figcaption", {}, el("span", { class: "quiet" }, `${source.kind} `), el("b", {}, source.name), source.credit && el("span", { class: "credit" }, source.credit)));
  });
}

function sourceOf(setting, value) {
  const kind = { "content.image": "content", "style.images": "style" }[setting.key];
  return kind ? DATA.sources.find((source) => source.kind === kind && source.image === value.full && source.thumb) : null;
}
