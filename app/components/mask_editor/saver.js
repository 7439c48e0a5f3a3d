// Saves of one mask: after each stroke, one request at a time, sent again until it is answered.
//
// Every save names the version it was made from; the server refuses one made from another than its present version.
// A request without an answer is sent again as it was, under its own number, so that the server recognises it. The journal (journal.js)
// always holds unacknowledged changes. Only tiles that changed since that version are kept and sent.

import { HELD_MS } from "../shared/outbox.js";
/** @import { Failure, MaskSave, MaskSaved, SaveState, SaveStatus, Tiles, Timers, UnsavedMask } from "../shared/types.d.ts" */
/** @import { Changes } from "./history.js" */

const DEBOUNCE_MS = 300;
const BACKOFF_MS = [400, 800, 1600, 3200, 6400, 12_000];

export class Saver {
  /**
   * @param {object} options
   * @param {string} options.base Version of the mask on the server.
   * @param {string} options.client
   * @param {() => number} options.nextSeq
   * @param {Changes} options.changes
   * @param {(tiles: Tiles) => Promise<Uint8Array<ArrayBuffer>>} options.encode
   * @param {(save: MaskSave & { keepalive: boolean }) => Promise<MaskSaved>} options.send Throws `Failure`s.
   * @param {(read: () => UnsavedMask) => void} options.keep Writes the journal.
   * @param {() => void} options.forget Clears the journal.
   * @param {(status: SaveStatus) => void} [options.onStatus]
   * @param {(answer: MaskSaved) => void} [options.onSaved]
   * @param {(error: Failure) => void} [options.onConflict]
   * @param {(error: Failure) => void} [options.onRefused]
   * @param {(error: Failure) => void} [options.onHeld] Called once the dataset or round is deleted: the mask is kept, and stored once that
   *   is restored.
   * @param {Timers} [options.timers]
   */
  constructor({ base, client, nextSeq, changes, encode, send, keep, forget, onStatus = () => {}, onSaved = () => {}, onConflict = () => {}, onRefused = () => {}, onHeld = () => {}, timers = globalThis }) {
    this.base = base;
    this.client = client;
    this.nextSeq = nextSeq;
    this.changes = changes;
    this.encode = encode;
    this.send = send;
    this.keep = keep;
    this.forget = forget;
    this.onStatus = onStatus;
    this.onSaved = onSaved;
    this.onConflict = onConflict;
    this.onRefused = onRefused;
    this.onHeld = onHeld;
    this.timers = timers;
    this.revision = 0; // of the labels
    this.saved = 0; // the last revision the server has
    /** @type {MaskSave | null} Sent and not answered. */
    this.sent = null;
    /** @type {number | null} */
    this.finding = null; // region to whose review the next save belongs
    this.failures = 0;
    this.held = false; // whether the dataset or round is deleted and may be restored
    /** @type {string | null} */
    this.savedAt = null;
    /** @type {"conflict" | "refused" | null} Nothing is sent until a person has chosen. */
    this.trouble = null;
    this.pauses = 0;
    /** @type {(() => void)[]} */
    this.waiters = [];
    this.needsName = false;
    /** @type {Promise<void> | null} Save that is under way. */
    this.busy = null;
    /** @type {any} Timer of the next try. */
    this.timer = null;
    /** @type {any} Timer of the save after a stroke. */
    this.debounce = null;
  }

  get unsaved() {
    return this.revision !== this.saved || this.sent !== null;
  }

  /** @returns {SaveState} */
  get state() {
    if (this.trouble) return this.trouble;
    if (!this.unsaved) return "saved";
    if (this.needsName) return "name";
    if (this.held) return "held";
    return this.failures ? "offline" : "saving";
  }

  /** Note a change of the labels, made while the region `finding` was current. @param {number | null} finding */
  touch(finding) {
    this.revision += 1;
    this.finding = finding;
    if (this.trouble === "refused") this.trouble = null;
    this.#journal();
    this.timers.clearTimeout(this.debounce);
    this.debounce = this.timers.setTimeout(() => this.flush(), DEBOUNCE_MS);
    this.#report();
  }

  /** Save now. */
  flush() {
    this.timers.clearTimeout(this.debounce);
    this.debounce = null;
    return this.#pump();
  }

  /** Try at once, without waiting for the back-off: the network is back, or the name is known. */
  retry() {
    this.timers.clearTimeout(this.timer);
    this.timer = null;
    this.needsName = false;
    return this.#pump();
  }

  /** Send the packed changes once more as the page closes, with a request that outlives it. */
  leave() {
    if (!this.sent) this.flush();
    else Promise.resolve(this.send({ ...this.sent, keepalive: true })).catch(() => {});
  }

  /** Take over an unanswered request of a dead client; to be called before any save. @param {MaskSave} sent */
  adopt(sent) {
    this.sent = { ...sent, revision: this.revision };
  }

  /** Stop sending until a person has chosen between two masks. */
  stop() {
    this.trouble = "conflict";
    this.#report();
  }

  /** Resolve when no request is running; nothing is sent until `resume`. */
  async pause() {
    this.pauses += 1;
    while (this.busy) await this.busy;
  }

  resume() {
    this.pauses -= 1;
    return this.#pump();
  }

  /**
   * From now on saves are made from `version`, as the changes already are; `clean`: and there are none.
   *
   * @param {string} version
   * @param {{ clean?: boolean }} [options]
   */
  rebase(version, { clean = false } = {}) {
    this.base = version;
    this.sent = null;
    this.trouble = null;
    this.failures = 0;
    this.held = false;
    if (clean) this.saved = this.revision;
    else if (this.saved === this.revision) this.revision += 1;
    this.#journal();
    this.#report();
    return this.#pump();
  }

  /** Resolve when everything is saved, after a conflict once a person has chosen. */
  drained() {
    /** @type {Promise<void>} */
    const saved = this.unsaved ? new Promise((resolve) => { this.waiters.push(resolve); }) : Promise.resolve();
    return saved;
  }

  #pump() {
    if (this.busy || this.pauses || this.timer || this.debounce || this.trouble || !this.unsaved) {
      if (!this.unsaved) for (const resolve of this.waiters.splice(0)) resolve();
      return this.busy ?? Promise.resolve();
    }
    this.busy = this.#save().finally(() => {
      this.busy = null;
      this.#report();
      this.#pump();
    });
    return this.busy;
  }

  async #save() {
    if (!this.sent) {
      const { revision, base, finding, client } = this;
      const tiles = this.changes.now();
      const body = await this.encode(tiles);
      this.sent = { client, seq: this.nextSeq(), base, finding, tiles, body, revision };
      this.#journal();
    }
    const { sent } = this;
    this.#report();
    try {
      this.#acknowledge(sent, await this.send({ ...sent, keepalive: false }));
    } catch (error) {
      this.#fail(sent, error);
    }
  }

  /** @param {MaskSave} sent @param {MaskSaved} answer */
  #acknowledge(sent, answer) {
    if (this.sent !== sent) return; // a person chose otherwise meanwhile
    this.sent = null;
    this.base = answer.version;
    this.failures = 0;
    this.needsName = false;
    this.held = false;
    this.saved = Math.max(this.saved, sent.revision);
    this.changes.saved(sent.tiles);
    this.savedAt = answer.saved_at ?? new Date().toISOString();
    this.#journal();
    this.onSaved(answer);
  }

  /** @param {MaskSave} sent @param {Failure} error */
  #fail(sent, error) {
    if (this.sent !== sent) return;
    const status = error.status ?? 0;
    const ours = Boolean(error.body?.error); // a proxy's answer, for example, is not a refusal
    const heldBefore = this.held;
    this.held = ours && Boolean(error.body?.deleted);
    if (this.held) {
      this.timer = this.timers.setTimeout(() => this.retry(), HELD_MS);
      if (!heldBefore) this.onHeld(error);
    } else if (ours && status === 409) {
      this.sent = null;
      this.trouble = "conflict";
      this.onConflict(error);
    } else if (ours && status >= 400 && status < 500 && ![401, 408, 429].includes(status)) {
      this.sent = null;
      this.trouble = "refused";
      this.onRefused(error);
    } else {
      this.needsName = status === 401;
      this.failures += 1;
      this.timer = this.timers.setTimeout(() => this.retry(), BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length) - 1]);
    }
  }

  #journal() {
    if (this.revision === this.saved && !this.sent) this.forget();
    else this.keep(() => ({ tiles: this.changes.record(), base: this.base, finding: this.finding, sent: this.sent }));
  }

  #report() {
    this.onStatus({ state: this.state, unsaved: this.unsaved ? 1 : 0, savedAt: this.savedAt });
  }
}
