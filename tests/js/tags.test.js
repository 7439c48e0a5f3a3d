import assert from "node:assert/strict";
import { test } from "node:test";

import { KeptActs, Outbox } from "../../app/components/shared/outbox.js";
import { classOf, keyOf, Marks } from "../../app/components/tag_panel/sides.js";
import { TagQueue } from "../../app/components/tag_panel/queue.js";
import { FakeDatabase, FakeServer, FakeStorage, FakeTimers, settle } from "./fakes.js";

const item = (sample, over = {}) => ({ sample, tags: null, suggested: [], ...over });

/** Return a queue over so many images, and what was asked for. */
function queueOf(count) {
  const asked = [];
  const queue = new TagQueue(async (after, limit) => {
    asked.push(after);
    return Array.from({ length: count }, (_, place) => item(place + 1)).filter(({ sample }) => sample > after).slice(0, limit);
  });
  return { queue, asked };
}

test("suggestions are marked, tags count more", () => {
  const marks = new Marks();
  marks.open(item(1, { suggested: [[4, 0.6], [2, 0.3]] }));
  assert.deepEqual(marks.list(), [2, 4]);
  marks.toggle(2);
  marks.toggle(7);
  assert.deepEqual(marks.list(), [4, 7]);
  marks.suggest();
  assert.deepEqual(marks.list(), [2, 4]);
  marks.clear();
  assert.deepEqual(marks.list(), []);
  marks.open(item(2, { tags: [1], suggested: [[4, 0.6]] }));
  assert.deepEqual(marks.list(), [1]);
});

test("unsaved marks are shown, kept while other images are open, and dropped once they are saved", () => {
  const marks = new Marks();
  const [one, two] = [item(1, { suggested: [[4, 0.6]] }), item(2, { tags: [1] })];
  marks.open(one);
  assert.equal(marks.changed, false);
  marks.toggle(3);
  assert.equal(marks.changed, true);
  marks.open(two);
  assert.equal(marks.changed, false);
  marks.clear();
  marks.toggle(1);
  assert.equal(marks.changed, false, "as it was");
  marks.open(one);
  assert.deepEqual([marks.list(), marks.changed], [[3, 4], true]);
  marks.forget(1);
  marks.open({ ...one, tags: [3, 4] });
  assert.deepEqual([marks.list(), marks.changed], [[3, 4], false]);
});

test("a digit is the class of that number, with shift the 11th to 20th, and of digits the class of that name", () => {
  const many = Array.from({ length: 25 }, (_, id) => `class ${id}`);
  assert.deepEqual([0, 9, 10, 19].map((place) => classOf(place, many)), [0, 9, 10, 19]);
  assert.deepEqual([0, 9, 10, 19, 20].map((id) => keyOf(id, many)), ["1", "0", "⇧1", "⇧0", ""]);
  assert.equal(classOf(12, ["a", "b"]), undefined);
  const ordered = Object.assign(["a", "b", "c"], { offered: [2, 0] });
  assert.deepEqual([0, 1, 2].map((place) => classOf(place, ordered)), [2, 0, undefined]);
  assert.deepEqual([0, 1, 2].map((id) => keyOf(id, ordered)), ["2", "", "1"]);
  const digits = Array.from({ length: 10 }, (_, id) => String(id));
  assert.equal(classOf(9, digits), 0);
  assert.equal(keyOf(7, digits), "7");
});

test("images are fetched ahead, a chunk at a time, each once", async () => {
  const { queue, asked } = queueOf(40);
  await Promise.all([queue.fill(), queue.fill()]);
  assert.deepEqual(asked, [0]);
  assert.equal(queue.current.sample, 1);
  for (let step = 0; step < 12; step += 1) queue.step(1);
  await queue.fill();
  assert.deepEqual(asked, [0, 16]);
  assert.deepEqual(queue.ahead(2).map(({ sample }) => sample), [14, 15]);
  while (queue.step(1)) await queue.fill();
  assert.equal(queue.current, null);
  assert.ok(queue.ended);
  assert.equal(new Set(queue.items.map(({ sample }) => sample)).size, 40);
  assert.ok(queue.step(-1));
  assert.equal(queue.current.sample, 40);
});

test("before the first image there is none", async () => {
  const { queue } = queueOf(2);
  await queue.fill();
  assert.equal(queue.step(-1), false);
  assert.equal(queue.current.sample, 1);
});

test("an image is gone back to, known or not", async () => {
  const { queue } = queueOf(5);
  await queue.fill();
  queue.step(1);
  queue.step(1);
  assert.equal(queue.goTo(item(1, { tags: [3] })).tags[0], 3);
  assert.equal(queue.index, 0);
  assert.equal(queue.goTo(item(99)).sample, 99);
  queue.step(1);
  assert.equal(queue.current.sample, 1);
});

test("tags and verdicts wait apart: neither takes the other's acts to its own address", async () => {
  const opening = Promise.resolve(new FakeDatabase(["list", "client", "seq"]));
  const former = new FakeStorage({ "outfold.tags.outbox.older": JSON.stringify({ name: "Ann", acts: [{ seq: 4, op: "tag", sample: 9, classes: [] }] }) });
  const open = (list, client, server) => new Outbox({ send: server.send, kept: new KeptActs(list, { opening, former }), client, name: "Ann", timers: new FakeTimers() });
  const away = new FakeServer();
  away.failure = { status: 0 };
  open("tags", "tagger", away).add({ op: "tag", sample: 1, classes: [0] });
  await settle();
  const review = new FakeServer();
  assert.equal(await open("verdicts", "reviewer", review).adopt(), 0);
  const tags = new FakeServer();
  assert.equal(await open("tags", "next", tags).adopt(), 2);
  await settle();
  assert.deepEqual(tags.stored.map(({ client, sample }) => [client, sample]), [["tagger", 1], ["older", 9]]);
  assert.equal(former.length, 0);
  assert.equal(review.stored.length, 0);
});

test("tags of a deleted dataset are kept, block nothing, and are stored once it is restored", async () => {
  const server = new FakeServer();
  const timers = new FakeTimers();
  const heldBack = [];
  const outbox = new Outbox({ send: server.send, kept: new KeptActs("tags", { opening: Promise.resolve(null), former: new FakeStorage() }), client: "here", timers, onHeld: (entries) => heldBack.push(entries.flatMap(({ act }) => act.images)) });
  outbox.identify("Ann");
  server.judge = (act) => (act.sample === 1 ? { error: "scenes was deleted by Ben", status: 410, deleted: true, images: ["one.png"] } : null);
  outbox.add({ op: "tag", sample: 1, classes: [2] });
  outbox.add({ op: "tag", sample: 2, classes: [3] });
  await settle();
  assert.deepEqual([heldBack, outbox.unsaved, server.stored.map(({ sample }) => sample)], [[["one.png"]], 0, [2]]);
  server.judge = () => null;
  await timers.run();
  assert.deepEqual([server.stored.map(({ sample }) => sample), outbox.held], [[2, 1], []]);
});

test("marks, tags and suggestions of a merged class are of the one it means now", async () => {
  const marks = new Marks();
  marks.open(item(1, { suggested: [[4, 0.6]] }));
  marks.toggle(2);
  const queue = new TagQueue(async () => [item(1, { tags: [2, 3], suggested: [[2, 0.2], [3, 0.1], [4, 0.6]] }), item(2)]);
  await queue.fill();
  const means = new Map([[2, 3]]);
  marks.exchange(means);
  queue.exchange(means);
  assert.deepEqual([marks.list(), marks.changed], [[3, 4], true]);
  assert.deepEqual([queue.items[0].tags, queue.items[0].suggested.map(([id]) => id), queue.items[1].tags], [[3], [3, 4], null]);
});
