import assert from "node:assert/strict";
import { test } from "node:test";

import { Queue, Skips } from "../../app/components/review_grid/queue.js";
import { matches } from "../../app/components/shared/search.js";
import { FakeStorage, finding } from "./fakes.js";

/** Answers like the server: by cursor, so many at a time. */
function source(count) {
  const asked = [];
  const fetchChunk = async (after, limit) => {
    asked.push(after);
    const from = after === null ? 0 : Number(after);
    const items = Array.from({ length: Math.min(limit, count - from) }, (_, index) => finding(from + index + 1));
    return { items, next: from + limit < count ? String(from + limit) : null };
  };
  return { asked, fetchChunk };
}
const ids = (items) => items.map(({ id }) => id);

test("pages follow each other without gap or repetition to the very end", async () => {
  const queue = new Queue(source(250).fetchChunk);
  queue.resize(32);
  await queue.load();
  const seen = [...ids(queue.page)];
  while (await queue.next()) seen.push(...ids(queue.page));
  assert.deepEqual(seen, Array.from({ length: 250 }, (_, index) => index + 1));
  assert.ok(queue.atEnd);
});

test("no findings is a queue that has ended", async () => {
  const queue = new Queue(source(0).fetchChunk);
  await queue.load();
  assert.deepEqual([queue.page.length, queue.exhausted, await queue.next()], [0, true, false]);
});

test("two who wait for the same page ask once", async () => {
  const { asked, fetchChunk } = source(500);
  const queue = new Queue(fetchChunk);
  await Promise.all([queue.load(0), queue.load(0), queue.load(0)]);
  assert.equal(asked.length, 1);
  assert.equal(queue.items.length, 96);
});

test("the page before is the same again", async () => {
  const queue = new Queue(source(100).fetchChunk);
  queue.resize(10);
  await queue.load();
  const first = queue.page;
  await queue.next();
  assert.ok(queue.previous());
  assert.deepEqual(queue.page, first);
  assert.equal(queue.previous(), false);
});

test("skipped cards come once more, behind all the others", async () => {
  const queue = new Queue(source(5).fetchChunk, (id) => id === 2);
  queue.resize(2);
  await queue.load();
  const seen = [...ids(queue.page)];
  while (await queue.next()) seen.push(...ids(queue.page));
  assert.deepEqual(seen, [1, 3, 4, 5, 2]);
});

test("a card put off on the page keeps its place and comes back at the end", async () => {
  const queue = new Queue(source(200).fetchChunk);
  queue.resize(40);
  await queue.load();
  queue.putOff(queue.page[0]);
  assert.equal(queue.page[0].id, 1);
  while (await queue.next());
  assert.deepEqual(ids(queue.page), [1]);
});

test("when every card was skipped, all are shown", async () => {
  const queue = new Queue(source(3).fetchChunk, () => true);
  await queue.load();
  assert.deepEqual(ids(queue.page), [1, 2, 3]);
});

test("skipped cards come back once in a pass, on a page of their own, and are announced", async () => {
  const back = [];
  const queue = new Queue(source(9).fetchChunk, () => false, (items) => back.push(...ids(items)));
  await queue.load();
  queue.putOff(queue.page[4]);
  assert.ok(!queue.atEnd && (await queue.next()));
  assert.deepEqual([ids(queue.page), back], [[5], [5]]);
  queue.putOff(queue.page[0]);
  assert.equal(await queue.next(), false);
});

test("another page size keeps the first card of the page", async () => {
  const queue = new Queue(source(100).fetchChunk);
  queue.resize(10);
  await queue.load();
  await queue.next();
  queue.resize(25);
  await queue.load();
  assert.deepEqual([queue.page[0].id, queue.page.length], [11, 25]);
});

test("an item is found on its page", async () => {
  const queue = new Queue(source(90).fetchChunk);
  queue.resize(10);
  await queue.load();
  assert.ok(queue.reveal(37));
  assert.ok(ids(queue.page).includes(37));
  assert.equal(queue.reveal(9999), false);
});

test("cards that became free out of turn come once, behind those there are", async () => {
  const queue = new Queue(source(3).fetchChunk, () => false, () => {}, { chunk: 1 });
  queue.resize(2);
  await queue.load();
  assert.deepEqual(ids(queue.items), [1, 2], "no more is asked for than a page holds");
  queue.take([queue.items[0], finding(9)]);
  assert.deepEqual(ids(queue.items), [1, 2, 9]);
});

test("skips are kept by round and person", () => {
  const storage = new FakeStorage();
  new Skips(storage, 1, "Ann").add(7);
  assert.ok(new Skips(storage, 1, "Ann").has(7));
  assert.ok(!new Skips(storage, 1, "Bo").has(7) && !new Skips(storage, 2, "Ann").has(7));
  new Skips(storage, 1, "Ann").remove(7);
  assert.equal(storage.length, 0);
});

test("a class is found by its beginning before its middle, then by likelihood", () => {
  const classes = ["truck", "garbage truck", "trumpet", "cat", "car"];
  assert.deepEqual(matches("tru", classes, [[2, 0.5]]).map((id) => classes[id]), ["trumpet", "truck", "garbage truck"]);
  assert.deepEqual(matches("", classes, [[3, 0.9]]).slice(0, 1), [3]);
  assert.deepEqual(matches("zzz", classes, []), []);
});

test("cards that do not belong any more leave the queue, and come back behind the others once they do", async () => {
  const queue = new Queue(source(10).fetchChunk, (id) => id === 9);
  queue.resize(4);
  await queue.load();
  await queue.next();
  assert.equal(queue.keep(() => true), false);
  assert.equal(queue.keep(({ id }) => ![2, 5, 9].includes(id)), true);
  assert.deepEqual([ids(queue.items), queue.start, ids(queue.page), ids(queue.held)], [[1, 3, 4, 6, 7, 8, 10], 3, [6, 7, 8, 10], []]);
  assert.equal(queue.keep(({ id }) => id !== 5), true);
  assert.deepEqual([ids(queue.items), ids(queue.away)], [[1, 3, 4, 6, 7, 8, 10, 2, 9], [5]]);
});
