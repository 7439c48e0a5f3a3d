import assert from "node:assert/strict";
import { test } from "node:test";
import { inflateSync } from "node:zlib";

import { packTiles } from "../../app/components/mask_editor/api.js";
import { Grid, merge } from "../../app/components/mask_editor/grid.js";
import { Journal, recover } from "../../app/components/mask_editor/journal.js";
import { Painting } from "../../app/components/mask_editor/painting.js";
import { openPicture } from "../../app/components/mask_editor/picture.js";
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
    base: "v0", client: "here", nextSeq: () => (seq += 1), changes: { now: () => world.labels.slice(), record: () => world.labels.slice(), saved() {} }, encode: async (map) => map, send: world.server.send,
    keep: (read) => { world.kept = read(); }, forget: () => { world.kept = null; }, timers: world.timers,
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

test("a mask of a deleted dataset is reported once, kept, sent again as it was, and stored once the dataset is restored", async () => {
  const told = [];
  const { saver, server, stroke, timers, statuses, refused } = open([0, 0, 0, 0], { onHeld: (error) => told.push(error.body.error) });
  server.failure = failure(410, { error: "scenes was deleted by Ben", deleted: true, images: ["scene_000.png"] });
  stroke(0, 1);
  await timers.run();
  assert.deepEqual([saver.state, statuses.at(-1).unsaved, told, refused], ["held", 1, ["scenes was deleted by Ben"], []]);
  stroke(1, 2);
  await timers.run();
  assert.equal(told.length, 1);
  server.failure = null;
  await timers.run();
  await timers.run();
  assert.deepEqual([...server.labels], [1, 2, 0, 0]);
  assert.equal(statuses.at(-1).state, "saved");
  server.failure = failure(404, { error: "there is no image 1" });
  stroke(2, 3);
  await timers.run();
  assert.deepEqual([saver.state, refused.length], ["refused", 1]);
});

test("another annotator's save stops it until a person has chosen", async () => {
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

test("unsaved changes are kept in the journal, with the unanswered request, until it is acknowledged", async () => {
  const world = open();
  world.server.lose = true;
  world.stroke(0, 1);
  assert.deepEqual([[...world.kept.tiles], world.kept.base, world.kept.sent], [[1, 0, 0, 0], "v0", null]);
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

test("a refused save is not repeated, and the next stroke tries again", async () => {
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

test("an answer of a proxy is not a refusal", async () => {
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

/** A painting of one row, or of `width` columns, from which some pixels have been changed since its version. */
function painted(labels, changes = {}, width = labels.length) {
  const map = Uint8Array.from(labels);
  const made = new Painting({ labels: map, given: null, predicted: null, width, height: map.length / width, ignore: 255 });
  made.begin();
  for (const [x, label] of Object.entries(changes)) made.paint([0, Number(x), Number(x) + 1], label);
  made.end();
  return made;
}

/** Return the mask that a server would have after these packed tiles. */
function unpacked(body, base, width, height) {
  const grid = new Grid(base.slice(), width, height);
  const data = inflateSync(body);
  for (let at = 0; at < data.length;) {
    const tile = data.readUInt32LE(at);
    const box = grid.box(tile);
    grid.write(tile, Uint8Array.from(data.subarray(at + 4, at + 4 + box.width * box.height)));
    at += 4 + box.width * box.height;
  }
  return grid.labels;
}

test("only tiles that changed travel, each with its number", async () => {
  const { changes } = painted(new Uint8Array(130), { 64: 9, 129: 8 });
  const body = inflateSync(await packTiles(changes.now()));
  assert.equal(body.length, 4 + 64 + 4 + 2);
  assert.deepEqual([body.readUInt32LE(0), body[4], body.readUInt32LE(68), [...body.subarray(72)]], [1, 9, 2, [0, 8]]);
  assert.equal(inflateSync(await packTiles(new Map())).length, 0);
});

test("saved tiles are not changes any more, those painted meanwhile are", () => {
  const painting = painted(new Uint8Array(130), { 0: 1, 64: 2 });
  const { changes } = painting;
  const sent = changes.now();
  painting.begin();
  painting.paint([0, 1, 2], 5);
  changes.saved(sent); // while a stroke is drawn on a tile of it
  painting.paint([0, 65, 66], 5);
  painting.end();
  assert.deepEqual([...changes.now().keys()], [0, 1]);
  assert.deepEqual([...changes.before.get(0).subarray(0, 2)], [1, 0]);
  painting.undo();
  assert.equal(changes.now().size, 0);
});

test("two people's changes are put together, and where they differ it is counted", () => {
  const painting = painted([0, 0, 0, 0], { 0: 1, 1: 1, 3: 3 });
  const merged = merge(painting, Uint8Array.from([0, 2, 2, 3]));
  assert.deepEqual([...merged.tiles.get(0)], [1, 1, 2, 3]);
  assert.deepEqual([...merged.before.get(0)], [0, 2, 2, 3]);
  assert.deepEqual([merged.mine, merged.theirs, merged.both], [3, 3, 1]);
});

test("another annotator's changes elsewhere are merged tile by tile", () => {
  const painting = painted(new Uint8Array(200), { 3: 1 });
  const theirs = new Uint8Array(200);
  theirs[150] = 7;
  const merged = merge(painting, theirs);
  assert.deepEqual([[...merged.tiles.keys()], [...merged.before.keys()]], [[2], [0]]);
  painting.adopt(merged.tiles);
  painting.changes.rebase(merged.before);
  assert.deepEqual([painting.labels[3], painting.labels[150]], [1, 7]);
  painting.undo();
  assert.deepEqual([painting.labels[150], painting.changes.now().size], [7, 0]);
});

/** What an editor left in the browser: a mask of one row, made from a version of the server's. */
function record(labels, server, base = "v0", sent = null) {
  const before = server.versions[Number(base.slice(1))];
  const tiles = new Map([[0, { before: before.slice(), now: Uint8Array.from(labels) }]]);
  return { tiles, width: labels.length, height: 1, base, sent: sent && { ...sent, tiles: new Map([[0, sent.body]]) } };
}

async function recovering(kept, server, { reached = true } = {}) {
  const theirs = server.labels.slice();
  const found = await recover(kept, {
    version: server.version, theirs, width: theirs.length, height: 1, fetchLabels: async (version) => server.versions[Number(version.slice(1))].slice(),
    send: reached ? server.send : async () => { throw failure(0); },
  });
  const grid = new Grid(found.labels.slice(), theirs.length, 1);
  for (const [tile, labels] of found.stored ?? []) grid.write(tile, labels);
  const beneath = grid.labels.slice();
  for (const [tile, labels] of found.tiles) grid.write(tile, labels);
  return { ...found, beneath, labels: grid.labels };
}

test("a verdict given while a person has yet to choose between two masks decides nothing for them", async () => {
  const server = new FakeMaskServer([0, 0, 0, 0]);
  const about = { sample: 1, given: null, width: 2, height: 2, ignore: 255, classes: [], offered: [], colours: [], regions: [{ id: 9, given: 0, pseudo: 1, status: "open", runs: [1, 1, 1] }] };
  const api = {
    mask: async () => ({ ...about, version: server.version }), labels: async (_, version) => server.versions[Number(version.slice(1))].slice(),
    predicted: () => Promise.reject(failure(404)), save: async (_, sent) => server.send({ ...sent, body: unpacked(sent.body, server.versions[Number(sent.base.slice(1))], 2, 2) }),
  };
  const conflicts = [];
  const post = async () => {
    server.put([7, 0, 0, 1]);
    return { changeset: 3, items: [{ id: 9, status: "accept" }] };
  };
  const on = { status() {}, saved() {}, repaint() {}, loaded() {}, conflict: (error) => conflicts.push(error), refused: (error) => assert.fail(error) };
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

test("strokes of an earlier visit are taken back one by one and done again, those of others are not", async () => {
  const server = new FakeMaskServer([0, 0, 0, 0]);
  server.put([1, 0, 0, 0]);
  server.put([1, 2, 0, 0]);
  let edits = [{ by: "ada", base: "v1" }, { by: "bob", base: "v0" }];
  const about = { sample: 1, given: null, width: 2, height: 2, ignore: 255, classes: [], offered: [], colours: [], dtype: "uint8", regions: [] };
  const api = {
    mask: async () => ({ ...about, edits, version: server.version }), labels: async (_, version) => server.versions[Number(version.slice(1))].slice(),
    save: async (_, sent) => server.send({ ...sent, body: unpacked(sent.body, server.versions[Number(sent.base.slice(1))], 2, 2) }),
  };
  const on = { status() {}, saved() {}, repaint() {}, loaded() {}, conflict: (error) => assert.fail(error), refused: (error) => assert.fail(error) };
  const picture = await openPicture({
    api, journal: new Journal(null, "here"), sample: 1, round: null, person: () => "ada", client: "here", nextSeq: () => server.calls.length + 1, isAlive: () => true, post: null, on,
  });
  assert.equal(await picture.undoEarlier("ada"), "");
  assert.deepEqual([...picture.painting.labels], [1, 0, 0, 0]);
  await picture.saver.flush();
  assert.deepEqual([...server.labels], [1, 0, 0, 0]);
  edits = edits.slice(1);
  assert.match(await picture.undoEarlier("ada"), /by bob/);
  edits = [];
  assert.match(await picture.undoEarlier("ada"), /Nothing left/);
  assert.ok(picture.redo());
  await picture.saver.flush();
  assert.deepEqual([...server.labels], [1, 2, 0, 0]);
  server.put([9, 9, 9, 9]);
  edits = [{ by: "ada", base: "v0" }];
  assert.match(await picture.undoEarlier("ada"), /changed elsewhere/);
  assert.deepEqual([...picture.painting.labels], [1, 2, 0, 0]);
});

test("changes that the server already has are not recovered", async () => {
  const server = new FakeMaskServer([1, 0]);
  const found = await recovering({ ...record([1, 0], server), base: "v9" }, server);
  assert.deepEqual([[...found.labels], found.base, found.state, found.tiles.size], [[1, 0], "v0", "saved", 0]);
});

test("unsaved tiles are recovered on the version they were made from", async () => {
  const server = new FakeMaskServer([0, 0]);
  const found = await recovering(record([1, 0], server), server);
  assert.deepEqual([[...found.labels], [...found.beneath], found.base, found.state], [[1, 0], [0, 0], "v0", "unsaved"]);
});

test("an unanswered request is repeated first, whether it had arrived or not", async () => {
  for (const arrived of [true, false]) {
    const server = new FakeMaskServer([0, 0, 0]);
    const sent = { client: "old", seq: 4, base: "v0", finding: 1, body: Uint8Array.from([1, 0, 0]) };
    const kept = record([0, 1, 0], server, "v0", sent); // its stroke was taken back before an answer came
    if (arrived) await server.send(sent);
    const found = await recovering(kept, server);
    assert.deepEqual([[...found.labels], [...found.beneath], found.base, found.state, server.versions.length], [[0, 1, 0], [1, 0, 0], "v1", "unsaved", 2]);
  }
});

test("a stroke whose request had not arrived is one act that can be taken back, and not sent twice", async () => {
  const server = new FakeMaskServer([0, 0, 0, 0]);
  const sent = { client: "old", seq: 4, base: "v0", finding: null, body: await packTiles(new Map([[0, Uint8Array.from([1, 0, 0, 0])]])), tiles: new Map([[0, Uint8Array.from([1, 0, 0, 0])]]) };
  const tiles = new Map([[0, { before: new Uint8Array(4), now: Uint8Array.from([1, 0, 0, 0]) }]]);
  const left = { client: "old", sample: 1, round: null, name: "ada", image: "one", width: 2, height: 2, base: "v0", finding: null, tiles, sent, at: "2026-11-29T04:00:00Z" };
  const journal = { left: async () => [left], drop: async () => {}, keep() {}, forget() {} };
  const api = {
    mask: async () => ({ sample: 1, given: null, width: 2, height: 2, ignore: 255, dtype: "uint8", classes: ["sky", "road"], offered: [0, 1], regions: [], edits: [], version: server.version }),
    labels: async (_, version) => server.versions[Number(version.slice(1))].slice(),
    save: async (_, one) => server.send({ ...one, body: unpacked(one.body, server.versions[Number(one.base.slice(1))], 2, 2) }),
  };
  const on = { status() {}, saved() {}, repaint() {}, loaded() {}, conflict: (error) => assert.fail(error), refused: (error) => assert.fail(error) };
  const picture = await openPicture({ api, journal, sample: 1, round: null, person: () => "ada", client: "here", nextSeq: () => server.calls.length + 1, isAlive: () => false, post: null, on });
  await picture.saver.flush();
  assert.deepEqual([[...server.labels], server.calls.filter(({ seq }) => seq === 4).length, picture.saver.state], [[1, 0, 0, 0], 1, "saved"]);
  assert.ok(picture.undo());
  await picture.saver.flush();
  assert.deepEqual([...server.labels], [0, 0, 0, 0]);
});

test("after another save, different pixels are merged and the same ones are a conflict", async () => {
  const server = new FakeMaskServer([0, 0, 0]);
  server.put([0, 0, 5]);
  const found = await recovering(record([1, 0, 0], server), server);
  assert.deepEqual([[...found.labels], found.base, found.state], [[1, 0, 5], "v1", "unsaved"]);
  const disputed = await recovering(record([1, 0, 2], server), server);
  assert.deepEqual([disputed.state, disputed.base, [...disputed.labels], [...disputed.beneath]], ["conflict", "v0", [1, 0, 2], [0, 0, 0]]);
});

test("another save upon the own unanswered request that had arrived is merged with later changes", async () => {
  const server = new FakeMaskServer([0, 0, 0]);
  const sent = { client: "old", seq: 4, base: "v0", finding: 1, body: Uint8Array.from([1, 0, 0]) };
  const kept = record([1, 1, 0], server, "v0", sent);
  await server.send(sent);
  server.put([7, 0, 7]);
  const found = await recovering(kept, server);
  assert.deepEqual([[...found.labels], found.base, found.state], [[7, 1, 7], "v2", "unsaved"]);
});

test("changes from before the classes outgrew a byte are recovered in two bytes, and their request is not sent again", async () => {
  const server = new FakeMaskServer([0, 255, 255]);
  const kept = record([1, 255, 255], server, "v0", { client: "old", seq: 4, base: "v0", body: Uint8Array.from([1, 0, 255]) });
  server.versions = [Uint16Array.from([0, 65_535, 65_535])];
  const found = await recovering(kept, server);
  assert.deepEqual([[...found.labels], found.labels.constructor, found.state], [[1, 65_535, 65_535], Uint16Array, "unsaved"]);
  assert.deepEqual([found.sent, server.calls.length], [undefined, 0]);
});

test("without a network the unanswered request is taken up as it was", async () => {
  const server = new FakeMaskServer([0, 0]);
  const kept = record([1, 1], server, "v0", { client: "old", seq: 4, base: "v0", body: Uint8Array.from([1, 0]) });
  const found = await recovering(kept, server, { reached: false });
  assert.deepEqual([found.sent, found.base, found.state], [kept.sent, "v0", "unsaved"]);
});

test("a whole mask that an older page kept is recovered too", async () => {
  const server = new FakeMaskServer([0, 0, 0]);
  server.put([0, 0, 5]);
  const found = await recovering({ labels: Uint8Array.from([1, 0, 0]), base: "v0", sent: { seq: 1 } }, server);
  assert.deepEqual([[...found.labels], found.base, found.state, server.calls.length], [[1, 0, 5], "v1", "unsaved", 0]);
});

test("tiles of an image that has another size now are let go", async () => {
  const server = new FakeMaskServer([0, 0, 0]);
  const found = await recovering({ ...record([1, 0, 0], server), width: 1, height: 3 }, server);
  assert.equal(found.state, "saved");
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

test("a record is committed with its request, the newest waiting one next, and all of them when the page closes", async () => {
  const store = new FakeStore();
  const journal = new Journal(store, "here");
  for (const label of [1, 2, 3]) journal.keep(7, () => ({ labels: [label] }));
  assert.deepEqual([store.asked, store.committed], [[["put", 1]], 1]);
  store.answer();
  await settle();
  assert.deepEqual([store.asked.at(-1), store.committed], [["put", 3], 2]);
  journal.keep(7, () => ({ labels: [4] }));
  journal.leave(); // the answer to the one before may never come
  assert.deepEqual([store.asked.at(-1), store.committed], [["put", 4], 3]);
  store.answer();
  await settle();
  assert.equal(store.asked.length, 3);
});

test("a browser that keeps nothing does not stop the work", async () => {
  const journal = new Journal(null, "here");
  await journal.keep(1, () => ({ labels: new Uint8Array(2) }));
  await journal.forget(1);
  assert.deepEqual(await journal.left(() => false), []);
});
