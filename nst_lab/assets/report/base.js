"use strict";
// The data of the page, its state, and what every view makes its elements and numbers with.
// Texts of the runs become text nodes and attribute values, never markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const CONTENT = "content", STYLE = "style", LOSS = "total_loss";

function byId(id) {
  return document.getElementById(id);
}

// An element with attributes (on… are listeners, null and false are left out) and children, texts among them.
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// A field with its label above it; options are [value, text, title]; `name` is the label in full.
function select(label, options, chosen, change, name = label) {
  const choices = options.map(([value, text, title]) =>
    el("option", { value, title: title || null, selected: value === chosen }, text));
  const input = el("select", { "aria-label": name, onchange: () => change(input.value) }, choices);
  return el("label", { class: "field", title: name }, el("span", {}, label), input);
}

function checkbox(label, checked, change) {
  const input = el("input", { type: "checkbox", checked, "aria-label": label, onchange: () => change(input.checked) });
  return el("label", { class: "field check" }, input, el("span", {}, label));
}

function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return value.toExponential(2);
  if (Number.isInteger(value)) return String(value);
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(3);
}

function withSpread({ mean, spread }) {
  return spread === null ? number(mean) : `${number(mean)} ± ${Number(spread.toPrecision(2))}`;
}

// What is shown, and what the address says, so that a view can be kept, shared and reloaded.
const DEFAULTS = {
  tab: "matrix", rows: "", columns: "", fold: true, size: 0, caption: "", sort: STYLE, down: false, bound: null,
  x: CONTENT, y: STYLE, logx: false, logy: false, color: "", places: "", run: null, pair: null,
};
const state = { ...DEFAULTS, filters: {} };

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [key, value] of given) {
    if (key.startsWith("only.")) state.filters[key.slice(5)] = Number(value);
    else if (!(key in DEFAULTS)) continue;
    else if (typeof DEFAULTS[key] === "boolean") state[key] = value === "true";
    else if (key === "bound") state.bound = value === "" ? null : Number(value);
    else state[key] = key === "size" ? Number(value) : value;
  }
}

function writeAddress() {
  const kept = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (key in DEFAULTS && value !== initial[key]) kept.set(key, value ?? "");
  }
  for (const [key, value] of Object.entries(state.filters)) kept.set(`only.${key}`, value);
  history.replaceState(null, "", `#${kept}`);
}
