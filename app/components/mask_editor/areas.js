// Areas as spans (see discs.js): inside a polygon, connected to a pixel, of a class.

/** Return the spans of the pixels whose centres lie inside a polygon of [x, y] corners (even-odd where it crosses itself). */
export function polygonSpans(points, width, height) {
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

function crossingsAt(points, y) {
  const found = [];
  let [x0, y0] = points.at(-1);
  for (const [x1, y1] of points) {
    if (y0 <= y !== y1 <= y) found.push(y0 < y1 ? cut(x0, y0, x1, y1, y) : cut(x1, y1, x0, y0, y)); // one rounding for both who share it
    [x0, y0] = [x1, y1];
  }
  return found.sort((one, other) => one - other);
}

function cut(x0, y0, x1, y1, y) {
  return x0 + ((y - y0) / (y1 - y0)) * (x1 - x0);
}

/**
 * Return the spans of the pixels connected to (x, y) over pixels for which `inside(index)` holds; over the corners too when
 * `diagonal`. Nothing where it does not hold at (x, y) itself.
 */
export function connectedSpans(inside, width, height, x, y, { diagonal = false } = {}) {
  const seen = new Uint8Array(width * height);
  const reach = diagonal ? 1 : 0;
  const spans = [];
  const waiting = [x, y];
  while (waiting.length) {
    const row = waiting.pop();
    const column = waiting.pop();
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

/** Return the spans of all pixels for which `inside(index)` holds. */
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

/** Return the spans of a region as the server writes it: y, x, length, y, x, length ... */
export function spansOfRuns(runs) {
  const spans = [];
  for (let index = 0; index < runs.length; index += 3) spans.push(runs[index], runs[index + 1], runs[index + 1] + runs[index + 2]);
  return spans;
}

export function areaOf(spans) {
  let area = 0;
  for (let index = 0; index < spans.length; index += 3) area += spans[index + 2] - spans[index + 1];
  return area;
}

/** Return spans that do not overlap as runs: top to bottom, then left to right. */
export function runsOf(spans) {
  const runs = [];
  for (let index = 0; index < spans.length; index += 3) runs.push([spans[index], spans[index + 1], spans[index + 2] - spans[index + 1]]);
  return runs.sort((one, other) => one[0] - other[0] || one[1] - other[1]).flat();
}
