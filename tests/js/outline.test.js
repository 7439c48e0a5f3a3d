import assert from "node:assert/strict";
import { test } from "node:test";

import { areaPath, outlinePath } from "../../app/components/shared/regions.js";

/** Return the unit steps an outline is made of, as "x,y-x,y", sorted. */
function steps(path) {
  const found = [];
  for (const [, x, y, way, length] of path.matchAll(/M(\d+) (\d+)([hv])(\d+)/g)) {
    for (let at = 0; at < Number(length); at += 1) {
      const [left, top] = way === "h" ? [Number(x) + at, Number(y)] : [Number(x), Number(y) + at];
      found.push(way === "h" ? `${left},${top}-${left + 1},${top}` : `${left},${top}-${left},${top + 1}`);
    }
  }
  return found.sort();
}

/** Return the edges between a pixel that is in and one that is out: what an outline must be. */
function edges(runs) {
  const inside = new Set();
  for (let at = 0; at < runs.length; at += 3) for (let x = 0; x < runs[at + 2]; x += 1) inside.add(`${runs[at + 1] + x},${runs[at]}`);
  const found = [];
  for (const pixel of inside) {
    const [x, y] = pixel.split(",").map(Number);
    if (!inside.has(`${x},${y - 1}`)) found.push(`${x},${y}-${x + 1},${y}`);
    if (!inside.has(`${x},${y + 1}`)) found.push(`${x},${y + 1}-${x + 1},${y + 1}`);
    if (!inside.has(`${x - 1},${y}`)) found.push(`${x},${y}-${x},${y + 1}`);
    if (!inside.has(`${x + 1},${y}`)) found.push(`${x + 1},${y}-${x + 1},${y + 1}`);
  }
  return found.sort();
}

test("the outline of a rectangle is its four sides, each one stroke", () => {
  const path = outlinePath([2, 1, 3, 3, 1, 3]);
  assert.deepEqual(path.match(/M[^M]+/g).sort(), ["M1 2h3", "M1 2v2", "M1 4h3", "M4 2v2"]);
});

test("the outline runs along every edge between in and out, once", () => {
  const shapes = [
    [0, 0, 1],
    [0, 2, 2, 1, 0, 6, 2, 3, 1],
    [0, 0, 5, 1, 0, 1, 1, 4, 1, 2, 0, 5], // with a hole
    [0, 0, 2, 1, 2, 2, 2, 0, 2], // corners that touch
    [0, 0, 1, 0, 2, 1, 1, 0, 3], // two runs in a row
    [0, 3, 2, 5, 3, 2], // rows apart
  ];
  for (const runs of shapes) assert.deepEqual(steps(outlinePath(runs)), edges(runs), JSON.stringify(runs));
});

test("the area is one closed rectangle a run", () => {
  assert.equal(areaPath([4, 1, 3, 5, 0, 2]), "M1 4h3v1h-3zM0 5h2v1h-2z");
  assert.equal(areaPath([]) + outlinePath([]), "");
});
