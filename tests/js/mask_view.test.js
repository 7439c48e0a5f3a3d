import assert from "node:assert/strict";
import { test } from "node:test";

import { Painting } from "../../app/components/mask_editor/painting.js";
import { Polygon, Stroke } from "../../app/components/mask_editor/pointer.js";
import { Settings } from "../../app/components/mask_editor/toolbox.js";
import { View } from "../../app/components/mask_editor/view.js";
import { FakeStorage } from "./fakes.js";

function opened(width = 480, height = 360, ratio = 1) {
  const view = new View(width, height);
  view.resize(1000, 800, ratio);
  return view;
}

test("the whole image is shown at first, in the middle", () => {
  const view = opened();
  assert.deepEqual(view.toImage(500, 400).map(Math.round), [240, 180]);
  assert.ok(Math.abs(view.scale - 968 / 480) < 1e-9);
});

test("a position in the window and in the image mean each other at any zoom", () => {
  const view = opened(2048, 1024, 1.5);
  for (const [x, y, steps] of [[10, 20, 3], [700, 300, 5], [400, 400, -2], [0, 0, 4]]) {
    view.zoomAt(x, y, steps);
    view.pan(13.3, -7.7);
    const [column, row] = view.toImage(123.4, 56.7);
    const [left, top] = view.toStage(column, row);
    assert.ok(Math.abs(left - 123.4) < 1e-9 && Math.abs(top - 56.7) < 1e-9);
  }
});

test("zooming keeps what lies under the pointer, and from 1 up pixels are whole squares on whole device pixels", () => {
  const view = opened(480, 360, 2);
  for (let turn = 0; turn < 12; turn += 1) {
    const before = view.toImage(333, 222);
    view.zoomAt(333, 222, 1);
    const after = view.toImage(333, 222);
    assert.ok(Math.hypot(after[0] - before[0], after[1] - before[1]) * view.scale <= 1.5, "within a device pixel");
    assert.ok(Number.isInteger(view.scale) && Number.isInteger(view.x) && Number.isInteger(view.y));
  }
  for (let turn = 0; turn < 40; turn += 1) view.zoomAt(1, 1, 1);
  assert.equal(view.scale, 64);
});

test("a touch pad's small movements add up to a step, and turning round starts anew", () => {
  const view = opened();
  assert.deepEqual([view.wheel(5, 5, -30), view.wheel(5, 5, -29), view.wheel(5, 5, -2)], [false, false, true]);
  assert.deepEqual([view.wheel(5, 5, -50), view.wheel(5, 5, 20), view.wheel(5, 5, 39), view.wheel(5, 5, 100)], [false, false, false, true]);
});

test("a piece of the image always stays in sight", () => {
  const view = opened();
  view.pan(5000, -9000);
  const [x, y] = view.toStage(0, 360);
  assert.ok(x <= 1000 - 80 && y >= 80);
});

test("a small region is brought near, one in sight is left where it is", () => {
  const view = opened();
  assert.equal(view.reveal({ x: 300, y: 200, width: 20, height: 10 }), true);
  const [x, y] = view.toStage(310, 205);
  assert.ok(Math.abs(x - 500) <= 1 && Math.abs(y - 400) <= 1 && view.scale === 6);
  assert.equal(view.reveal({ x: 290, y: 190, width: 40, height: 30 }), false);
  assert.equal(view.reveal({ x: 0, y: 0, width: 480, height: 360 }), true);
  assert.equal(view.fitted, true);
});

test("the whole image follows the window's size until a zoom", () => {
  const view = opened();
  view.resize(500, 400, 1);
  assert.ok(view.fitted && view.scale < 1);
  view.zoomAt(100, 100, 1);
  const { scale } = view;
  view.resize(900, 700, 1);
  assert.equal(view.scale, scale);
});

test("a polygon ends at its first corner, and its corners go back one by one", () => {
  const polygon = new Polygon();
  for (const corner of [[10, 10], [20, 10], [20, 10], [20, 20]]) assert.equal(polygon.add(corner, 2), true);
  assert.equal(polygon.corners.length, 3);
  assert.equal(polygon.path([5, 5]), "M10 10L20 10L20 20L5 5");
  assert.equal(polygon.add([11, 9], 2), false);
  polygon.back();
  assert.equal(polygon.add([11, 9], 2), true); // two corners enclose nothing yet
});

test("a stroke uncovers another map, and may begin where the last one ended", () => {
  const labels = new Uint8Array(64);
  const painting = new Painting({ labels, given: labels.slice().fill(7), predicted: labels.slice(), width: 8, height: 8, ignore: 255 });
  const stroke = new Stroke(painting, { source: painting.given, size: 1, from: [1.2, 1.9] });
  assert.deepEqual(stroke.move([[4.9, 1.1]]), { x: 1, y: 1, width: 4, height: 1 });
  assert.equal(stroke.end(), true);
  assert.deepEqual([...labels.slice(8, 16)], [0, 7, 7, 7, 7, 0, 0, 0]);
});

test("chosen settings are kept, within their bounds, and invalid ones in the storage are ignored", () => {
  const storage = new FakeStorage({ "outfold.masks.view": '{"size": 900, "fill": "yes", "opacity": 0.2}' });
  const settings = new Settings(storage);
  assert.deepEqual([settings.fill, settings.opacity], [true, 0.2]);
  settings.set({ size: settings.resized(1), opacity: 1.3, contour: false });
  assert.deepEqual([settings.size, settings.opacity], [256, 1]);
  assert.equal(new Settings(storage).contour, false);
  settings.set({ size: 1 });
  assert.equal(settings.resized(1), 2);
  assert.equal(new Settings(new FakeStorage({ "outfold.masks.view": "{" })).size, 12);
});
