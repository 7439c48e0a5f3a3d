import assert from "node:assert/strict";
import { test } from "node:test";

import { Known } from "../../app/components/review_grid/known.js";
import { Others } from "../../app/components/review_grid/others.js";
import { Queue } from "../../app/components/review_grid/queue.js";
import { ActLog } from "../../app/components/review_grid/verdicts.js";
import { finding } from "./fakes.js";

/** A page whose clock is turned by hand. */
function watched(states) {
  const told = { asked: 0, changed: 0, seen: true, timers: [] };
  const answer = () => {
    const state = states[Math.min(told.asked, states.length - 1)];
    told.asked += 1;
    return state === "offline" ? Promise.reject(new Error(state)) : Promise.resolve(state);
  };
  const timers = { setTimeout: (run) => told.timers.push(run), clearTimeout: () => told.timers.splice(0) };
  const others = new Others({ ask: answer, changed: () => { told.changed += 1; }, seen: () => told.seen, timers });
  return { told, others };
}

test("another person's act is heard of at the next look, and only once", async () => {
  const { told, others } = watched([7, 7, 8, 8]);
  for (const changed of [0, 0, 1, 1]) {
    await others.look();
    assert.equal(told.changed, changed);
  }
  assert.equal(told.timers.length, 1, "one look is due, however often somebody came back");
});

test("nobody is asked while the page is hidden, and at once when it is seen again", async () => {
  const { told, others } = watched([1, 2]);
  await others.look();
  told.seen = false;
  await told.timers.pop()();
  assert.deepEqual([told.asked, told.timers.length], [1, 0]);
  told.seen = true;
  await others.look();
  assert.deepEqual([told.asked, told.changed], [2, 1]);
});

test("a server that does not answer changes nothing and is asked again", async () => {
  const { told, others } = watched([3, "offline", 4]);
  await others.look();
  await others.look();
  assert.deepEqual([told.changed, told.timers.length], [0, 1]);
  await others.look();
  assert.equal(told.changed, 1);
});

test("a page that is left asks no more", async () => {
  const { told, others } = watched([1]);
  await others.look();
  others.stop();
  await others.look();
  assert.deepEqual([told.asked, told.timers.length], [1, 0]);
});

test("what nothing means any more is forgotten, what is meant stays the same object", () => {
  const meant = new Set([1, 2]);
  const known = new Known(() => meant, 10);
  const first = known.add({ id: 1 });
  for (let id = 2; id <= 1000; id += 1) known.add({ id });
  assert.equal(known.get(1), first);
  assert.ok(known.has(2));
  assert.ok(known.has(1000));
  assert.ok(known.size <= 12, String(known.size));
});

test("a day's queue stays short, its page numbers go on, and the last pages can be turned back to", async () => {
  let served = 0;
  const queue = new Queue((after, limit) => {
    const items = Array.from({ length: limit }, () => finding((served += 1)));
    return Promise.resolve({ items, next: served < 20_000 ? String(served) : null });
  });
  await queue.load();
  for (let page = 2; page <= 300; page += 1) {
    await queue.next();
    assert.equal(queue.number, page);
    assert.equal(queue.page[0].id, (page - 1) * 32 + 1);
  }
  assert.ok(queue.items.length < 1300, String(queue.items.length));
  for (let page = 299; page > 270; page -= 1) {
    assert.ok(queue.previous());
    assert.equal(queue.page[0].id, (page - 1) * 32 + 1);
  }
});

test("the log keeps the newest acts, so undo and the footer go on as before", () => {
  const log = new ActLog();
  for (let id = 1; id <= 2000; id += 1) log.push({ changes: [{ item: finding(id) }] });
  assert.equal(log.items().length, 500);
  assert.deepEqual(log.recent(3).map(({ id }) => id), [2000, 1999, 1998]);
  assert.equal(log.undo().changes[0].item.id, 2000);
});
