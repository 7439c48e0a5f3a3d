import assert from "node:assert/strict";
import { test } from "node:test";

import { badgeOf } from "../../app/components/review_grid/card.js";
import { DEFAULT } from "../../app/components/review_grid/filters.js";
import { editorUrl, idsFrom, firstIndexOf, QueuePosition } from "../../app/components/review_grid/queue.js";
import { countsBySide } from "../../app/components/review_grid/region_filters.js";
import { boundaryNote, REGION_ACTIONS, Siblings } from "../../app/components/review_grid/region_parts.js";
import { summary } from "../../app/components/review_grid/verdicts.js";
import { fitClass, imageUrl, shapeOf, wholeUrl } from "../../app/components/shared/format.js";
import { ACTIONS, classAt, keyFor, Keys } from "../../app/components/shared/keys.js";
import { digitsInOrder, placeText, showsRegions, tintUrl } from "../../app/components/shared/regions.js";
import { FakeStorage, finding } from "./fakes.js";

const region = (id, over = {}) => finding(id, {
  sample_id: 3, name: "train/scene.png", width: 480, height: 360, region: { x: 10, y: 20, width: 30, height: 40, area: 938, version: "f00", crop: [0, 10, 160, 120] }, ...over,
});

test("a region's card shows its crop, and everything else the whole image", () => {
  assert.equal(imageUrl("/o", region(7), 185), "/o/regions/7/image/192.webp?v=f00");
  assert.equal(imageUrl("/o", region(7), 370), "/o/regions/7/image/384.webp?v=f00");
  assert.equal(imageUrl("/o", region(7), 4000), "/o/regions/7/image/1024.webp?v=f00");
  assert.equal(imageUrl("/o", finding(7), 185), "/o/image/7/96.webp");
  assert.equal(wholeUrl("/o", region(7), 400), "/o/image/7/1024.webp");
  assert.equal(tintUrl("/o", region(7), "given"), "/o/regions/7/given.png?v=f00");
});

test("a frame follows the crop's shape, not the image's", () => {
  const tall = region(1, { width: 100, height: 900 });
  assert.deepEqual(shapeOf(tall), { width: 160, height: 120 });
  assert.equal(fitClass(tall), "contain");
  assert.equal(fitClass(finding(1)), "contain pixelated");
});

test("digits mean the classes in their order", () => {
  const digits = digitsInOrder(Array.from({ length: 30 }, (_, id) => `class ${id}`));
  const item = region(1);
  assert.deepEqual([classAt(0, item, digits), classAt(9, item, digits), classAt(19, item, digits), classAt(25, item, digits)], [0, 9, 19, undefined]);
  assert.deepEqual([keyFor(0, item, digits), keyFor(9, item, digits), keyFor(12, item, digits), keyFor(22, item, digits)], ["1", "0", "⇧3", ""]);
  assert.equal(classAt(5, item, digitsInOrder(["sky", "road"])), undefined);
});

test("no key of regions is one of the usual keys", () => {
  const combos = [...ACTIONS, ...REGION_ACTIONS].flatMap(([, , defaults]) => defaults);
  assert.equal(new Set(combos).size, combos.length);
  const keys = new Keys(new FakeStorage(), [...ACTIONS, ...REGION_ACTIONS]);
  for (const [action, , [key]] of REGION_ACTIONS) assert.equal(keys.lookup({ key, code: "" })?.action, action);
  assert.equal(new Keys(new FakeStorage()).lookup({ key: "o", code: "KeyO" }), null, "images of one class have no overlay");
});

test("brackets that need AltGr are brackets", () => {
  const keys = new Keys(new FakeStorage(), [...ACTIONS, ...REGION_ACTIONS]);
  const event = { key: "[", code: "KeyF", ctrlKey: true, altKey: true, getModifierState: (name) => name === "AltGraph" };
  assert.equal(keys.lookup(event)?.action, "weaker");
});

test("the legend counts the regions of each class on the side one looks at", () => {
  const pairs = [[0, 1, 5], [2, 1, 3], [0, 2, 1]];
  assert.deepEqual([...countsBySide(pairs, "pseudo")], [[1, 8], [2, 1]]);
  assert.deepEqual([...countsBySide(pairs, "given")], [[0, 6], [2, 3]]);
});

test("a region says which of its image it is, as soon as that is known", () => {
  const all = [region(4), region(7), region(9)];
  assert.equal(placeText(region(7), null), "scene.png · 938 px");
  assert.equal(placeText(region(7), all), "scene.png · region 2 of 3 · 938 px");
});

test("a mask that was edited says so on its card and when it is undone", () => {
  const edited = region(1, { status: "relabel", label: null });
  assert.deepEqual(badgeOf(edited, ["sky", "road"]), ["✎", "edited", "rel"]);
  assert.equal(badgeOf(region(1, { status: "relabel", label: 0 }), ["sky", "road"])[1], "sky");
  assert.equal(summary([{ item: edited, before: { status: "open" }, after: edited }], ["sky"]), "edited");
});

test("boundary differences are counted where they are known", () => {
  const round = { config: { boundary: 3 } };
  assert.deepEqual(boundaryNote({ round, boundary_differences: 6412 }), { note: "6,412 boundary differences not shown", noteTitle: "6,412 boundary differences not shown: at most 3 px wide" });
  assert.equal(boundaryNote({ round, boundary_differences: 1 }).note, "1 boundary difference not shown");
  assert.deepEqual(boundaryNote({ round, boundary_differences: null }), {});
  assert.deepEqual([showsRegions({ task: "segmentation" }), showsRegions({ task: "classification" }), showsRegions({})], [true, false, false]);
});

test("the regions of an image are asked for once, and again after a failure", async () => {
  let asked = 0;
  const known = new Map();
  const know = (item) => { known.set(item.id, known.get(item.id) ?? item); return known.get(item.id); };
  let failing = true;
  const siblings = new Siblings({ know, roundId: 5, findings: async (params) => {
    asked += 1;
    assert.equal(params.get("sample"), "3");
    if (failing) throw new Error("away");
    return { items: [region(1), region(2)] };
  } });
  await assert.rejects(siblings.of(region(1)));
  failing = false;
  const [first] = await siblings.of(region(1));
  await siblings.of(region(2));
  assert.equal(asked, 2);
  assert.equal(first, known.get(1), "the object that stands for it everywhere");
});

test("the regions of recent images stay referenced, those of older ones are fetched again", async () => {
  const asked = [];
  const siblings = new Siblings({ know: (item) => item, roundId: 5, findings: async (params) => {
    asked.push(Number(params.get("sample")));
    return { items: [{ id: 10 * asked.at(-1) }, { id: 10 * asked.at(-1) + 1 }] };
  } });
  for (let sample = 1; sample <= 50; sample += 1) await siblings.of({ sample_id: sample });
  await siblings.of({ sample_id: 1 });
  assert.equal(asked.length, 50);
  await siblings.of({ sample_id: 51 });
  assert.equal(siblings.ids().length, 100);
  assert.deepEqual([10, 20, 510].map((id) => siblings.ids().includes(id)), [true, false, true]);
  await siblings.of({ sample_id: 2 });
  assert.deepEqual(asked.slice(-2), [51, 2]);
});

test("the editor opens beside the review page", () => {
  assert.equal(editorUrl(5, region(7)), "masks?round=5&sample=3&finding=7");
});

test("coming back begins at the card that was left, or at the next one that still waits", () => {
  const items = [1, 2, 3, 4].map((id) => region(id));
  const ids = idsFrom(items, items[1], 0);
  assert.deepEqual(ids, [2, 3, 4]);
  assert.deepEqual(idsFrom(items, region(99), 2), [3, 4]);
  assert.equal(firstIndexOf(ids, items), 1);
  assert.equal(firstIndexOf(ids, [items[0], items[2], items[3]]), 1);
  assert.equal(firstIndexOf(ids, [region(50)]), 0);
});

function reviewAt(items, over = {}) {
  const said = [];
  return {
    roundId: 5, filter: { ...DEFAULT }, queue: { items, start: 0 }, cursor: { focus: 1 }, said,
    outbox: { settled: async () => true }, toast: { say: (text) => said.push(text) }, ...over,
  };
}

test("the editor is opened once everything is stored, and not before", async () => {
  const items = [region(1), region(2)];
  const gone = [];
  const waiting = reviewAt(items, { outbox: { settled: async () => false } });
  await new QueuePosition({ review: waiting, storage: new FakeStorage(), go: (url) => gone.push(url) }).edit(items[1]);
  assert.deepEqual(gone, []);
  assert.match(waiting.said[0], /not saved yet/);
  await new QueuePosition({ review: reviewAt(items), storage: new FakeStorage(), go: (url) => gone.push(url) }).edit(items[1]);
  assert.deepEqual(gone, ["masks?round=5&sample=3&finding=2"]);
});

test("the place and the filter are there on return, once, and only for this round", async () => {
  globalThis.history = { state: null, replaceState: (_state, _title, url) => { history.url = url; } };
  globalThis.location = { pathname: "/review", search: "?round=5" };
  const items = [region(1), region(2)];
  const storage = new FakeStorage();
  const leave = () => new QueuePosition({ review: reviewAt(items, { filter: { ...DEFAULT, pseudo: 1 } }), storage, go: () => {} }).edit(items[1]);
  await leave();
  const back = reviewAt(items);
  assert.deepEqual(new QueuePosition({ review: back, storage }).take().ids, [2]);
  assert.equal(back.filter.pseudo, 1);
  assert.equal(history.url, "/review?round=5&pseudo=1");
  assert.equal(new QueuePosition({ review: back, storage }).take(), null);
  await leave();
  assert.equal(new QueuePosition({ review: reviewAt(items, { roundId: 6 }), storage }).take(), null);
  await leave();
  assert.equal(new QueuePosition({ review: reviewAt(items, { filter: { ...DEFAULT, given: 0 } }), storage }).take(), null, "another filter was asked for");
});
