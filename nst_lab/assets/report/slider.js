"use strict";
// Two runs in one frame with a divider between them, moved by pointer or keyboard, and what differs beside it.

let pair = []; // the two units

function openSlider(left, right) {
  pair = [left, right];
  state.pair = pair.map((unit) => unit.run.name).join("|");
  writeAddress();
  renderSlider(50);
  const dialog = byId("slider");
  if (!dialog.open) dialog.showModal();
  byId("divider").focus();
}

function closeSlider() {
  state.pair = null;
  pair = [];
  writeAddress();
  if (current && tiles.has(current)) focusTile(current);
}

function renderSlider(position) {
  const [left, right] = pair;
  const frame = el("div", { class: "frame" }, sliderPicture(right, "right"), sliderPicture(left, "left"), el("div", { class: "divider", "aria-hidden": "true" }),
    el("span", { class: "side left" }, label(left, differing())), el("span", { class: "side right" }, label(right, differing())));
  const divider = el("input", { type: "range", id: "divider", min: 0, max: 100, step: 2, "aria-label": "Position of the divider between the two pictures", oninput: () => moveDivider() });
  divider.value = String(position);
  frame.addEventListener("pointerdown", (event) => { frame.setPointerCapture(event.pointerId); follow(event); });
  frame.addEventListener("pointermove", (event) => { if (frame.hasPointerCapture(event.pointerId)) follow(event); });
  byId("slider").replaceChildren(
    el("div", { class: "dialog-head" }, chooser(0, "left"), el("button", { onclick: () => { pair.reverse(); openSlider(...pair); }, "aria-label": "Swap left and right" }, "⇄"), chooser(1, "right"),
      el("button", { class: "close", "aria-label": "Close", onclick: () => byId("slider").close() }, "✕")),
    el("div", { class: "dialog-body" },
      el("div", { class: "stage compare" }, el("div", { class: "room" }, frame), divider, el("p", { class: "quiet" }, el("kbd", {}, "←"), " ", el("kbd", {}, "→"), " move the divider, ", el("kbd", {}, "F"), " flips, ", el("kbd", {}, "N"), " ", el("kbd", {}, "P"), " next and previous run at the right")),
      el("div", { class: "facts" }, el("div", { class: "strip" }, sourceFigures([...left.run.sources, ...right.run.sources])), differences(left, right))));
  moveDivider();
}

function sliderPicture(unit, side) {
  const image = el("img", { src: unit.run.link, alt: `${side}: ${label(unit)}`, class: side, draggable: "false" });
  image.addEventListener("error", () => { if (unit.run.thumb) image.src = unit.run.thumb; }, { once: true });
  image.addEventListener("load", () => image.closest(".frame")?.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight));
  return image;
}

function moveDivider() {
  byId("slider").querySelector(".frame").style.setProperty("--at", `${byId("divider").value}%`);
}

function follow(event) {
  const { left, width } = event.currentTarget.getBoundingClientRect();
  byId("divider").value = String(((event.clientX - left) / width) * 100);
  moveDivider();
}

// The settings in which the two differ; all of them if they differ in none.
function differing() {
  const [left, right] = pair;
  const found = settings().filter((setting) => valueOf(left, setting) !== valueOf(right, setting));
  return found.length ? found : settings();
}

function chooser(side, name) {
  const options = view.units.concat(pair.filter((unit) => !view.units.includes(unit)));
  return select(name, options.map((unit) => [unit.run.name, label(unit)]), pair[side].run.name, (value) => {
    pair[side] = options.find((unit) => unit.run.name === value);
    openSlider(...pair);
  });
}

function differences(left, right) {
  const lines = settings().filter((setting) => valueOf(left, setting) !== valueOf(right, setting))
    .map((setting) => el("tr", {}, el("th", { scope: "row" }, setting.key), el("td", {}, valueOf(left, setting).full), el("td", {}, valueOf(right, setting).full)));
  const numbers = DATA.measures.filter(({ key, kind }) => kind !== "loss" && (left.statistics.has(key) || right.statistics.has(key))).map(({ key, label: name, kind, better, hint }) => {
    const [p, q] = [mean(left, key), mean(right, key)];
    const ahead = p === null || q === null || kind !== "distance" || better === 0 || p === q ? null : (p - q) * better > 0 ? 0 : 1;
    return el("tr", { title: hint || null }, el("th", { scope: "row" }, name), [left, right].map((unit, side) => el("td", { class: ahead === side ? "figure ahead" : "figure" }, shown(unit, key))));
  });
  const head = el("tr", {}, el("td", {}), el("th", { scope: "col" }, "left"), el("th", { scope: "col" }, "right"));
  return el("table", { class: "differences" }, el("thead", {}, head), el("tbody", {}, lines.length ? lines : el("tr", {}, el("td", { colspan: 3, class: "quiet" }, "the same settings"))), el("tbody", {}, numbers));
}

function stepRight(by) {
  const order = [...view.units].filter((unit) => unit.run.thumb && unit !== pair[0]);
  const at = order.indexOf(pair[1]);
  const position = byId("divider").value;
  pair[1] = order[(at + by + order.length) % order.length];
  openSlider(...pair);
  byId("divider").value = position;
  moveDivider();
}
