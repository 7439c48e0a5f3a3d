// What a brush covers: discs of whole pixels and strokes of them without gaps.
//
// Spans are flat numbers y, from, to (to is exclusive), inside the image. A disc of an odd size lies around a pixel's
// centre, one of an even size around a pixel's corner, so every size from 1 up covers whole pixels and looks the same everywhere.

const discs = new Map();

/** Return {top, from, to}: the disc's rows below the anchor's row and, in each, the columns relative to the anchor. */
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

/** Return the pixel or corner that a disc of this size is laid around, for a position in image pixels. */
export function anchor(position, size) {
  return size % 2 ? Math.floor(position) : Math.round(position);
}

/** Return the spans of all discs from one anchor to another, both [x, y] and included; one span a row. */
export function strokeSpans([x0, y0], [x1, y1], size, width, height) {
  const { top, from, to } = disc(size);
  const first = Math.max(0, Math.min(y0, y1) + top);
  const last = Math.min(height, Math.max(y0, y1) + top + size);
  if (first >= last) return [];
  const left = new Int32Array(last - first).fill(width);
  const right = new Int32Array(last - first);
  walk(x0, y0, x1, y1, (x, y) => {
    // neighbouring discs of a walk touch in every row, so the leftmost and the rightmost column say all
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

/** Visit the whole-numbered points of a line, both ends included, in steps of one at most (Bresenham). */
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
