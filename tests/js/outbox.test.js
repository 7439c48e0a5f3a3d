import assert from "node:assert/strict";
import { test } from "node:test";

import { KeptActs, Outbox } from "../../app/components/shared/outbox.js";
import { FakeKept, FakeServer, FakeStorage, FakeTimers, settle } from "./fakes.js";

function open(over = {}) {
  const world = { server: new FakeServer(), kept: new FakeKept(), timers: new FakeTimers(), statuses: [], refused: [], answered: [], heldBack: [] };
  Object.assign(world, over);
  world.outbox = new Outbox({
    send: world.server.send, kept: world.kept, client: over.client ?? "here", name: "Ann", timers: world.timers,
    onStatus: (status) => world.statuses.push(status), onResult: (entry, result) => world.answered.push([entry.act.seq, result]),
    onRefused: (entry, error) => world.refused.push([entry.act.seq, error]),
    onHeld: (entries, error) => world.heldBack.push([entries.map(({ act: one }) => one.seq), error.error]),
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
  assert.deepEqual(statuses.at(-1), { state: "saved", unsaved: 0, held: 0, savedAt: "2026-11-21T12:03:07Z" });
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

test("unsaved acts are kept until they are acknowledged", async () => {
  const { outbox, server, kept, timers } = open();
  server.failure = { status: 0 };
  outbox.add(act(1));
  await settle();
  assert.deepEqual([...kept.records.values()], [{ client: "here", name: "Ann", act: { seq: 1, ...act(1) } }]);
  server.failure = null;
  await timers.run();
  assert.equal(kept.records.size, 0);
});

test("after a reload the old acts go first, under their old client", async () => {
  const before = open({ client: "old" });
  before.server.failure = { status: 0 };
  before.outbox.add(act(1));
  before.outbox.add(act(2));
  await settle();
  const after = open({ kept: before.kept, client: "new" });
  assert.equal(await after.outbox.adopt(), 2);
  after.outbox.add(act(3));
  await settle();
  assert.deepEqual(after.server.stored.map(({ client, seq }) => [client, seq]), [["old", 1], ["old", 2], ["new", 1]]);
  assert.equal(before.kept.records.size, 0);
});

test("it says saved only once it has looked at what dead clients left", async () => {
  const kept = new FakeKept([{ client: "old", name: "Ann", act: { seq: 1, ...act(1) } }]);
  const { outbox, statuses } = open({ kept });
  const adopted = outbox.adopt();
  assert.equal(statuses.at(-1).state, "saving");
  await adopted;
  await settle();
  const told = statuses.map(({ state, unsaved }) => `${state} ${unsaved}`);
  assert.deepEqual([told[0], told.indexOf("saved 0") > told.indexOf("saving 1"), told.at(-1)], ["saving 0", true, "saved 0"]);
});

test("the acts of a living tab and of another annotator are left alone", async () => {
  const kept = new FakeKept([{ client: "tab", name: "Ann", act: { seq: 1, ...act(1) } }, { client: "bob", name: "Bob", act: { seq: 1, ...act(1) } }]);
  const { outbox } = open({ kept });
  assert.equal(await outbox.adopt((client) => client === "tab"), 0);
  assert.equal(kept.records.size, 2);
});

test("taking over twice at the same time takes each act once", async () => {
  const kept = new FakeKept([{ client: "old", name: "Ann", act: { seq: 1, ...act(1) } }]);
  const { outbox, server } = open({ kept });
  server.failure = { status: 0 };
  assert.deepEqual(await Promise.all([outbox.adopt(), outbox.adopt()]), [1, 0]);
  assert.equal(outbox.unsaved, 1);
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

test("an answer of a proxy loses no verdict", async () => {
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
  const { outbox, server, kept } = open();
  server.failure = { status: 0 };
  outbox.add(act(1));
  await settle();
  outbox.flush();
  await settle();
  assert.equal(server.calls.at(-1).keepalive, true);
  assert.equal(kept.records.size, 1);
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

test("a browser that keeps nothing does not stop the work", async () => {
  const kept = new KeptActs("verdicts", { opening: Promise.resolve(null), former: new FakeStorage() });
  const { outbox, server } = open({ kept });
  outbox.add(act(1));
  await settle();
  assert.equal(server.stored.length, 1);
  assert.deepEqual(await kept.all(), []);
});

test("a full database is reported", async () => {
  const closed = { transaction: () => { throw new Error("InvalidStateError"); } };
  const kept = new KeptActs("verdicts", { opening: Promise.resolve(closed), former: new FakeStorage() });
  assert.equal(await kept.put("here", "Ann", [{ seq: 1 }]), false);
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

const deleted = (round) => (one) => (one.round === round ? { error: "pets, Round 1 was deleted by Ben", status: 410, deleted: true, images: ["cat/1.png"] } : null);

test("verdicts on a deleted round are reported and kept, block nothing, and are stored once it is restored", async () => {
  const { outbox, server, statuses, timers, heldBack, answered, kept } = open();
  server.judge = deleted(1);
  outbox.add(act(5));
  await settle();
  outbox.add(act(6));
  outbox.add({ ...act(7), round: 2 });
  await settle();
  assert.deepEqual(heldBack, [[[1], "pets, Round 1 was deleted by Ben"], [[1, 2], "pets, Round 1 was deleted by Ben"]]);
  assert.deepEqual(server.stored.map(({ seq }) => seq), [3], "another round's are stored");
  assert.deepEqual([statuses.at(-1).state, statuses.at(-1).unsaved, statuses.at(-1).held], ["saved", 0, 2]);
  assert.deepEqual([...outbox.pendingFindings()], [5, 6]);
  await timers.run();
  assert.equal(heldBack.length, 2, "it is told once");
  server.judge = () => null;
  await timers.run();
  assert.deepEqual(server.stored.map(({ seq }) => seq), [3, 1, 2]);
  assert.deepEqual(answered.map(([seq]) => seq), [3, 1, 2]);
  assert.equal(statuses.at(-1).held, 0);
  assert.deepEqual(await kept.all(), []);
});

test("a page that is opened later takes them over, with the names of their images, and another person does not", async () => {
  const first = open();
  first.server.judge = deleted(1);
  first.outbox.add(act(5));
  await settle();
  const other = open({ kept: first.kept, client: "other" });
  other.outbox.name = "Ben";
  assert.equal(await other.outbox.adopt(), 0);
  const later = open({ kept: first.kept, server: first.server, client: "later" });
  assert.equal(await later.outbox.adopt(), 1);
  await settle();
  assert.deepEqual(later.heldBack.map(([seqs]) => seqs), [[1]]);
  assert.deepEqual(later.outbox.held[0].act.images, ["cat/1.png"]);
  first.server.judge = () => ({ error: "there is no finding 5", status: 404 }); // removed for good
  await later.timers.run();
  assert.deepEqual(later.refused.map(([seq]) => seq), [1]);
  assert.deepEqual(await first.kept.all(), []);
});

test("an undo takes back what is held, and is refused where nothing is", async () => {
  const { outbox, server, answered, refused, kept } = open();
  server.judge = deleted(1);
  outbox.add(act(5));
  outbox.add({ round: 1, op: "undo" });
  await settle();
  assert.deepEqual(answered, [[2, { taken: true }]]);
  assert.equal(outbox.held.length, 0);
  outbox.add({ round: 1, op: "undo" });
  await settle();
  assert.deepEqual(refused.map(([seq]) => seq), [3]);
  assert.deepEqual(await kept.all(), []);
});
