// Acts on their way to the server: numbered, kept by the browser until acknowledged, sent again until they are.
//
// A client is one mounted component; (client, seq) makes a retry harmless. Acts that another, dead client left behind (reload, crash,
// kill -9 of server or browser) are taken over and sent first, under its own client id.

import { openDatabase, readAll, write } from "./database.js";
/** @import { Act, ActResult, Failure, OutboxEntry, SaveState, SaveStatus, Timers } from "./types.d.ts" */

/** @typedef {"verdicts" | "tags"} ActList */
/** @typedef {(client: string, acts: Act[], options: { keepalive?: boolean }) => Promise<{ results: ActResult[] }>} Sender Throws `Failure`s. */

const DATABASE = "outfold.outbox";
const STORE = "acts";
/** @type {Record<ActList, string>} */
const FORMER = { verdicts: "outfold.outbox.", tags: "outfold.tags.outbox." }; // keys of localStorage, where they were kept before
const BATCH = 50;
const KEEPALIVE_BATCH = 200; // stays under the 64 KiB browsers allow for requests that outlive their page
const BACKOFF_MS = [400, 800, 1600, 3200, 6400, 12_000];
const HOLDABLE = new Set(["decide", "note", "tag"]); // an undo would take back another act by then
export const HELD_MS = 5000; // between retries of acts on a deleted round or dataset, which may be restored

export class KeptActs {
  /**
   * `opening` resolves to the database, to null if there is none: nothing is kept then.
   *
   * @param {ActList} list
   * @param {{ opening?: Promise<IDBDatabase | null>, former?: Storage }} [options]
   */
  constructor(list, { opening = openDatabase(DATABASE, STORE, ["list", "client", "seq"]), former = globalThis.localStorage } = {}) {
    this.list = list;
    this.opening = opening;
    this.former = former;
    /** @type {IDBDatabase | null} */
    this.database = null;
    opening.then((database) => { this.database = database; });
  }

  /** Keep acts of one client; resolves to true once they are on the disk. @param {string} client @param {string | null} name @param {Act[]} acts */
  put(client, name, acts) {
    return this.#write((store) => acts.forEach((act) => store.put({ list: this.list, client, seq: act.seq, name, act })));
  }

  /** The server has answered these. @param {string} client @param {number[]} seqs */
  remove(client, seqs) {
    return this.#write((store) => seqs.forEach((seq) => store.delete([this.list, client, seq])));
  }

  /** Resolve to all records of this list, in each client's order. @returns {Promise<{ client: string, name: string | null, act: Act }[]>} */
  async all() {
    const database = await this.opening;
    if (!database) return [];
    await this.#takeFormer();
    const records = await readAll(database, STORE).catch(() => []); // by key, so by client and number
    return records.filter(({ list }) => list === this.list);
  }

  /** @param {(store: IDBObjectStore) => void} change */
  async #write(change) {
    const database = this.database ?? (await this.opening); // with an open database the request is made without waiting
    if (!database) return false;
    try {
      await write(database, STORE, change);
      return true;
    } catch {
      return false; // full or closed: the acts are still in memory and being sent
    }
  }

  /** Take over acts that an earlier release kept in localStorage. */
  async #takeFormer() {
    const prefix = FORMER[this.list];
    const keys = Array.from({ length: this.former?.length ?? 0 }, (_, index) => this.former.key(index) ?? "").filter((key) => key.startsWith(prefix));
    for (const key of keys) {
      const { name, acts } = parseStored(this.former.getItem(key));
      if (!acts.length || (await this.put(key.slice(prefix.length), name, acts))) this.former.removeItem(key);
    }
  }
}

/** @param {string | null} text @returns {{ name: string | null, acts: Act[] }} */
function parseStored(text) {
  try {
    const { name = null, acts } = JSON.parse(text ?? "null");
    return { name, acts: Array.isArray(acts) ? acts.filter((act) => Number.isInteger(act?.seq)) : [] };
  } catch {
    return { name: null, acts: [] };
  }
}

/** Return the numbers of acts, which they have from `add` on. @param {OutboxEntry[]} entries */
const seqsOf = (entries) => entries.map(({ act }) => /** @type {number} */ (act.seq));

/**
 * Listeners to an outbox. `onRefused` is called for acts that the server will never take; `onHeld` with all acts whose round or dataset is
 * deleted, when there is one more: they are kept, block nothing, and are stored once it is restored.
 *
 * @typedef {object} OutboxListeners
 * @property {(status: SaveStatus) => void} [onStatus]
 * @property {(entry: OutboxEntry, result: ActResult) => void} [onResult]
 * @property {(entry: OutboxEntry, error: Failure) => void} [onRefused]
 * @property {(entries: OutboxEntry[], error: Failure) => void} [onHeld]
 */

/**
 * Options of an outbox: those that keep their acts in one list take over each other's; `name` is that of the annotator.
 *
 * @typedef {object} OutboxOptions
 * @property {Sender} send
 * @property {Pick<KeptActs, "put" | "remove" | "all">} kept
 * @property {string} client
 * @property {string | null} [name]
 * @property {Timers} [timers]
 */

export class Outbox {
  // Set by `listen`.
  /** @type {(status: SaveStatus) => void} */ onStatus;
  /** @type {(entry: OutboxEntry, result: ActResult) => void} */ onResult;
  /** @type {(entry: OutboxEntry, error: Failure) => void} */ onRefused;
  /** @type {(entries: OutboxEntry[], error: Failure) => void} */ onHeld;

  /** @param {OutboxOptions & OutboxListeners} options */
  constructor({ send, kept, client, name = null, timers = globalThis, ...listeners }) {
    this.send = send;
    this.kept = kept;
    this.client = client;
    this.name = name;
    this.listen(listeners);
    this.timers = timers;
    /** @type {OutboxEntry[]} */
    this.queue = [];
    /** @type {OutboxEntry[]} Acts of deleted rounds and datasets. */
    this.held = [];
    this.seq = 0;
    this.failures = 0;
    this.limit = BATCH;
    /** @type {string | null} */
    this.savedAt = null;
    /** @type {SaveState} */
    this.state = "saved";
    this.adopting = 0; // number of unfinished searches for acts of dead clients
    /** @type {(() => void)[]} */
    this.waiters = [];
    this.sending = false;
    this.needsName = false;
    /** @type {any} Timer of the next try. */
    this.timer = null;
    /** @type {any} Timer of the next try of held acts. */
    this.heldTimer = null;
  }

  /** Have these listeners from now on, and no others. @param {OutboxListeners} listeners */
  listen({ onStatus = () => {}, onResult = () => {}, onRefused = () => {}, onHeld = () => {} }) {
    this.onStatus = onStatus;
    this.onResult = onResult;
    this.onRefused = onRefused;
    this.onHeld = onHeld;
  }

  get unsaved() {
    return this.queue.length;
  }

  nextSeq() {
    this.seq += 1;
    return this.seq;
  }

  /** Keep `act` and send it as soon as possible; returns its sequence number. @param {Act} act */
  add(act) {
    const seq = this.nextSeq();
    const entry = { client: this.client, name: this.name, act: { seq, ...act }, own: true };
    this.queue.push(entry);
    this.kept.put(this.client, this.name, [entry.act]);
    this.#report();
    this.#pump();
    return seq;
  }

  /** Take over acts of dead clients of the same person; resolves to their number. `isAlive(client)` returns whether a client's page is open. @param {(client: string) => boolean} [isAlive] */
  async adopt(isAlive = () => false) {
    this.adopting += 1; // until then the state is not "saved"
    this.#report();
    const records = await this.kept.all();
    this.adopting -= 1;
    const mine = new Set([this.client, ...this.#all().map((entry) => entry.client)]);
    const found = records.filter(({ client, name }) => name === this.name && !mine.has(client) && !isAlive(client));
    this.queue.unshift(...found.map(({ client, name, act }) => ({ client, name, act, own: false })));
    this.#report();
    this.#pump();
    return found.length;
  }

  /** Set the annotator's name; acts that waited for one are sent under it. @param {string | null} name */
  identify(name) {
    this.name = name;
    for (const entry of this.queue.filter(({ name: former }) => former === null)) {
      entry.name = name;
      this.kept.put(entry.client, name, [entry.act]);
    }
    this.retry();
  }

  /** Try at once, without waiting for the back-off: the network is back, or the name is known. */
  retry() {
    this.timers.clearTimeout(this.timer);
    this.timer = null;
    this.#pump();
  }

  /** Send everything once more with requests that outlive the page; kept copies stay until a later answer. */
  flush() {
    for (const client of new Set(this.queue.map((entry) => entry.client))) {
      const acts = this.queue.filter((entry) => entry.client === client).map((entry) => entry.act);
      Promise.resolve(this.send(client, acts.slice(0, KEEPALIVE_BATCH), { keepalive: true })).catch(() => {});
    }
  }

  /** Return the ids of findings with unsaved decisions. */
  pendingFindings() {
    return new Set(this.#all().flatMap(({ act }) => (act.decisions ?? []).map(({ finding }) => finding)));
  }

  /** Return the newest unsaved decision on a finding; null if there is none, or an undo may revert it. @param {number} finding */
  unsentDecision(finding) {
    if (this.queue.some(({ act }) => act.op === "undo" || act.op === "redo")) return null;
    return this.#all().flatMap(({ act }) => act.decisions ?? []).findLast((decision) => decision.finding === finding) ?? null;
  }

  /** Resolve when everything is acknowledged, or after this many milliseconds; to whether it is. @param {number} milliseconds */
  async settled(milliseconds) {
    await Promise.race([this.drained(), new Promise((resolve) => { this.timers.setTimeout(() => resolve(false), milliseconds); })]);
    return this.queue.length === 0;
  }

  /** Resolve when everything is acknowledged. */
  drained() {
    /** @type {Promise<void>} */
    const drained = this.queue.length ? new Promise((resolve) => { this.waiters.push(resolve); }) : Promise.resolve();
    return drained;
  }

  async #pump() {
    if (this.sending || this.timer || !this.queue.length) return;
    this.sending = true;
    const { client } = this.queue[0];
    const length = this.queue.findIndex((entry) => entry.client !== client);
    const batch = this.queue.slice(0, Math.min(this.limit, length < 0 ? this.queue.length : length));
    try {
      const answer = await this.send(client, batch.map((entry) => entry.act), {});
      this.#acknowledge(batch, answer.results);
    } catch (error) {
      this.#fail(batch, error);
    }
    this.sending = false;
    this.#report();
    this.#pump();
  }

  /** @param {OutboxEntry[]} batch @param {ActResult[]} results */
  #acknowledge(batch, results) {
    // an act that the server could not store yet stays, with all later ones: their order matters
    const later = results.findIndex((result) => result?.error && (result.status ?? 0) >= 500);
    const answered = later < 0 ? batch : batch.slice(0, later);
    this.failures = 0;
    this.limit = BATCH;
    const held = answered.filter((entry, index) => results[index]?.deleted && HOLDABLE.has(entry.act.op ?? "decide"));
    this.#remove(answered.filter((entry) => !held.includes(entry)));
    answered.forEach((entry, index) => (held.includes(entry) ? this.#hold(entry, results[index]) : this.#answered(entry, results[index] ?? {})));
    const last = held.at(-1);
    if (last && held.some((entry) => this.held.includes(entry))) this.onHeld(this.held, results[answered.indexOf(last)]);
    if (later >= 0) this.#fail(batch, { status: results[later].status });
  }

  /** @param {OutboxEntry} entry @param {ActResult} result */
  #answered(entry, result) {
    if (result.deleted && entry.act.op === "undo" && !entry.act.changeset && this.#takeBack(entry)) this.onResult(entry, { taken: true });
    else if (result.error) this.onRefused(entry, result);
    else {
      this.savedAt = result.saved_at ?? new Date().toISOString();
      this.onResult(entry, result);
    }
  }

  /**
   * Set aside an act whose round or dataset is deleted, with the names of its images for pages that do not know them.
   *
   * @param {OutboxEntry} entry
   * @param {ActResult} result
   */
  #hold(entry, { images = [] }) {
    Object.assign(entry, { held: true, act: { ...entry.act, images } });
    this.held.push(entry);
    this.kept.put(entry.client, entry.name, [entry.act]);
    this.#unqueue([entry]);
    this.heldTimer ??= this.timers.setTimeout(() => this.#again(), HELD_MS);
  }

  /** Let an undo remove the newest held act of its client; returns whether there was one. @param {OutboxEntry} entry */
  #takeBack({ client }) {
    const newest = this.held.findLast((entry) => entry.client === client);
    if (newest) this.#release(newest);
    return Boolean(newest);
  }

  /** @param {OutboxEntry} entry */
  #release(entry) {
    this.held = this.held.filter((other) => other !== entry);
    this.kept.remove(entry.client, seqsOf([entry]));
  }

  /** Send held acts once more when nothing else waits; acts of another name wait for that person. */
  async #again() {
    this.heldTimer = null;
    const mine = this.sending || this.queue.length ? [] : this.held.filter(({ name }) => name === this.name);
    this.sending ||= mine.length > 0;
    for (const client of new Set(mine.map((entry) => entry.client))) {
      const batch = mine.filter((entry) => entry.client === client).slice(0, BATCH);
      const { results } = await this.send(client, batch.map(({ act }) => act), {}).catch(() => ({ results: [] }));
      batch.forEach((entry, index) => {
        const result = results[index];
        if (!result || result.deleted || (result.status ?? 0) >= 500) return;
        this.#release(entry);
        this.#answered(entry, result);
      });
    }
    if (mine.length) this.sending = false;
    if (this.held.length) this.heldTimer ??= this.timers.setTimeout(() => this.#again(), HELD_MS);
    this.#report();
    this.#pump();
  }

  /** @param {OutboxEntry[]} batch @param {Failure} error */
  #fail(batch, error) {
    const status = error.status ?? 0;
    const ours = Boolean(error.body?.error); // a proxy's answer, for example, is not a refusal
    const refused = ours && status >= 400 && status < 500 && status !== 401 && status !== 408 && status !== 429;
    if (refused && batch.length > 1) {
      this.limit = 1; // one of them is the culprit: find it, the others must not suffer
      return;
    }
    if (refused) {
      this.#remove(batch);
      this.limit = BATCH;
      this.onRefused(batch[0], error);
      return;
    }
    this.needsName = status === 401;
    const wait = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)];
    this.failures += 1;
    this.timer = this.timers.setTimeout(() => this.retry(), wait);
  }

  /** @param {OutboxEntry[]} batch */
  #remove(batch) {
    this.needsName = false;
    if (!batch.length) return;
    this.kept.remove(batch[0].client, seqsOf(batch));
    this.#unqueue(batch);
  }

  /** @param {OutboxEntry[]} batch */
  #unqueue(batch) {
    this.queue = this.queue.filter((entry) => !batch.includes(entry));
    if (!this.queue.length) for (const resolve of this.waiters.splice(0)) resolve();
  }

  #all() {
    return [...this.held, ...this.queue];
  }

  #report() {
    /** @type {SaveState} */
    let state = "saved";
    if (this.queue.length || this.adopting) state = this.needsName ? "name" : this.failures ? "offline" : "saving";
    this.state = state;
    this.onStatus({ state, unsaved: this.queue.length, held: this.held.length, savedAt: this.savedAt });
  }
}
