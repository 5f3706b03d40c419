"use strict";
// Two runs in one frame with a divider between them, moved by pointer or keyboard, and what differs beside it.

let pair = []; // the units at the left and at the right

function openSlider(left, right, position = 50) {
  pair = [left, right];
  state.pair = pair.map((unit) => unit.run.name).join("|");
  writeAddress();
  renderSlider(position);
  const dialog = byId("slider");
  if (!dialog.open) dialog.showModal();
  byId("divider").focus();
}

// When the dialog has closed.
function leaveSlider() {
  state.pair = null;
  writeAddress();
  if (tiles.has(current)) focusTile(current);
}

function renderSlider(position) {
  const divider = el("input", {
    type: "range", id: "divider", min: 0, max: 100, step: 2, oninput: () => moveDivider(divider.value),
    "aria-label": "Position of the divider between the two pictures",
  });
  const key = (text) => el("kbd", {}, text);
  const keys = el("p", { class: "quiet" }, key("←"), " ", key("→"), " move the divider, ", key("F"), " flips, ",
    key("N"), " ", key("P"), " next and previous run at the right");
  byId("slider").replaceChildren(sliderHead(), el("div", { class: "dialog-body" },
    el("div", { class: "stage compare" }, el("div", { class: "room" }, frame()), divider, keys),
    el("div", { class: "facts" },
      el("div", { class: "strip" }, sourceFigures(pair.flatMap((unit) => unit.run.sources))), differences())));
  moveDivider(position);
}

function sliderHead() {
  const swap = { "aria-label": "Swap left and right", onclick: () => openSlider(pair[1], pair[0], position()) };
  return el("div", { class: "dialog-head" },
    chooser(0, "left"), el("button", swap, "⇄"), chooser(1, "right"),
    el("button", { class: "close", "aria-label": "Close", onclick: () => byId("slider").close() }, "✕"));
}

function chooser(side, name) {
  const units = [...new Set([...view.units, ...pair])];
  const options = units.map((unit, at) => [String(at), label(unit)]);
  return select(name, options, String(units.indexOf(pair[side])), (at) => {
    pair[side] = units[Number(at)];
    openSlider(...pair, position());
  });
}

// The left picture lies over the right one, cut off at the divider.
function frame() {
  const [left, right] = pair.map((unit, side) => sidePicture(unit, ["left", "right"][side]));
  const box = el("div", { class: "frame" }, right, left, el("div", { class: "divider" }),
    pair.map((unit, side) => el("span", { class: `side ${["left", "right"][side]}` }, label(unit, differing()))));
  const follow = (event) => {
    const { left: start, width } = box.getBoundingClientRect();
    moveDivider((100 * (event.clientX - start)) / width);
  };
  box.addEventListener("pointerdown", (event) => { box.setPointerCapture(event.pointerId); follow(event); });
  box.addEventListener("pointermove", (event) => { if (box.hasPointerCapture(event.pointerId)) follow(event); });
  return box;
}

function sidePicture({ run }, side) {
  const image = el("img", { src: run.link, alt: `${side}: ${run.name}`, class: side, draggable: "false" });
  const ratio = () => image.naturalWidth / image.naturalHeight;
  image.addEventListener("load", () => image.closest(".frame")?.style.setProperty("--ratio", ratio()));
  if (run.thumb) orThumbnail(image, run);
  return image;
}

function position() {
  return Number(byId("divider").value);
}

function moveDivider(to) {
  byId("divider").value = String(to);
  byId("slider").querySelector(".frame").style.setProperty("--at", `${byId("divider").value}%`);
}

// The settings in which the two differ; all of them if they differ in none.
function differing() {
  const found = settings().filter((setting) => valueOf(pair[0], setting) !== valueOf(pair[1], setting));
  return found.length ? found : settings();
}

function differences() {
  const line = (name, hint, cells) => el("tr", { title: hint || null }, el("th", { scope: "row" }, name), cells);
  const set = differing().map((setting) =>
    line(setting.key, null, pair.map((unit) => el("td", {}, valueOf(unit, setting).full))));
  const measured = DATA.measures.filter(({ key }) => key !== LOSS && pair.some((unit) => unit.statistics.has(key)));
  const numbers = measured.map((measure) => line(measure.label, measure.hint, pair.map((unit, side) =>
    el("td", { class: side === ahead(measure) ? "ahead" : null }, shown(unit, measure.key)))));
  const heads = ["left", "right"].map((side) => el("th", { scope: "col" }, side));
  return el("table", { class: "differences" },
    el("thead", {}, el("tr", {}, el("td", {}), heads)), el("tbody", {}, set), el("tbody", {}, numbers));
}

// The side with the better distance; null where there is none.
function ahead({ key, kind, better }) {
  const [left, right] = pair.map((unit) => mean(unit, key));
  if (kind !== "distance" || better === 0 || left === null || right === null || left === right) return null;
  return (left - right) * better > 0 ? 0 : 1;
}

function stepRight(by) {
  const order = view.units.filter((unit) => unit.run.thumb && unit !== pair[0]);
  const at = order.indexOf(pair[1]);
  if (order.length) openSlider(pair[0], order[(at + by + order.length) % order.length], position());
}

function sliderKey(event) {
  const step = { n: 1, p: -1 }[event.key];
  if (step) stepRight(step);
  else if (event.key === "f") moveDivider(position() < 50 ? 100 : 0);
}
