"use strict";
// A unit is what is shown as one: a run, or repeats of it folded into mean and standard deviation. Which units the
// filters let through, which are on the Pareto frontier, which is the best.

const REPEATED = DATA.groups.some((group) => group.length > 1);
const MEASURES = new Map(DATA.measures.map((measure) => [measure.key, measure]));

function isFolded() {
  return REPEATED && state.fold;
}

// The settings that can be axes and filters: the seed only if repeats are not folded.
function settings() {
  return DATA.settings.filter((setting) => !(isFolded() && setting.key === DATA.repeat));
}

function place(setting) {
  return DATA.settings.indexOf(setting);
}

function settingOf(key) {
  return settings().find((setting) => setting.key === key) ?? null;
}

const made = new Map(); // folded or not -> units

function units() {
  if (!made.has(isFolded())) {
    const completed = DATA.groups.flatMap((group) => (isFolded() ? [group] : group.map((index) => [index])));
    const grouped = new Set(DATA.groups.flat());
    const others = [...DATA.runs.keys()].filter((index) => !grouped.has(index) && !DATA.runs[index].completed);
    made.set(isFolded(), [...completed, ...others.map((index) => [index])].map(makeUnit));
  }
  return made.get(isFolded());
}

function makeUnit(members) {
  const run = DATA.runs[members[0]];
  const statistics = new Map();
  for (const { key } of DATA.measures) {
    const values = members.map((index) => DATA.runs[index].measures[key]).filter((value) => value !== undefined);
    if (values.length === 0) continue;
    const same = values.every((value) => value === values[0]); // of equal values, rounding would leave a spread
    const mean = same ? values[0] : values.reduce((sum, value) => sum + value, 0) / values.length;
    const squares = same ? 0 : values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    statistics.set(key, { mean, spread: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : null });
  }
  return { members, run, statistics, completed: run.completed };
}

function mean(unit, key) {
  return unit.statistics.get(key)?.mean ?? null;
}

function shown(unit, key) {
  const statistic = unit.statistics.get(key);
  return statistic ? withSpread(statistic) : "–";
}

function valueOf(unit, setting) {
  return setting.values[unit.run.values[place(setting)]];
}

function visibleUnits() {
  const chosen = settings().filter(({ key }) => state.filters[key] !== undefined);
  const has = (unit, setting) => unit.run.values[place(setting)] === state.filters[setting.key];
  return units().filter((unit) => chosen.every((setting) => has(unit, setting)));
}

// "content_weight 1e6, init noise": the settings that tell a unit from the others, or those of `keys`.
function label(unit, among = settings()) {
  const parts = among.map((setting) => `${setting.short} ${valueOf(unit, setting).label}`);
  if (parts.length === 0) return unit.run.name;
  return parts.join(", ");
}

function isAcceptable(unit) {
  if (state.bound === null) return true;
  const content = mean(unit, CONTENT);
  return content !== null && content <= state.bound;
}

// No other unit has a lower content or style distance without a higher one of the other kind.
function frontier(among, x = CONTENT, y = STYLE) {
  const cost = (unit, key) => mean(unit, key) * (MEASURES.get(key)?.better === 1 ? -1 : 1);
  const both = among.filter((unit) => unit.completed && mean(unit, x) !== null && mean(unit, y) !== null);
  both.sort((a, b) => cost(a, x) - cost(b, x) || cost(a, y) - cost(b, y));
  let lowest = Infinity;
  return both.filter((unit) => cost(unit, y) < lowest && ((lowest = cost(unit, y)), true));
}

function bestUnit(among) {
  const candidates = among.filter((unit) => unit.completed && mean(unit, STYLE) !== null && isAcceptable(unit));
  return candidates.reduce((best, unit) => {
    const less = best && (mean(unit, STYLE) - mean(best, STYLE) || mean(unit, CONTENT) - mean(best, CONTENT));
    return best === null || less < 0 ? unit : best;
  }, null);
}

function sortedUnits(among, key, down) {
  const setting = settingOf(key);
  const better = MEASURES.get(key)?.better ?? -1;
  const rank = setting ? (unit) => unit.run.values[place(setting)] : (unit) => mean(unit, key);
  const sign = (setting || better !== 1 ? 1 : -1) * (down ? -1 : 1);
  return [...among].sort((a, b) => {
    const [p, q] = [rank(a), rank(b)];
    if (p === null || q === null) return (p === null) - (q === null);
    return sign * (p - q);
  });
}

// Rows and columns that fill a matrix best, the columns preferably numbers; none where runs are scattered.
function likelyAxes() {
  const several = settings().filter((setting) => setting.values.length > 1 && setting.values.length <= 40);
  let best = { rows: "", columns: "", score: 0 };
  for (const rows of several) {
    for (const columns of several) {
      if (rows === columns) continue;
      const cells = new Set(units().map(({ run }) => `${run.values[place(rows)]} ${run.values[place(columns)]}`));
      const full = cells.size / (rows.values.length * columns.values.length);
      if (full < 0.5) continue;
      const score = cells.size + (columns.numbers ? 0.5 : 0) - (rows.numbers ? 0.25 : 0) - 0.01 * columns.values.length;
      if (score > best.score) best = { rows: rows.key, columns: columns.key, score };
    }
  }
  return best;
}
