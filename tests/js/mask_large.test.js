// Large masks: read from what the server keeps, compared by tiles, drawn as far as they are seen.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32, deflateSync } from "node:zlib";

import { readMask } from "../../app/components/mask_editor/api.js";
import { Grid, TILE } from "../../app/components/mask_editor/grid.js";
import { EDGE, levelOf, tilesInSight } from "../../app/components/mask_editor/mosaic.js";
import { Painting } from "../../app/components/mask_editor/painting.js";
import { edgePixels, fillPixels, tableOf, viewPixels } from "../../app/components/mask_editor/palette.js";
import { View } from "../../app/components/mask_editor/view.js";
import { seeded } from "./fakes.js";

function chunk(kind, data) {
  const named = Buffer.concat([Buffer.from(kind, "latin1"), data]);
  const around = (value) => { const four = Buffer.alloc(4); four.writeUInt32BE(value >>> 0); return four; };
  return Buffer.concat([around(data.length), named, around(crc32(named))]);
}

/** Write a grey PNG with the filter of each row taken in turn, its data in several pieces. */
function png(labels, width, height, size) {
  const big = Buffer.alloc(labels.length * size);
  labels.forEach((label, place) => (size === 2 ? big.writeUInt16BE(label, 2 * place) : big.writeUInt8(label, place)));
  const stride = width * size;
  const rows = [];
  for (let y = 0; y < height; y += 1) {
    const at = (row, x) => (row < 0 || x < 0 ? 0 : big[row * stride + x]);
    const filter = y % 5;
    const row = Buffer.alloc(1 + stride);
    row[0] = filter;
    for (let x = 0; x < stride; x += 1) {
      const [left, above, corner] = [at(y, x - size), at(y - 1, x), at(y - 1, x - size)];
      const guess = left + above - corner;
      const paeth = [left, above, corner].reduce((best, one) => (Math.abs(guess - one) < Math.abs(guess - best) ? one : best));
      row[1 + x] = at(y, x) - [0, left, above, (left + above) >> 1, paeth][filter];
    }
    rows.push(row);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8 * size;
  const packed = deflateSync(Buffer.concat(rows));
  const half = packed.length >> 1;
  return new Uint8Array(Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), chunk("IHDR", header), chunk("obND", Buffer.from("any")),
    chunk("IDAT", packed.subarray(0, half)), chunk("IDAT", packed.subarray(half)), chunk("IEND", Buffer.alloc(0)),
  ]));
}

test("a mask is read from a PNG of one or two bytes a pixel, whatever its rows are filtered with", async () => {
  const random = seeded(1);
  for (const [dtype, size, most] of [["uint8", 1, 256], ["uint16", 2, 65_536]]) {
    const [width, height] = [37, 23];
    const labels = (size === 1 ? Uint8Array : Uint16Array).from({ length: width * height }, () => random(most));
    const written = png(labels, width, height, size);
    assert.deepEqual(await readMask(written, { dtype, width, height }), labels);
    await assert.rejects(readMask(written, { dtype, width: height, height: width }), /not a mask of the image/);
    await assert.rejects(readMask(written, { dtype: size === 1 ? "uint16" : "uint8", width, height }), /not a mask/);
    await assert.rejects(readMask(written.subarray(0, written.length - 40), { dtype, width, height }));
  }
  await assert.rejects(readMask(Uint8Array.of(1, 2, 3), { dtype: "uint8", width: 1, height: 1 }), /damaged/);
});

test("the tiles in which two maps differ are found, at every edge, whatever the width", () => {
  const random = seeded(2);
  for (const [width, height, kind] of [[130, 70, Uint8Array], [131, 67, Uint8Array], [129, 3, Uint16Array]]) {
    const labels = kind.from({ length: width * height }, () => random(3));
    const grid = new Grid(labels, width, height);
    assert.deepEqual(grid.differing(labels.slice()), []);
    for (const [x, y] of [[0, 0], [width - 1, height - 1], [TILE, 0], [TILE - 1, height - 1], [random(width), random(height)]]) {
      const other = labels.slice();
      other[y * width + x] += 1;
      const tile = Math.floor(y / TILE) * Math.ceil(width / TILE) + Math.floor(x / TILE);
      assert.deepEqual(grid.differing(other), [tile]);
      grid.write(tile, grid.read(tile, other));
      assert.deepEqual(labels, other);
    }
  }
});

test("a window at one pixel a pixel shows the same as the whole image, wherever it lies", () => {
  const random = seeded(3);
  const [width, height, stride, rows] = [50, 40, 64, 48];
  const labels = Uint8Array.from({ length: width * height }, () => random(3));
  const table = tableOf(["#ff0000", "#00ff00", "#0000ff"], 255);
  const [whole, contours] = [new Uint32Array(width * height), new Uint32Array(width * height)];
  const box = { x: 0, y: 0, width, height };
  fillPixels(whole, labels, width, box, table);
  edgePixels(contours, labels, width, height, box, table);
  for (const [x, y] of [[0, 0], [7, 5], [-20, -13], [40, 30]]) {
    const [fill, edge] = [new Uint32Array(stride * rows).fill(9), new Uint32Array(stride * rows).fill(9)];
    viewPixels(fill, edge, { labels, width, height }, { x: 0, y: 0, width: stride, height: rows }, stride, { x, y, scale: 1 }, table);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < stride; column += 1) {
        const [at, line] = [column - x, row - y];
        const inside = at >= 0 && line >= 0 && at < width && line < height;
        assert.equal(fill[row * stride + column], inside ? whole[line * width + at] : 0);
        assert.equal(edge[row * stride + column], inside ? contours[line * width + at] : 0);
      }
    }
  }
});

test("a part of the window that is drawn anew is as the whole of it, at every zoom", () => {
  const random = seeded(4);
  const [width, height, stride, rows] = [200, 160, 90, 70];
  const labels = Uint8Array.from({ length: width * height }, (_, place) => Math.floor(place / 7) % 3);
  const table = tableOf(["#ff0000", "#00ff00", "#0000ff"], 255);
  for (const scale of [0.11, 1 / 3, 1, 3, 8]) {
    const view = { x: 20 - random(100), y: 20 - random(100), scale };
    const draw = (box, fill, edge) => viewPixels(fill, edge, { labels, width, height }, box, stride, view, table);
    const [fill, edge] = [new Uint32Array(stride * rows), new Uint32Array(stride * rows)];
    draw({ x: 0, y: 0, width: stride, height: rows }, fill, edge);
    const [again, edges] = [fill.slice(), edge.slice()];
    const [left, top] = [random(40), random(30)];
    for (let row = top; row < top + 20; row += 1) for (const map of [again, edges]) map.fill(9, row * stride + left, row * stride + left + 30);
    draw({ x: left, y: top, width: 30, height: 20 }, again, edges);
    assert.deepEqual([again, edges], [fill, edge]);
    const alone = new Uint32Array(stride * rows);
    draw({ x: 0, y: 0, width: stride, height: rows }, alone, null);
    assert.deepEqual(alone, fill);
  }
});

test("a contour of an image shown smaller is one pixel of the window", () => {
  const labels = Uint8Array.from({ length: 80 * 8 }, (_, place) => (place % 80 < 37 ? 0 : 1));
  const [fill, edge] = [new Uint32Array(10), new Uint32Array(10)];
  viewPixels(fill, edge, { labels, width: 80, height: 8 }, { x: 0, y: 0, width: 10, height: 1 }, 10, { x: 0, y: 0, scale: 1 / 8 }, tableOf(["#ff0000", "#00ff00"], 255));
  assert.deepEqual([...edge].map((value) => (value ? 1 : 0)), [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
});

test("a photo is loaded in tiles of the size it is shown at, only those in sight, the middle first", () => {
  assert.deepEqual([1, 0.6, 0.5, 0.3, 0.11, 0.01].map((scale) => levelOf(scale, 8192, 8192)), [0, 0, 1, 1, 3, 3]);
  assert.equal(levelOf(8, 8192, 8192), 0);
  const view = new View(8192, 4096);
  view.resize(800, 800, 1);
  assert.deepEqual(tilesInSight(view, 8192, 4096), []); // the picture of the whole is as good
  view.resize(1200, 800, 1);
  view.zoomTo(600, 400, 1);
  const seen = tilesInSight(view, 8192, 4096);
  assert.ok(seen.every(({ level }) => level === 0));
  const [left, right] = [view.toImage(0, 0)[0], view.toImage(1200, 0)[0]];
  assert.deepEqual([...new Set(seen.map(({ column }) => column))].sort((a, b) => a - b), Array.from({ length: Math.ceil(right / EDGE) - Math.floor(left / EDGE) }, (_, index) => Math.floor(left / EDGE) + index));
  assert.ok(seen.length <= 4 * 3);
  const away = seen.map(({ column, row }) => Math.hypot((column + 0.5) * EDGE - 4096, (row + 0.5) * EDGE - 2048));
  assert.ok(away[0] <= Math.max(...away) / 2);
  view.lay([0, 0], 600, 400, 1 / 3); // the corner of the image in the middle of the window
  assert.ok(tilesInSight(view, 8192, 4096).every(({ level, column, row }) => level === 1 && column >= 0 && row >= 0));
});

test("strokes on a large mask touch only the tiles they cross, for undo and for the server alike", () => {
  const [width, height] = [8192, 8192];
  const labels = new Uint8Array(width * height);
  const painting = new Painting({ labels, given: null, predicted: null, width, height, ignore: 255 });
  painting.begin();
  painting.paint([100, 60, 70, 101, 60, 70], 3);
  painting.end();
  const crossed = [painting.grid.tileAt(100 * width + 60), painting.grid.tileAt(100 * width + 69)];
  assert.deepEqual([...painting.changes.now().keys()], crossed);
  assert.deepEqual([painting.history.bytes, painting.changes.record().size], [2 * TILE * TILE, 2]);
  painting.undo();
  assert.equal(painting.changes.now().size, 0);
  assert.deepEqual([...painting.changes.record().keys()], crossed); // until the server is known to have it so
});
