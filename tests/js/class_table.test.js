import assert from "node:assert/strict";
import { test } from "node:test";

import { carriersText, consequences } from "../../app/components/class_table/merging.js";
import { Order, sortByName, placeAtHeight, moveTo, Rows, whyNot } from "../../app/components/class_table/rows.js";
import { FakeTimers, fakeDocument } from "./fakes.js";

fakeDocument();
const CLASSES = ["cat", "dog", "Feline"];

test("a merge tells what becomes of labels and findings before it happens", () => {
  const use = { images: 1204, decided: 14, tagged: 0, open: 30 };
  assert.deepEqual(consequences({ from: "cat", into: "dog", use, settled: 12, masks: false }), [
    "1,204 labels of cat become dog. 14 of them were given by verdicts.",
    "30 open findings of cat become those of dog; 12 between the two agree and leave the queue.",
    "cat is not offered any more. Undo restores everything.",
  ]);
  const none = { images: 1, decided: 0, tagged: 0, open: 0 };
  assert.equal(consequences({ from: "cat", into: "dog", use: none, settled: 0, masks: false })[0], "1 label of cat becomes dog.");
  assert.equal(consequences({ from: "car", into: "bus", use: { images: 12, tagged: 1 }, settled: 0, masks: true })[0], "car becomes bus in 12 masks and the tags of 1 image.");
  assert.equal(carriersText({ images: 0, tagged: 0 }, true), "no mask");
});

test("a name of another class is refused with that class", () => {
  assert.deepEqual(whyNot("DOG", 0, CLASSES, [0, 1, 2]), { why: "dog is a class already.", other: 1 });
  assert.deepEqual(whyNot("Cat", 0, CLASSES, [0, 1, 2]), { why: "", other: null });
  assert.deepEqual(whyNot("dog", 0, CLASSES, [0, 2]), { why: "", other: null }, "a class that is not offered");
  assert.match(whyNot("  ", 0, CLASSES, [0]).why, /1 to 100/);
});

test("a class is moved to a place, and all are ordered by name", () => {
  assert.deepEqual(moveTo([3, 1, 2], 2, 0), [2, 3, 1]);
  assert.deepEqual(moveTo([3, 1, 2], 3, 1), [1, 3, 2]);
  assert.deepEqual([moveTo([3, 1, 2], 3, 99), moveTo([3, 1, 2], 2, -5)], [[1, 2, 3], [2, 3, 1]]);
  assert.deepEqual(sortByName([0, 1, 2], ["class 10", "Beta", "class 2"]), [1, 2, 0]);
});

test("a row that is let go comes before the first row whose middle lies below, among the rows that are shown", () => {
  const all = [[3, 10], [1, 30], [2, 50], [0, 70]];
  const ids = all.map(([id]) => id);
  assert.deepEqual([-5, 20, 29, 31, 49, 51, 99].map((y) => placeAtHeight(ids, 1, all, y)), [0, 1, 1, 1, 1, 2, 3]);
  const some = [[3, 10], [2, 30]]; // the others are hidden by a search
  assert.deepEqual([0, 20, 99].map((y) => placeAtHeight(ids, 2, some, y)), [0, 1, 1]);
  assert.equal(placeAtHeight([5], 5, [[5, 10]], 50), 0);
});

test("several moves are stored as one act once they rest, and a move there and back is none", async () => {
  const timers = new FakeTimers();
  const stored = [];
  const order = new Order({ store: (ids) => stored.push(ids), timers });
  order.know([0, 1, 2]);
  assert.equal(order.set([1, 0, 2]), true);
  assert.equal(order.set([1, 2, 0]), true);
  assert.deepEqual([order.ids, stored], [[1, 2, 0], []]);
  await timers.run();
  assert.deepEqual(stored, [[1, 2, 0]]);
  order.know([1, 2, 0]);
  order.set([2, 1, 0]);
  order.set([1, 2, 0]);
  order.flush();
  assert.equal(stored.length, 1);
  order.set([2, 1, 0]);
  order.know([1, 2, 0, 3]);
  assert.deepEqual(order.ids, [1, 2, 0, 3], "a class was added meanwhile: the order is of other classes");
});

test("the table shows the classes that have the letters, with the counts that are known", () => {
  const rows = new Rows({ on: { merge() {}, move() {}, rename() {}, busy() {} } });
  const draw = (filter) => rows.draw({ ids: [1, 0, 2], classes: CLASSES, colours: null, uses: [{ images: 3, regions: 0 }, { images: 4 }, { images: 0 }], filter });
  rows.table.contains = () => false;
  rows.table.getRootNode = () => ({ activeElement: null });
  draw("");
  assert.deepEqual([rows.shown, rows.at, rows.counted.map(([name]) => name)], [[1, 0, 2], 1, ["images", "decided", "open"]]);
  draw("FEL");
  assert.deepEqual([rows.shown, rows.at], [[2], 2]);
  draw("zebra");
  assert.match(rows.body.textContent, /No class has these letters/);
});
