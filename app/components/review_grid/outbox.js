// Acts on their way to the server: numbered, kept in the browser's storage until acknowledged, sent again until they are.
//
// A client is one mounted grid; (client, seq) makes a retry harmless. What another, dead client left in the storage
// (reload, crash, kill -9 of either side) is taken over and sent first, under its own client id.

const PREFIX = "outfold.outbox.";
const BATCH = 50;
const KEEPALIVE_BATCH = 200; // stays under the 64 KiB browsers allow for requests that outlive their page
const BACKOFF_MS = [400, 800, 1600, 3200, 6400, 12_000];

export class Outbox {
  /**
   * `send(client, acts, {keepalive})` resolves to {results} or throws an error with a `status` (0: no network).
   * `onStatus({state, unsaved, savedAt})` with state saved, saving, offline or name; `onResult(entry, result)`;
   * `onRefused(entry, error)` for acts the server will never take. Outboxes of one `prefix` take over each other's acts.
   */
  constructor({ send, storage, client, prefix = PREFIX, name = null, onStatus = () => {}, onResult = () => {}, onRefused = () => {}, timers = globalThis }) {
    Object.assign(this, { send, storage, client, prefix, name, onStatus, onResult, onRefused, timers });
    this.queue = []; // {client, name, act, own}
    this.seq = 0;
    this.failures = 0;
    this.limit = BATCH;
    this.savedAt = null;
    this.state = "saved";
    this.waiters = [];
  }

  get unsaved() {
    return this.queue.length;
  }

  nextSeq() {
    this.seq += 1;
    return this.seq;
  }

  /** Keep `act` and send it as soon as possible; returns its sequence number. */
  add(act) {
    const seq = this.nextSeq();
    this.queue.push({ client: this.client, name: this.name, act: { seq, ...act }, own: true });
    this.#persist(this.client);
    this.#report();
    this.#pump();
    return seq;
  }

  /** Take over what dead clients left behind for the same person. `isAlive(client)` says whose tab is still open. */
  adopt(isAlive = () => false) {
    const found = [];
    for (let index = 0; index < this.storage.length; index += 1) {
      const key = this.storage.key(index);
      if (!key?.startsWith(this.prefix)) continue;
      const client = key.slice(this.prefix.length);
      if (client === this.client || isAlive(client) || this.queue.some((entry) => entry.client === client)) continue;
      const stored = read(this.storage, key);
      if (stored && stored.name === this.name) found.push(...stored.acts.map((act) => ({ client, name: stored.name, act, own: false })));
    }
    this.queue.unshift(...found);
    this.#report();
    this.#pump();
    return found.length;
  }

  /** Say who is working now; acts that waited for a name go out under it. */
  identify(name) {
    this.name = name;
    for (const entry of this.queue) entry.name ??= name;
    for (const client of new Set(this.queue.map((entry) => entry.client))) this.#persist(client);
    this.retry();
  }

  /** Try at once, without waiting for the back-off: the network is back, or the name is known. */
  retry() {
    this.timers.clearTimeout(this.timer);
    this.timer = null;
    this.#pump();
  }

  /** Send everything once more with requests that outlive the page; the stored copy stays until a later answer. */
  flush() {
    for (const client of new Set(this.queue.map((entry) => entry.client))) {
      const acts = this.queue.filter((entry) => entry.client === client).map((entry) => entry.act);
      Promise.resolve(this.send(client, acts.slice(0, KEEPALIVE_BATCH), { keepalive: true })).catch(() => {});
    }
  }

  /** Return the ids of findings whose decision is still on its way. */
  pendingFindings() {
    return new Set(this.queue.flatMap(({ act }) => (act.decisions ?? []).map(({ finding }) => finding)));
  }

  /** Return the newest decision on a finding that is still on its way; null where there is none, or an undo may take it back. */
  unsentDecision(finding) {
    if (this.queue.some(({ act }) => act.op !== "decide")) return null;
    return this.queue.flatMap(({ act }) => act.decisions).findLast((one) => one.finding === finding) ?? null;
  }

  /** Resolve to whether everything is acknowledged, after so many milliseconds at the latest. */
  async settled(milliseconds) {
    await Promise.race([this.drained(), new Promise((resolve) => { this.timers.setTimeout(resolve, milliseconds); })]);
    return this.queue.length === 0;
  }

  /** Resolve when everything is acknowledged. */
  drained() {
    return this.queue.length ? new Promise((resolve) => this.waiters.push(resolve)) : Promise.resolve();
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

  #acknowledge(batch, results) {
    // an act the server could not store this time stays, with everything behind it: their order matters
    const later = results.findIndex((result) => result?.error && result.status >= 500);
    const answered = later < 0 ? batch : batch.slice(0, later);
    this.failures = 0;
    this.limit = BATCH;
    this.#remove(batch.slice(0, answered.length));
    answered.forEach((entry, index) => {
      const result = results[index] ?? {};
      if (result.error) this.onRefused(entry, result);
      else {
        this.savedAt = result.saved_at ?? new Date().toISOString();
        this.onResult(entry, result);
      }
    });
    if (later >= 0) this.#fail(batch, { status: results[later].status });
  }

  #fail(batch, error) {
    const status = error.status ?? 0;
    const ours = Boolean(error.body?.error); // anything else that answers on the way, a proxy perhaps, refuses nothing
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

  #remove(batch) {
    this.needsName = false;
    if (!batch.length) return;
    this.queue = this.queue.filter((entry) => !batch.includes(entry));
    this.#persist(batch[0].client);
    if (!this.queue.length) for (const resolve of this.waiters.splice(0)) resolve();
  }

  #persist(client) {
    const acts = this.queue.filter((entry) => entry.client === client).map((entry) => entry.act);
    try {
      if (acts.length) this.storage.setItem(this.prefix + client, JSON.stringify({ name: this.name, acts }));
      else this.storage.removeItem(this.prefix + client);
    } catch {
      // a full or forbidden storage: the acts are still in memory and on their way
    }
  }

  #report() {
    let state = "saved";
    if (this.queue.length) state = this.needsName ? "name" : this.failures ? "offline" : "saving";
    this.state = state;
    this.onStatus({ state, unsaved: this.queue.length, savedAt: this.savedAt });
  }
}

function read(storage, key) {
  try {
    const stored = JSON.parse(storage.getItem(key));
    return Array.isArray(stored?.acts) ? stored : null;
  } catch {
    return null;
  }
}
