import assert from "node:assert/strict";
import { test } from "node:test";

import { deflate, inflate } from "../../app/components/mask_editor/codec.js";
import { Journal } from "../../app/components/mask_editor/journal.js";
import { merge } from "../../app/components/mask_editor/merge.js";
import { openPicture } from "../../app/components/mask_editor/picture.js";
import { recover } from "../../app/components/mask_editor/recovery.js";
import { Saver } from "../../app/components/mask_editor/saver.js";
import { FakeTimers, settle } from "./fakes.js";

/** Keeps masks by version and knows a request again by (client, seq), like the real one. */
class FakeMaskServer {
  constructor(labels) {
    this.versions = [Uint8Array.from(labels)];
    this.answered = new Map();
    this.calls = [];
    this.failure = null;
    this.lose = false;
  }
  get version() {
    return `v${this.versions.length - 1}`;
  }
  get labels() {
    return this.versions.at(-1);
  }
  put(labels) {
    this.versions.push(Uint8Array.from(labels));
  }
  send = async ({ client, seq, base, finding, body, keepalive }) => {
    this.calls.push({ seq, base, finding, keepalive });
    if (this.failure) throw this.failure;
    const key = `${client}/${seq}`;
    if (!this.answered.has(key)) {
      if (base !== this.version) throw failure(409, { error: "somebody else saved" });
      this.put(body);
      this.answered.set(key, { version: this.version, saved_at: "2026-11-21T12:03:07Z" });
    }
    if (this.lose) throw failure(0);
    return this.answered.get(key);
  };
}

function failure(status, body = {}) {
  return Object.assign(new Error("failed"), { status, body });
}

function open(labels = [0, 0, 0, 0], over = {}) {
  const world = { server: new FakeMaskServer(labels), timers: new FakeTimers(), labels: Uint8Array.from(labels), statuses: [], kept: null, conflicts: [], refused: [] };
  let seq = 0;
  world.saver = new Saver({
    base: "v0", client: "here", nextSeq: () => (seq += 1), read: () => world.labels.slice(), encode: async (map) => map, send: world.server.send,
    keep: (record) => { world.kept = record; }, forget: () => { world.kept = null; }, timers: world.timers,
    onStatus: (status) => world.statuses.push(status), onConflict: (error) => world.conflicts.push(error), onRefused: (error) => world.refused.push(error), ...over,
  });
  world.stroke = (place, value, finding = 1) => {
    world.labels[place] = value;
    world.saver.touch(finding);
  };
  return world;
}

test("a stroke is saved after a moment, and several at once", async () => {
  const { saver, server, timers, stroke, statuses } = open();
  stroke(0, 5);
  stroke(1, 6, 9);
  assert.deepEqual(statuses.at(-1), { state: "saving", unsaved: 1, savedAt: null });
  assert.equal(server.calls.length, 0);
  assert.deepEqual(await timers.run(), [300]);
  assert.deepEqual([...server.labels], [5, 6, 0, 0]);
  assert.deepEqual(server.calls, [{ seq: 1, base: "v0", finding: 9, keepalive: false }]);
  assert.deepEqual(statuses.at(-1), { state: "saved", unsaved: 0, savedAt: "2026-11-21T12:03:07Z" });
  assert.equal(saver.base, "v1");
});

test("one request is on its way, and what was painted meanwhile follows from its version", async () => {
  const { saver, server, stroke, timers } = open();
  stroke(0, 1);
  const first = saver.flush();
  stroke(1, 2);
  await first;
  await timers.run();
  assert.deepEqual(server.calls.map(({ seq, base }) => [seq, base]), [[1, "v0"], [2, "v1"]]);
  assert.deepEqual([...server.labels], [1, 2, 0, 0]);
});

test("without a network it waits longer each time, says so, and then saves all", async () => {
  const { server, stroke, timers, statuses } = open();
  server.failure = failure(0);
  stroke(0, 1);
  await timers.run();
  assert.equal(statuses.at(-1).state, "offline");
  stroke(1, 2);
  const delays = [];
  for (let turn = 0; turn < 7; turn += 1) delays.push(Math.max(...(await timers.run())));
  assert.deepEqual(delays, [400, 800, 1600, 3200, 6400, 12_000, 12_000]);
  server.failure = null;
  await timers.run();
  assert.deepEqual([...server.labels], [1, 2, 0, 0]);
  assert.equal(statuses.at(-1).state, "saved");
});

test("an answer that got lost makes a retry, not a conflict", async () => {
  const { server, stroke, timers, saver, conflicts } = open();
  server.lose = true;
  stroke(0, 1);
  await timers.run();
  stroke(1, 2);
  server.lose = false;
  await timers.run();
  await timers.run();
  assert.deepEqual([...server.labels], [1, 2, 0, 0]);
  assert.equal(server.versions.length, 3);
  assert.deepEqual([saver.unsaved, conflicts.length], [false, 0]);
});

test("somebody else's save stops it until a person has chosen", async () => {
  const { server, stroke, timers, saver, conflicts, statuses } = open();
  server.put([7, 7, 0, 0]);
  stroke(3, 1);
  await timers.run();
  assert.equal(conflicts.length, 1);
  assert.equal(statuses.at(-1).state, "conflict");
  stroke(2, 1);
  await timers.run();
  assert.equal(server.versions.length, 2);
  await saver.rebase("v1");
  await settle();
  assert.deepEqual([...server.labels], [0, 0, 1, 1]);
  assert.equal(saver.state, "saved");
});

test("what is unsaved is kept in the journal, with the request that got no answer, until it is acknowledged", async () => {
  const world = open();
  world.server.lose = true;
  world.stroke(0, 1);
  assert.deepEqual([[...world.kept.labels], world.kept.base, world.kept.sent], [[1, 0, 0, 0], "v0", null]);
  await world.timers.run();
  assert.equal(world.kept.sent.seq, 1);
  world.server.lose = false;
  await world.timers.run();
  assert.equal(world.kept, null);
});

test("theirs loaded: nothing is left to save", async () => {
  const world = open();
  world.server.put([7, 7, 0, 0]);
  world.stroke(3, 1);
  await world.timers.run();
  await world.saver.rebase("v1", { clean: true });
  assert.deepEqual([world.saver.state, world.kept, world.server.versions.length], ["saved", null, 2]);
});

test("what the server will never take is not sent for ever, and the next stroke tries again", async () => {
  const { server, stroke, timers, saver, refused } = open();
  server.failure = failure(400, { error: "class 9 is none" });
  stroke(0, 9);
  await timers.run();
  assert.deepEqual([refused.length, saver.state, timers.waiting.size], [1, "refused", 0]);
  server.failure = null;
  stroke(0, 1);
  await timers.run();
  assert.equal(saver.state, "saved");
});

test("what something on the way answers in the server's place is no refusal", async () => {
  const { server, stroke, timers, saver } = open();
  server.failure = failure(409);
  stroke(0, 1);
  await timers.run();
  assert.equal(saver.state, "offline");
});

test("without a name it waits for one", async () => {
  const { server, stroke, timers, saver } = open();
  server.failure = failure(401, { error: "nobody knows who you are" });
  stroke(0, 1);
  await timers.run();
  assert.equal(saver.state, "name");
  server.failure = null;
  await saver.retry();
  assert.equal(saver.state, "saved");
});

test("while it is paused nothing is sent, and afterwards all of it", async () => {
  const { server, stroke, timers, saver } = open();
  stroke(0, 1);
  const first = saver.flush();
  await saver.pause();
  await first;
  stroke(1, 1);
  await timers.run();
  assert.equal(server.versions.length, 2);
  await saver.resume();
  assert.equal(server.versions.length, 3);
});

test("leaving the page sends the packed request again with one that outlives it", async () => {
  const { server, stroke, timers, saver } = open();
  server.failure = failure(0);
  stroke(0, 1);
  await timers.run();
  saver.leave();
  await settle();
  assert.deepEqual(server.calls.map(({ seq, keepalive }) => [seq, keepalive]), [[1, false], [1, true]]);
});

test("drained waits for the last acknowledgement", async () => {
  const { stroke, timers, saver } = open();
  await saver.drained();
  stroke(0, 1);
  let drained = false;
  saver.drained().then(() => { drained = true; });
  await settle();
  assert.equal(drained, false);
  await timers.run();
  assert.equal(drained, true);
});

test("masks travel as zlib streams of one or two bytes a pixel", async () => {
  const wide = Uint16Array.from([1, 300, 65_535]);
  assert.deepEqual(await inflate(await deflate(wide), "uint16", 3), wide);
  const narrow = Uint8Array.from({ length: 5000 }, (_, place) => place % 7);
  const packed = await deflate(narrow);
  assert.equal(packed[0], 0x78);
  assert.deepEqual(await inflate(packed, "uint8", 5000), narrow);
  await assert.rejects(inflate(packed, "uint8", 4999), /5000 bytes/);
});

test("two people's changes are put together, and where they differ it is counted", () => {
  const base = Uint8Array.from([0, 0, 0, 0]);
  const merged = merge(base, Uint8Array.from([1, 1, 0, 3]), Uint8Array.from([0, 2, 2, 3]));
  assert.deepEqual([...merged.labels], [1, 1, 2, 3]);
  assert.deepEqual([merged.mine, merged.theirs, merged.both], [3, 3, 1]);
});

const record = (labels, base, sent = null) => ({ labels: Uint8Array.from(labels), base, sent });
function recovering(kept, server, { reached = true } = {}) {
  return recover(kept, {
    version: server.version, theirs: server.labels, fetchLabels: async (version) => server.versions[Number(version.slice(1))],
    send: reached ? server.send : async () => { throw failure(0); },
  });
}

test("a verdict given while a person has yet to choose between two masks decides nothing for them", async () => {
  const server = new FakeMaskServer([0, 0, 0, 0]);
  const about = { sample: 1, given: null, width: 2, height: 2, ignore: 255, regions: [{ id: 9, given: 0, pseudo: 1, status: "open", runs: [1, 1, 1] }] };
  const api = {
    mask: async () => ({ ...about, version: server.version }), labels: async (_, version) => server.versions[Number(version.slice(1))].slice(),
    predicted: () => Promise.reject(failure(404)), save: async (_, sent) => server.send({ ...sent, body: await inflate(sent.body, "uint8", 4) }),
  };
  const conflicts = [];
  const post = async () => {
    server.put([7, 0, 0, 1]);
    return { changeset: 3, items: [{ id: 9, status: "accept" }] };
  };
  const on = { status() {}, saved() {}, repaint() {}, conflict: (error) => conflicts.push(error), refused: (error) => assert.fail(error) };
  const picture = await openPicture({
    api, journal: new Journal(null, "here"), sample: 1, round: 1, person: () => "ada", client: "here", nextSeq: () => server.calls.length + 1, isAlive: () => true, post, on,
  });
  server.put([7, 0, 0, 0]);
  picture.painting.begin();
  picture.painting.paint([0, 0, 1], 5);
  picture.painting.end();
  picture.touched();
  await picture.saver.flush();
  assert.equal(conflicts.length, 1);
  picture.judge("accept");
  await picture.acts;
  await picture.saver.flush();
  assert.equal(picture.saver.state, "conflict");
  assert.deepEqual([...server.labels], [7, 0, 0, 1]);
  assert.equal(picture.regions[0].status, "accept");
  await picture.putMine();
  await picture.saver.flush();
  assert.deepEqual([...server.labels], [5, 0, 0, 1]);
});

test("what the server already has is not recovered", async () => {
  const server = new FakeMaskServer([1, 0]);
  assert.deepEqual(await recovering(record([1, 0], "v9"), server), { labels: server.labels, base: "v0", state: "saved" });
});

test("unsaved labels are recovered on the version they were made from", async () => {
  const found = await recovering(record([1, 0], "v0"), new FakeMaskServer([0, 0]));
  assert.deepEqual([[...found.labels], found.base, found.state], [[1, 0], "v0", "unsaved"]);
});

test("an unanswered request is repeated first, whether it had arrived or not", async () => {
  for (const arrived of [true, false]) {
    const server = new FakeMaskServer([0, 0, 0]);
    const sent = { client: "old", seq: 4, base: "v0", finding: 1, body: Uint8Array.from([1, 0, 0]) };
    if (arrived) await server.send(sent);
    const found = await recovering(record([1, 1, 0], "v0", sent), server);
    assert.deepEqual([[...found.labels], found.base, found.state, server.versions.length], [[1, 1, 0], "v1", "unsaved", 2]);
  }
});

test("when somebody else saved meanwhile, other pixels are put together and the same ones are a conflict", async () => {
  const server = new FakeMaskServer([0, 0, 0]);
  server.put([0, 0, 5]);
  const found = await recovering(record([1, 0, 0], "v0"), server);
  assert.deepEqual([[...found.labels], found.base, found.state], [[1, 0, 5], "v1", "unsaved"]);
  assert.equal((await recovering(record([1, 0, 2], "v0"), server)).state, "conflict");
});

test("what was painted before the classes outgrew a byte is recovered in two bytes, and its request is not sent again", async () => {
  const server = new FakeMaskServer([0, 0, 0]);
  server.versions = [Uint16Array.from([0, 0, 65_535])];
  const sent = { client: "old", seq: 4, base: "v0", body: Uint8Array.from([1, 0, 255]) };
  const found = await recovering(record([1, 255, 255], "v0", sent), server);
  assert.deepEqual([[...found.labels], found.labels.constructor, found.state], [[1, 65_535, 65_535], Uint16Array, "unsaved"]);
  assert.deepEqual([found.sent, server.calls.length], [undefined, 0]);
});

test("without a network the unanswered request is taken up as it was", async () => {
  const sent = { client: "old", seq: 4, base: "v0", body: Uint8Array.from([1, 0]) };
  const found = await recovering(record([1, 1], "v0", sent), new FakeMaskServer([0, 0]), { reached: false });
  assert.deepEqual([found.sent, found.base, found.state], [sent, "v0", "unsaved"]);
});

/** Notes what is asked of a browser's database; nothing is answered before `answer()`. */
class FakeStore {
  asked = [];
  committed = 0;
  open = [];
  transaction() {
    const transaction = { commit: () => { this.committed += 1; } };
    const ask = (what) => (value) => {
      this.asked.push([what, value.labels?.[0] ?? value]);
      this.open.push(transaction);
      return { transaction };
    };
    return Object.assign(transaction, { objectStore: () => ({ put: ask("put"), delete: ask("delete") }) });
  }
  answer() {
    for (const transaction of this.open.splice(0)) transaction.oncomplete();
  }
}

test("what is kept is committed with its request, the newest of what waits next, and all of it when the page goes", async () => {
  const store = new FakeStore();
  const journal = new Journal(store, "here");
  for (const label of [1, 2, 3]) journal.keep(7, { labels: [label] });
  assert.deepEqual([store.asked, store.committed], [[["put", 1]], 1]);
  store.answer();
  await settle();
  assert.deepEqual([store.asked.at(-1), store.committed], [["put", 3], 2]);
  journal.keep(7, { labels: [4] });
  journal.leave(); // the answer to the one before may never come
  assert.deepEqual([store.asked.at(-1), store.committed], [["put", 4], 3]);
  store.answer();
  await settle();
  assert.equal(store.asked.length, 3);
});

test("a browser that keeps nothing does not stop the work", async () => {
  const journal = new Journal(null, "here");
  await journal.keep(1, { labels: new Uint8Array(2) });
  await journal.forget(1);
  assert.deepEqual(await journal.left(() => false), []);
});
