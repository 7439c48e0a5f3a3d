// Spans of pixels: discs and strokes of a brush, polygons, connected areas, classes.
//
// Spans are flat numbers y, from, to (to is exclusive), inside the image. A disc of an odd size lies around a pixel's
// centre, one of an even size around a pixel's corner, so every size from 1 up covers whole pixels and looks the same everywhere.

/** @import { Point } from "../shared/types.d.ts" */

/** @typedef {{ top: number, from: Int32Array, to: Int32Array }} Disc */

/** @type {Map<number, Disc>} */
const discs = new Map();

/** Return {top, from, to}: the disc's rows below the anchor's row and, in each, the columns relative to the anchor. @param {number} size */
export function disc(size) {
  const known = discs.get(size);
  if (known) return known;
  const odd = size % 2;
  const top = odd ? -(size - 1) / 2 : -size / 2;
  const made = { top, from: new Int32Array(size), to: new Int32Array(size) };
  for (let row = 0; row < size; row += 1) {
    const doubled = 2 * (top + row) + (odd ? 0 : 1); // twice the distance of the row's centre
    const reach = Math.sqrt(size * size - doubled * doubled);
    const columns = odd ? Math.floor(reach / 2) : Math.floor((reach - 1) / 2);
    made.from[row] = odd ? -columns : -columns - 1;
    made.to[row] = columns + 1;
  }
  discs.set(size, made);
  return made;
}

/**
 * Return the pixel or corner that a disc of this size is laid around, for a position in image pixels.
 *
 * @param {number} position
 * @param {number} size
 */
export function anchor(position, size) {
  return size % 2 ? Math.floor(position) : Math.round(position);
}

/**
 * Return the spans of all discs from one anchor to another, both [x, y] and included; one span a row.
 *
 * @param {Point} from
 * @param {Point} to
 * @param {number} size
 * @param {number} width
 * @param {number} height
 */
export function strokeSpans([x0, y0], [x1, y1], size, width, height) {
  const { top, from, to } = disc(size);
  const first = Math.max(0, Math.min(y0, y1) + top);
  const last = Math.min(height, Math.max(y0, y1) + top + size);
  if (first >= last) return [];
  const left = new Int32Array(last - first).fill(width);
  const right = new Int32Array(last - first);
  walk(x0, y0, x1, y1, (x, y) => {
    // neighbouring discs of a walk touch in every row, so the outermost columns suffice
    for (let row = Math.max(0, first - y - top); row < size && y + top + row < last; row += 1) {
      const place = y + top + row - first;
      if (x + from[row] < left[place]) left[place] = x + from[row];
      if (x + to[row] > right[place]) right[place] = x + to[row];
    }
  });
  const spans = [];
  for (let row = 0; row < left.length; row += 1) {
    const start = Math.max(0, left[row]);
    const end = Math.min(width, right[row]);
    if (start < end) spans.push(first + row, start, end);
  }
  return spans;
}

/**
 * Visit the whole-numbered points of a line, both ends included, in steps of one at most (Bresenham).
 *
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 * @param {(x: number, y: number) => void} visit
 */
function walk(x0, y0, x1, y1, visit) {
  const dx = Math.abs(x1 - x0);
  const dy = -Math.abs(y1 - y0);
  const stepX = Math.sign(x1 - x0);
  const stepY = Math.sign(y1 - y0);
  let error = dx + dy;
  let x = x0;
  let y = y0;
  for (;;) {
    visit(x, y);
    if (x === x1 && y === y1) return;
    const twice = 2 * error;
    if (twice >= dy) {
      error += dy;
      x += stepX;
    }
    if (twice <= dx) {
      error += dx;
      y += stepY;
    }
  }
}

/**
 * Return the spans of the pixels whose centres lie inside a polygon of [x, y] corners (even-odd where it crosses itself).
 *
 * @param {Point[]} points
 * @param {number} width
 * @param {number} height
 */
export function polygonSpans(points, width, height) {
  /** @type {number[]} */
  const spans = [];
  if (points.length < 3) return spans;
  const ys = points.map(([, y]) => y);
  const first = Math.max(0, Math.floor(Math.min(...ys)));
  const last = Math.min(height, Math.ceil(Math.max(...ys)));
  for (let y = first; y < last; y += 1) {
    const crossings = crossingsAt(points, y + 0.5);
    for (let index = 0; index + 1 < crossings.length; index += 2) {
      const from = Math.max(0, Math.ceil(crossings[index] - 0.5));
      const to = Math.min(width, Math.ceil(crossings[index + 1] - 0.5));
      if (from < to) spans.push(y, from, to);
    }
  }
  return spans;
}

/** @param {Point[]} points @param {number} y */
function crossingsAt(points, y) {
  const found = [];
  let [x0, y0] = points[points.length - 1];
  for (const [x1, y1] of points) {
    if (y0 <= y !== y1 <= y) found.push(y0 < y1 ? cut(x0, y0, x1, y1, y) : cut(x1, y1, x0, y0, y)); // one rounding for both polygons of an edge
    [x0, y0] = [x1, y1];
  }
  return found.sort((a, b) => a - b);
}

/** @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 @param {number} y */
function cut(x0, y0, x1, y1, y) {
  return x0 + ((y - y0) / (y1 - y0)) * (x1 - x0);
}

/**
 * Return the spans of the pixels connected to (x, y) over pixels for which `inside(index)` holds; over the corners too when
 * `diagonal`. Nothing where it does not hold at (x, y) itself.
 *
 * @param {(place: number) => boolean} inside
 * @param {number} width
 * @param {number} height
 * @param {number} x
 * @param {number} y
 * @param {{ diagonal?: boolean }} [options]
 */
export function connectedSpans(inside, width, height, x, y, { diagonal = false } = {}) {
  const seen = new Uint8Array(width * height);
  const reach = diagonal ? 1 : 0;
  const spans = [];
  const waiting = [x, y];
  while (waiting.length) {
    const row = /** @type {number} */ (waiting.pop());
    const column = /** @type {number} */ (waiting.pop());
    const base = row * width;
    if (seen[base + column] || !inside(base + column)) continue;
    let from = column;
    let to = column + 1;
    while (from > 0 && inside(base + from - 1)) from -= 1;
    while (to < width && inside(base + to)) to += 1;
    seen.fill(1, base + from, base + to);
    spans.push(row, from, to);
    for (const near of [row - 1, row + 1]) {
      if (near < 0 || near >= height) continue;
      const end = Math.min(width, to + reach);
      let open = false;
      for (let place = Math.max(0, from - reach); place < end; place += 1) {
        const wanted = !seen[near * width + place] && inside(near * width + place);
        if (wanted && !open) waiting.push(place, near);
        open = wanted;
      }
    }
  }
  return spans;
}

/**
 * Return the spans of all pixels for which `inside(index)` holds.
 *
 * @param {(place: number) => boolean} inside
 * @param {number} width
 * @param {number} height
 */
export function spansWhere(inside, width, height) {
  const spans = [];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!inside(y * width + x)) continue;
      const from = x;
      while (x < width && inside(y * width + x)) x += 1;
      spans.push(y, from, x);
    }
  }
  return spans;
}

/** Return the spans of a region as the server writes it: y, x, length, y, x, length ... @param {number[]} runs */
export function spansOfRuns(runs) {
  const spans = [];
  for (let index = 0; index < runs.length; index += 3) spans.push(runs[index], runs[index + 1], runs[index + 1] + runs[index + 2]);
  return spans;
}

/** @param {number[]} spans */
export function areaOf(spans) {
  let area = 0;
  for (let index = 0; index < spans.length; index += 3) area += spans[index + 2] - spans[index + 1];
  return area;
}

/** Return spans that do not overlap as runs: top to bottom, then left to right. @param {number[]} spans */
export function runsOf(spans) {
  const runs = [];
  for (let index = 0; index < spans.length; index += 3) runs.push([spans[index], spans[index + 1], spans[index + 2] - spans[index + 1]]);
  return runs.sort((a, b) => a[0] - b[0] || a[1] - b[1]).flat();
}
