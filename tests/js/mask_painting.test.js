import assert from "node:assert/strict";
import { test } from "node:test";

import { TILE, merge } from "../../app/components/mask_editor/grid.js";
import { Painting } from "../../app/components/mask_editor/painting.js";
import { edgePixels, fillPixels, tableOf, withEdges } from "../../app/components/mask_editor/palette.js";
import { anchor, areaOf, connectedSpans, disc, polygonSpans, runsOf, spansOfRuns, strokeSpans } from "../../app/components/mask_editor/spans.js";
import { seeded } from "./fakes.js";

function drawn(spans, width, height) {
  const map = new Uint8Array(width * height);
  for (let index = 0; index < spans.length; index += 3) {
    const [y, from, to] = spans.slice(index, index + 3);
    assert.ok(y >= 0 && y < height && from >= 0 && from < to && to <= width, "spans lie inside the image");
    for (let x = from; x < to; x += 1) map[y * width + x] += 1;
  }
  return map;
}

function rows(map, width) {
  return Array.from({ length: map.length / width }, (_, y) => [...map.slice(y * width, (y + 1) * width)].map((v) => ".#"[v] ?? v).join(""));
}

function painting(labels, width, over = {}) {
  const map = Uint8Array.from(labels);
  return new Painting({ labels: map, given: map.slice(), predicted: map.slice(), width, height: map.length / width, ignore: 255, ...over });
}

test("discs are whole, symmetric and as wide as their size", () => {
  const shape = (size) => rows(drawn(strokeSpans([6, 6], [6, 6], size, 13, 13), 13, 13), 13).filter((row) => row.includes("#")).map((row) => row.replaceAll(".", " ").trim());
  assert.deepEqual(shape(1), ["#"]);
  assert.deepEqual(shape(2), ["##", "##"]);
  assert.deepEqual(shape(5), ["###", "#####", "#####", "#####", "###"]);
  for (let size = 1; size <= 120; size += 1) {
    const { from, to, top } = disc(size);
    assert.equal(Math.max(...to) - Math.min(...from), size);
    assert.deepEqual([...from], [...from].reverse());
    assert.equal(top, -Math.floor(size / 2));
    for (let row = 0; row < size; row += 1) {
      const half = size % 2 ? 0 : 0.5;
      for (let x = -size; x <= size; x += 1) {
        const within = (x + half) ** 2 + (top + row + half) ** 2 <= (size / 2) ** 2;
        assert.equal(x >= from[row] && x < to[row], within, `size ${size}`);
      }
    }
  }
});

test("an odd brush holds on to pixels, an even one to corners", () => {
  assert.deepEqual([anchor(4.9, 3), anchor(4.9, 4), anchor(4.2, 4)], [4, 5, 4]);
});

test("a stroke is all its discs and nothing else, in any direction, clipped at the edges", () => {
  const random = seeded(7);
  const [width, height] = [70, 50];
  for (let turn = 0; turn < 300; turn += 1) {
    const [a, b] = [[random(100) - 15, random(80) - 15], [random(100) - 15, random(80) - 15]];
    const size = 1 + random(24);
    const expected = new Uint8Array(width * height);
    const steps = Math.max(Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]));
    const { top, from, to } = disc(size);
    const points = lineOf(a, b);
    assert.equal(points.length, steps + 1);
    for (const [x, y] of points) {
      for (let row = 0; row < size; row += 1) {
        for (let column = x + from[row]; column < x + to[row]; column += 1) {
          const line = y + top + row;
          if (column >= 0 && column < width && line >= 0 && line < height) expected[line * width + column] = 1;
        }
      }
    }
    assert.deepEqual(drawn(strokeSpans(a, b, size, width, height), width, height), expected);
  }
});

/** Bresenham's line once more, by its other form. */
function lineOf([x0, y0], [x1, y1]) {
  const points = [];
  const [dx, dy] = [Math.abs(x1 - x0), Math.abs(y1 - y0)];
  let [x, y, error] = [x0, y0, dx - dy];
  for (;;) {
    points.push([x, y]);
    if (x === x1 && y === y1) return points;
    const twice = 2 * error;
    if (twice > -dy - 0.5) [error, x] = [error - dy, x + Math.sign(x1 - x0)];
    if (twice < dx + 0.5) [error, y] = [error + dx, y + Math.sign(y1 - y0)];
  }
}

test("a polygon covers the pixels whose centres it holds", () => {
  const square = [[1, 1], [4, 1], [4, 3], [1, 3]];
  assert.deepEqual(rows(drawn(polygonSpans(square, 6, 4), 6, 4), 6), ["......", ".###..", ".###..", "......"]);
  const crossed = [[0, 0], [8, 0], [0, 4], [8, 4]];
  assert.deepEqual(rows(drawn(polygonSpans(crossed, 8, 4), 8, 4), 8), [".######.", "...##...", "...##...", ".######."]);
  assert.deepEqual(polygonSpans([[0, 0], [5, 5]], 6, 6), []);
});

test("polygons that share an edge neither overlap nor leave a gap", () => {
  const random = seeded(11);
  for (let turn = 0; turn < 100; turn += 1) {
    const corner = () => [random(400) / 10, random(300) / 10];
    const [a, b] = [corner(), corner()];
    const left = polygonSpans([[-1, -1], a, b, [-1, 31]], 40, 30);
    const right = polygonSpans([a, [-1, -1], [41, -1], [41, 31], [-1, 31], b], 40, 30);
    const whole = new Uint8Array(1200);
    for (const part of [left, right]) drawn(part, 40, 30).forEach((value, place) => { whole[place] ^= value; });
    assert.ok(whole.every((value) => value === 1));
  }
});

test("connected pixels are found over edges, and over corners with `diagonal`", () => {
  const map = Uint8Array.from([1, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0]);
  const inside = (place) => map[place] === 1;
  const found = (options) => rows(drawn(connectedSpans(inside, 4, 3, 1, 1, options), 4, 3), 4);
  assert.deepEqual(found(), ["....", ".#..", "##.."]);
  assert.deepEqual(found({ diagonal: true }), ["#...", ".#..", "##.."]);
  assert.deepEqual(connectedSpans(inside, 4, 3, 1, 0), []);
});

test("connected areas agree with a flood pixel by pixel", () => {
  const random = seeded(3);
  const [width, height] = [40, 30];
  for (let turn = 0; turn < 60; turn += 1) {
    const map = Uint8Array.from({ length: width * height }, () => (random(10) < 6 ? 1 : 0));
    const [x, y] = [random(width), random(height)];
    for (const diagonal of [false, true]) {
      const expected = new Uint8Array(width * height);
      const waiting = [[x, y]];
      while (waiting.length) {
        const [column, row] = waiting.pop();
        const place = row * width + column;
        if (column < 0 || row < 0 || column >= width || row >= height || !map[place] || expected[place]) continue;
        expected[place] = 1;
        for (const dy of [-1, 0, 1]) for (const dx of [-1, 0, 1]) if (diagonal || !dx || !dy) waiting.push([column + dx, row + dy]);
      }
      assert.deepEqual(drawn(connectedSpans((at) => map[at] === 1, width, height, x, y, { diagonal }), width, height), expected);
    }
  }
});

test("a flood of a large image with many turns ends", () => {
  const [width, height] = [2048, 1024];
  const spans = connectedSpans((place) => (place % width) % 2 === 0 || Math.floor(place / width) === 0, width, height, 0, 0);
  assert.equal(areaOf(spans), (width * height) / 2 + width / 2);
});

test("regions come as runs, and spans convert to runs", () => {
  assert.deepEqual(spansOfRuns([2, 1, 3]), [2, 1, 4]);
  assert.deepEqual(runsOf([2, 5, 6, 2, 1, 4, 0, 3, 9]), [0, 3, 6, 2, 1, 3, 2, 5, 1]);
});

test("painting changes what is unprotected and says where", () => {
  const map = painting([0, 1, 2, 0, 1, 2], 3);
  map.locked[1] = 1;
  map.begin();
  assert.deepEqual(map.paint([0, 0, 3], 2), { x: 0, y: 0, width: 1, height: 1 });
  assert.equal(map.paint([0, 1, 3], 2), null);
  assert.deepEqual(map.paint([1, 0, 2], 255, { force: true }), { x: 0, y: 1, width: 2, height: 1 });
  map.end();
  assert.deepEqual([...map.labels], [2, 1, 2, 255, 255, 2]);
});

test("a suggestion is taken where the mask and the suggestion are each one class", () => {
  const map = painting([0, 0, 1, 1, 0, 2], 6, { predicted: Uint8Array.from([3, 3, 3, 0, 0, 0]) });
  assert.deepEqual(map.suggestedAt(0, 0), [0, 0, 2]);
  assert.deepEqual(map.suggestedAt(0, 0, { whole: true }), [0, 0, 3]);
  assert.deepEqual(map.suggestedAt(4, 0), []);
  map.begin();
  map.paint([0, 0, 4], map.predicted);
  assert.equal(map.end(), true);
  assert.deepEqual([...map.labels], [3, 3, 3, 0, 0, 2]);
});

test("a class is replaced in the whole image or within a region", () => {
  const map = painting([1, 0, 1, 1, 1, 0], 3);
  assert.equal(areaOf(map.pixelsOf(1)), 4);
  assert.deepEqual(map.pixelsOf(1, [1, 0, 3]), [1, 0, 1, 1, 1, 2]);
});

test("undo and redo bring every pixel back, over any number of acts", () => {
  const random = seeded(5);
  const [width, height] = [200, 150];
  const map = painting(new Uint8Array(width * height), width);
  const states = [map.labels.slice()];
  for (let turn = 0; turn < 30; turn += 1) {
    map.begin();
    for (let part = 0; part < 4; part += 1) {
      map.paint(strokeSpans([random(width), random(height)], [random(width), random(height)], 1 + random(30), width, height), 1 + random(6));
    }
    if (map.end()) states.push(map.labels.slice());
  }
  for (let at = states.length - 2; at >= 0; at -= 1) {
    assert.ok(map.undo().box);
    assert.deepEqual(map.labels, states[at]);
  }
  assert.equal(map.undo(), null);
  for (let at = 1; at < states.length; at += 1) {
    map.redo();
    assert.deepEqual(map.labels, states[at]);
  }
  assert.equal(map.redo(), null);
});

test("an act that changes nothing is none, one with a note is, and a new act ends what could be redone", () => {
  const map = painting([1, 1], 2);
  map.begin();
  map.paint([0, 0, 2], 1);
  assert.equal(map.end(), false);
  map.begin({ finding: 4 });
  assert.equal(map.end(), true);
  assert.deepEqual(map.undo(), { box: null, note: { finding: 4 } });
  map.begin();
  map.paint([0, 0, 1], 3);
  map.end();
  assert.equal(map.redo(), null);
});

test("another annotator's pixels stay when the own act is undone", () => {
  const map = painting(new Uint8Array(80 * 80), 80);
  map.begin();
  map.paint([0, 0, 3, 70, 70, 72], 4);
  map.end();
  const theirs = map.labels.slice();
  theirs[5] = 7;
  map.begin(); // a stroke is being drawn just then
  map.paint([0, 8, 9], 4);
  theirs[8] = 4;
  const { tiles, before } = merge(map, theirs);
  assert.deepEqual([...tiles.keys()], [0]);
  map.adopt(tiles);
  map.changes.rebase(before);
  map.end();
  map.undo();
  map.undo();
  assert.deepEqual([...map.labels.slice(0, 9)], [0, 0, 0, 0, 0, 7, 0, 0, 0]);
  map.redo();
  map.redo();
  assert.deepEqual(map.labels, theirs);
});

test("a whole map is taken over as one act", () => {
  const map = painting([1, 2, 3, 4], 2);
  map.locked[1] = 1;
  assert.equal(map.replace(map.tilesOf(Uint8Array.from([5, 2, 3, 6]))), true);
  assert.deepEqual([...map.labels], [5, 2, 3, 6]);
  map.undo();
  assert.deepEqual([...map.labels], [1, 2, 3, 4]);
});

test("only touched tiles are kept, and the oldest acts go when it gets too much", () => {
  const side = TILE * 4;
  const map = painting(new Uint8Array(side * side), side);
  map.history.mostBytes = 3 * TILE * TILE;
  for (let turn = 1; turn <= 5; turn += 1) {
    map.begin();
    map.paint([0, 0, 1], turn);
    map.end();
  }
  assert.equal(map.history.bytes, 3 * TILE * TILE);
  assert.equal(map.history.undos.length, 3);
});

test("labels of two bytes are painted and taken back too", () => {
  const labels = Uint16Array.from([300, 65_535, 2, 2]);
  const map = new Painting({ labels, given: labels.slice(), predicted: labels.slice(), width: 2, height: 2, ignore: 65_535 });
  map.locked[65_535] = 1;
  map.begin();
  map.paint([0, 0, 2, 1, 0, 1], 400);
  map.end();
  assert.deepEqual([...labels], [400, 65_535, 400, 2]);
  map.undo();
  assert.deepEqual([...labels], [300, 65_535, 2, 2]);
});

test("pixels get their class's colour, unlabelled ones none", () => {
  const table = tableOf(["#ff8000", "#010203"], 255);
  const pixels = new Uint32Array(2);
  fillPixels(pixels, Uint8Array.from([9, 9, 0, 255]), 2, { x: 0, y: 1, width: 2, height: 1 }, table);
  assert.deepEqual([...new Uint8Array(pixels.buffer)], [255, 128, 0, 255, 0, 0, 0, 0]);
});

test("edges lie where a class ends", () => {
  const table = tableOf(["#ff0000", "#00ff00"], 255);
  const labels = Uint8Array.from([0, 0, 1, 0, 0, 1, 255, 1, 1]);
  const pixels = new Uint32Array(9);
  edgePixels(pixels, labels, 3, 3, { x: 0, y: 0, width: 3, height: 3 }, table);
  assert.deepEqual([...pixels].map((value) => (value ? 1 : 0)), [0, 1, 0, 1, 1, 0, 1, 0, 0]);
  assert.deepEqual(withEdges({ x: 0, y: 3, width: 2, height: 2 }), { x: 0, y: 2, width: 2, height: 3 });
  const thick = new Uint32Array(4);
  edgePixels(thick, Uint8Array.from([0, 0, 0, 1]), 4, 1, { x: 0, y: 0, width: 4, height: 1 }, table, 2);
  assert.deepEqual([...thick].map((value) => (value ? 1 : 0)), [0, 1, 1, 0]);
  assert.deepEqual(withEdges({ x: 9, y: 1, width: 2, height: 2 }, 3), { x: 6, y: 0, width: 5, height: 3 });
});

test("a merged class is the one it means now in the mask, in what was given and in all that undo brings back", () => {
  const painting = new Painting({ labels: Uint8Array.from([0, 1, 2, 255]), given: 255, predicted: Uint8Array.from([1, 1, 0, 0]), width: 4, height: 1, ignore: 255 });
  painting.begin();
  painting.paint([0, 0, 2], 2);
  painting.end();
  painting.exchange([[1, 3], [2, 0]]);
  assert.deepEqual([[...painting.labels], [...painting.predicted], painting.given], [[0, 0, 0, 255], [3, 3, 0, 0], 255]);
  assert.deepEqual([...painting.changes.record().values()].map(({ before }) => [...before]), [[0, 3, 0, 255]]);
  painting.undo();
  assert.deepEqual([...painting.labels], [0, 3, 0, 255]);
});
