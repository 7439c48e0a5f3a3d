import assert from "node:assert/strict";
import { test } from "node:test";

import { FindingMap, Queue } from "../../app/components/review_grid/queue.js";
import { ActLog } from "../../app/components/review_grid/verdicts.js";
import { OtherPeople, overruledText } from "../../app/components/shared/other_people.js";
import { FakeStorage, finding } from "./fakes.js";

/** A page whose clock is turned by hand; `answers` are what the server says, one look after the other. */
function watched(answers, storage = new FakeStorage()) {
  const told = { asked: [], changed: [], seen: true, timers: [] };
  const ask = (after) => {
    const answer = answers[Math.min(told.asked.length, answers.length - 1)];
    told.asked.push(after);
    return answer === "offline" ? Promise.reject(new Error(answer)) : Promise.resolve(answer);
  };
  const timers = { setTimeout: (run) => told.timers.push(run), clearTimeout: () => told.timers.splice(0) };
  const others = new OtherPeople({ ask, changed: (overruled) => told.changed.push(overruled), storage, key: "1.Ann", seen: () => told.seen, timers });
  return { told, others };
}
const at = (state, acted = false, overruled = []) => ({ state, acted, overruled });

test("another person's act is heard of at the next look, and only once", async () => {
  const { told, others } = watched([at(7), at(7), at(8, true, ["one"]), at(8)]);
  for (const changed of [0, 0, 1, 1]) {
    await others.look();
    assert.equal(told.changed.length, changed);
  }
  assert.deepEqual([told.asked, told.changed], [[null, 7, 7, 8], [["one"]]]);
  assert.equal(told.timers.length, 1, "one look is due, however often somebody came back");
});

test("a bulk act that is stored in parts is news at each look until it ends, and once more then", async () => {
  const { told, others } = watched([at(7), at(7, true), at(7, true), at(8, true), at(8)]);
  for (const changed of [0, 1, 2, 3, 3]) {
    await others.look();
    assert.equal(told.changed.length, changed);
  }
  assert.deepEqual(told.asked, [null, 7, 7, 7, 8]);
});

test("one's own acts are no news", async () => {
  const { told, others } = watched([at(7), at(9), at(9)]);
  for (let look = 0; look < 3; look += 1) await others.look();
  assert.deepEqual([told.asked, told.changed], [[null, 7, 9], []]);
});

test("the next visit asks about the time in between", async () => {
  const storage = new FakeStorage();
  await watched([at(7)], storage).others.look();
  const { told, others } = watched([at(12, true, ["one"])], storage);
  await others.look();
  assert.deepEqual([told.asked, told.changed], [[7], [["one"]]]);
});

test("no request is made while the page is hidden, and one at once when it is seen again", async () => {
  const { told, others } = watched([at(1), at(2, true)]);
  await others.look();
  told.seen = false;
  await told.timers.pop()();
  assert.deepEqual([told.asked.length, told.timers.length], [1, 0]);
  told.seen = true;
  await others.look();
  assert.deepEqual([told.asked.length, told.changed.length], [2, 1]);
});

test("a server that does not answer changes nothing and is asked again", async () => {
  const { told, others } = watched([at(3), "offline", at(4, true)]);
  await others.look();
  await others.look();
  assert.deepEqual([told.changed.length, told.timers.length], [0, 1]);
  await others.look();
  assert.equal(told.changed.length, 1);
});

test("a page that is left asks no more", async () => {
  const { told, others } = watched([at(1)]);
  await others.look();
  others.stop();
  await others.look();
  assert.deepEqual([told.asked.length, told.timers.length], [1, 0]);
});

test("an overruled verdict is described in one line", () => {
  const one = { id: 4, name: "cat/1.png", by: "Grace", status: "relabel", label: 2, own: { status: "keep", label: 0 } };
  assert.equal(overruledText([one], ["cat", "dog", "fox"]), "Grace decided cat/1.png otherwise: fox. You: cat.");
  const excluded = { ...one, status: "exclude", label: null };
  assert.equal(overruledText([excluded], ["cat", "dog", "fox"]), "Grace decided cat/1.png otherwise: excluded. You: cat.");
  assert.equal(overruledText([one, one], ["cat"]), "2 of your verdicts were changed by others, the last by Grace.");
});

test("unreferenced findings are evicted, referenced ones stay the same object", () => {
  const meant = new Set([1, 2]);
  const known = new FindingMap(() => meant, 10);
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
