import assert from "node:assert/strict";
import { test } from "node:test";

import { Outbox } from "../../app/components/review_grid/outbox.js";
import { FakeServer, FakeStorage, FakeTimers, settle } from "./fakes.js";

function open(over = {}) {
  const world = { server: new FakeServer(), storage: new FakeStorage(), timers: new FakeTimers(), statuses: [], refused: [], answered: [] };
  Object.assign(world, over);
  world.outbox = new Outbox({
    send: world.server.send, storage: world.storage, client: over.client ?? "here", name: "Ann", timers: world.timers,
    onStatus: (status) => world.statuses.push(status), onResult: (entry, result) => world.answered.push([entry.act.seq, result]),
    onRefused: (entry, error) => world.refused.push([entry.act.seq, error]),
  });
  return world;
}
const act = (finding) => ({ round: 1, op: "decide", decisions: [{ finding, verdict: "accept" }] });

test("acts are numbered from one and stored in their order", async () => {
  const { outbox, server } = open();
  for (const finding of [5, 6, 7]) outbox.add(act(finding));
  await settle();
  assert.deepEqual(server.stored.map(({ seq, decisions }) => [seq, decisions[0].finding]), [[1, 5], [2, 6], [3, 7]]);
});

test("only one request is on its way, and what comes meanwhile goes as one batch", async () => {
  const { outbox, server } = open();
  for (let finding = 0; finding < 10; finding += 1) outbox.add(act(finding));
  await settle();
  assert.deepEqual(server.calls.map(({ seqs }) => seqs.length), [1, 9]);
});

test("it says saved only when everything is acknowledged", async () => {
  const { outbox, statuses } = open();
  outbox.add(act(1));
  assert.deepEqual([statuses.at(-1).state, statuses.at(-1).unsaved], ["saving", 1]);
  await settle();
  assert.deepEqual(statuses.at(-1), { state: "saved", unsaved: 0, savedAt: "2026-11-21T12:03:07Z" });
});

test("without a network it says so, waits longer each time, and loses nothing", async () => {
  const { outbox, server, statuses, timers } = open();
  server.failure = { status: 0 };
  for (const finding of [1, 2, 3]) outbox.add(act(finding));
  await settle();
  assert.deepEqual([statuses.at(-1).state, statuses.at(-1).unsaved], ["offline", 3]);
  const delays = [];
  for (let turn = 0; turn < 7; turn += 1) delays.push(...(await timers.run()));
  assert.ok(delays.every((delay, index) => index === 0 || delay >= delays[index - 1]) && delays.at(-1) > delays[0]);
  server.failure = null;
  await timers.run();
  assert.deepEqual(server.stored.map(({ seq }) => seq), [1, 2, 3]);
  assert.equal(statuses.at(-1).state, "saved");
});

test("the network's return is used at once", async () => {
  const { outbox, server } = open();
  server.failure = { status: 0 };
  outbox.add(act(1));
  await settle();
  server.failure = null;
  outbox.retry();
  await settle();
  assert.equal(server.stored.length, 1);
});

test("an answer that got lost makes a retry, not a second verdict", async () => {
  const { outbox, server, timers } = open();
  const { send } = server;
  let lost = true;
  outbox.send = async (...given) => {
    const answer = await send(...given);
    if (lost) throw Object.assign(new Error("lost"), { status: 0 });
    return answer;
  };
  outbox.add(act(1));
  await settle();
  lost = false;
  await timers.run();
  assert.equal(server.stored.length, 1);
  assert.equal(outbox.unsaved, 0);
});

test("what is unsaved lies in the storage, and is gone from it once acknowledged", async () => {
  const { outbox, server, storage, timers } = open();
  server.failure = { status: 0 };
  outbox.add(act(1));
  await settle();
  assert.match(storage.getItem("outfold.outbox.here"), /"finding":1/);
  server.failure = null;
  await timers.run();
  assert.equal(storage.length, 0);
});

test("after a reload the old acts go first, under their old client", async () => {
  const before = open({ client: "old" });
  before.server.failure = { status: 0 };
  before.outbox.add(act(1));
  before.outbox.add(act(2));
  await settle();
  const after = open({ storage: before.storage, client: "new" });
  assert.equal(after.outbox.adopt(), 2);
  after.outbox.add(act(3));
  await settle();
  assert.deepEqual(after.server.stored.map(({ client, seq }) => [client, seq]), [["old", 1], ["old", 2], ["new", 1]]);
  assert.equal(before.storage.length, 0);
});

test("the acts of a living tab and of somebody else are left alone", async () => {
  const left = (name) => JSON.stringify({ name, acts: [{ seq: 1, ...act(1) }] });
  const storage = new FakeStorage({ "outfold.outbox.tab": left("Ann"), "outfold.outbox.bob": left("Bob"), "outfold.outbox.bad": "{" });
  const { outbox } = open({ storage });
  assert.equal(outbox.adopt((client) => client === "tab"), 0);
  assert.equal(storage.length, 3);
});

test("an act the server will never take is dropped alone and reported", async () => {
  const { outbox, server, refused } = open();
  server.judge = ({ seq }) => (seq === 2 ? { error: "no such finding", cure: "reload", status: 404 } : null);
  for (const finding of [1, 2, 3]) outbox.add(act(finding));
  await settle();
  assert.deepEqual(server.stored.map(({ seq }) => seq), [1, 3]);
  assert.deepEqual(refused.map(([seq, error]) => [seq, error.error]), [[2, "no such finding"]]);
  assert.equal(outbox.unsaved, 0);
});

test("a refused request is taken apart to find the culprit", async () => {
  const { outbox, server, refused } = open();
  const { send } = server;
  outbox.send = async (client, acts) => {
    if (acts.some(({ seq }) => seq === 3)) throw Object.assign(new Error("bad"), { status: 400, body: { error: "bad" } });
    return send(client, acts);
  };
  for (const finding of [1, 2, 3, 4]) outbox.add(act(finding));
  await settle();
  assert.deepEqual(server.stored.map(({ seq }) => seq), [1, 2, 4]);
  assert.deepEqual(refused.map(([seq]) => seq), [3]);
});

test("what something on the way answers in the server's place loses no verdict", async () => {
  const { outbox, server, refused, timers } = open();
  server.failure = { status: 404, body: {} };
  for (const finding of [1, 2]) outbox.add(act(finding));
  await settle();
  assert.deepEqual([outbox.unsaved, refused], [2, []]);
  server.failure = null;
  await timers.run();
  assert.deepEqual(server.stored.map(({ seq }) => seq), [1, 2]);
});

test("an act that could not be stored this time stays with everything behind it", async () => {
  const { outbox, server, timers } = open();
  let busy = true;
  server.judge = ({ seq }) => (seq === 2 && busy ? { error: "busy", status: 503 } : null);
  for (const finding of [1, 2, 3]) outbox.add(act(finding));
  await settle();
  assert.equal(outbox.unsaved, 2);
  busy = false;
  await timers.run();
  assert.equal(outbox.unsaved, 0);
  assert.deepEqual(server.stored.map(({ seq }) => seq).sort(), [1, 2, 3]);
});

test("without a name acts wait for one", async () => {
  const { outbox, server, statuses } = open();
  server.failure = { status: 401 };
  outbox.add(act(1));
  await settle();
  assert.equal(statuses.at(-1).state, "name");
  server.failure = null;
  outbox.identify("Ann");
  await settle();
  assert.equal(statuses.at(-1).state, "saved");
});

test("leaving the page sends once more and keeps the stored copy", async () => {
  const { outbox, server, storage } = open();
  server.failure = { status: 0 };
  outbox.add(act(1));
  await settle();
  outbox.flush();
  await settle();
  assert.equal(server.calls.at(-1).keepalive, true);
  assert.equal(storage.length, 1);
});

test("drained waits for the last acknowledgement", async () => {
  const { outbox, server, timers } = open();
  server.failure = { status: 0 };
  outbox.add(act(1));
  let drained = false;
  outbox.drained().then(() => {
    drained = true;
  });
  await settle();
  assert.equal(drained, false);
  server.failure = null;
  await timers.run();
  assert.equal(drained, true);
});

test("480 acts in one go arrive once each and in order", async () => {
  const { outbox, server } = open();
  for (let finding = 1; finding <= 480; finding += 1) outbox.add(act(finding));
  for (let turn = 0; turn < 20; turn += 1) await settle();
  assert.deepEqual(server.stored.map(({ seq }) => seq), Array.from({ length: 480 }, (_, index) => index + 1));
});

test("a storage that refuses does not stop the work", async () => {
  const storage = new FakeStorage();
  storage.setItem = () => {
    throw new Error("full");
  };
  const { outbox, server } = open({ storage });
  outbox.add(act(1));
  await settle();
  assert.equal(server.stored.length, 1);
});

test("the newest decision on its way is known, unless an undo may take it back", async () => {
  const { outbox, server } = open();
  server.failure = { status: 0 };
  outbox.add(act(5));
  outbox.add({ round: 1, op: "decide", decisions: [{ finding: 5, verdict: "keep" }] });
  assert.deepEqual([outbox.unsentDecision(5).verdict, outbox.unsentDecision(6)], ["keep", null]);
  outbox.add({ round: 1, op: "undo" });
  assert.equal(outbox.unsentDecision(5), null);
});
