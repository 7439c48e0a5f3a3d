// SVG paths of a region from its runs: the outline along the edges of pixels, and the area.
//
// Runs are flat: y, x, length, y, x, length, ... top to bottom, as the server sends them.

/** @typedef {[from: number, to: number]} Interval */

/** Return the runs as {y, from, to} with `to` behind the last pixel. @param {number[]} flat */
function readRuns(flat) {
  const runs = [];
  for (let at = 0; at + 2 < flat.length; at += 3) runs.push({ y: flat[at], from: flat[at + 1], to: flat[at + 1] + flat[at + 2] });
  return runs;
}

/** Return the area as closed rectangles, one a run. @param {number[]} flat */
export function areaPath(flat) {
  return readRuns(flat).map(({ y, from, to }) => `M${from} ${y}h${to - from}v1h${from - to}z`).join("");
}

/** Return the outline as straight strokes between pixels, neighbouring ones joined. @param {number[]} flat */
export function outlinePath(flat) {
  /** @type {Map<number, Interval[]>} */
  const rows = new Map();
  for (const { y, from, to } of readRuns(flat)) rows.set(y, [...(rows.get(y) ?? []), [from, to]]);
  /** @type {string[]} */
  const strokes = [];
  for (const [y, runs] of rows) {
    for (const [from, to] of subtractIntervals(runs, rows.get(y - 1))) strokes.push(`M${from} ${y}h${to - from}`);
    for (const [from, to] of subtractIntervals(runs, rows.get(y + 1))) strokes.push(`M${from} ${y + 1}h${to - from}`);
  }
  return strokes.join("") + sides(rows);
}

/** Return the parts of the sorted intervals that no other interval covers. @param {Interval[]} intervals @param {Interval[]} [others] */
function subtractIntervals(intervals, others = []) {
  /** @type {Interval[]} */
  const left = [];
  for (const [from, to] of intervals) {
    let at = from;
    for (const [start, end] of others) {
      if (end <= at || start >= to) continue;
      if (start > at) left.push([at, start]);
      at = Math.max(at, end);
    }
    if (at < to) left.push([at, to]);
  }
  return left;
}

/** @param {Map<number, Interval[]>} rows */
function sides(rows) {
  /** @type {Map<number, Interval>} */
  const open = new Map(); // x -> [first row, row behind the last]
  /** @type {string[]} */
  const strokes = [];
  /** @param {number} x @param {Interval} rows */
  const close = (x, [from, to]) => strokes.push(`M${x} ${from}v${to - from}`);
  for (const y of [...rows.keys()].sort((a, b) => a - b)) {
    for (const x of (rows.get(y) ?? []).flat()) {
      const stroke = open.get(x);
      if (stroke?.[1] === y) stroke[1] = y + 1;
      else {
        if (stroke) close(x, stroke);
        open.set(x, [y, y + 1]);
      }
    }
  }
  for (const [x, stroke] of open) close(x, stroke);
  return strokes.join("");
}
