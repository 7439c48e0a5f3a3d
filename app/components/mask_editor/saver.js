// One mask on its way to the server: saved after each stroke, one request at a time, sent again until it is answered.
//
// Every save names the version it was made from; the server refuses one made from anything but its present version.
// A request that got no answer is sent again as it was, under its own number, so that the server knows it again. Beside that
// the journal (journal.js) always holds what is not yet acknowledged.

const DEBOUNCE_MS = 300;
const BACKOFF_MS = [400, 800, 1600, 3200, 6400, 12_000];

export class Saver {
  /**
   * `read()` returns a copy of the labels, `encode(labels)` their bytes; `send({client, seq, base, finding, body, keepalive})`
   * resolves to {version, saved_at} or throws an error with a `status`. `keep(record)` and `forget()` are the journal's.
   * `onStatus({state, unsaved, savedAt})` with state saved, saving, offline, name, conflict or refused.
   */
  constructor({ base, client, nextSeq, read, encode, send, keep, forget, onStatus = () => {}, onSaved = () => {}, onConflict = () => {}, onRefused = () => {}, timers = globalThis }) {
    Object.assign(this, { base, client, nextSeq, read, encode, send, keep, forget, onStatus, onSaved, onConflict, onRefused, timers });
    this.revision = 0; // of the labels
    this.saved = 0; // the last revision the server has
    this.sent = null; // {client, seq, base, finding, body, revision}: sent, not answered
    this.finding = null; // the region whose review the next save belongs to
    this.failures = 0;
    this.savedAt = null;
    this.trouble = null; // conflict or refused: nothing is sent until a person has chosen
    this.pauses = 0;
    this.waiters = [];
  }

  get unsaved() {
    return this.revision !== this.saved || this.sent !== null;
  }

  get state() {
    if (this.trouble) return this.trouble;
    if (!this.unsaved) return "saved";
    if (this.needsName) return "name";
    return this.failures ? "offline" : "saving";
  }

  /** The labels have changed, while the region `finding` was at hand. */
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

  /** The page goes: send what is already packed once more, with a request that outlives it. */
  leave() {
    if (!this.sent) this.flush();
    else Promise.resolve(this.send({ ...this.sent, keepalive: true })).catch(() => {});
  }

  /** Take up what a dead client left unanswered; call before anything else is saved. */
  adopt(sent) {
    this.sent = { ...sent, revision: this.revision };
  }

  /** Send nothing until a person has chosen between two masks. */
  stop() {
    this.trouble = "conflict";
    this.#report();
  }

  /** Resolve when nothing is on its way; until `resume` nothing more is sent. */
  async pause() {
    this.pauses += 1;
    while (this.busy) await this.busy;
  }

  resume() {
    this.pauses -= 1;
    return this.#pump();
  }

  /** From now on saves are made from `version`; `clean`: and the labels are what the server has under it. */
  rebase(version, { clean = false } = {}) {
    this.base = version;
    this.sent = null;
    this.trouble = null;
    this.failures = 0;
    if (clean) this.saved = this.revision;
    else if (this.saved === this.revision) this.revision += 1;
    this.#journal();
    this.#report();
    return this.#pump();
  }

  /** Resolve when everything is saved; when a person must choose first it waits for that too. */
  drained() {
    return this.unsaved ? new Promise((resolve) => { this.waiters.push(resolve); }) : Promise.resolve();
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
      const body = await this.encode(this.read());
      this.sent = { client, seq: this.nextSeq(), base, finding, body, revision };
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

  #acknowledge(sent, answer) {
    if (this.sent !== sent) return; // a person chose otherwise meanwhile
    Object.assign(this, { sent: null, base: answer.version, failures: 0, needsName: false });
    this.saved = Math.max(this.saved, sent.revision);
    this.savedAt = answer.saved_at ?? new Date().toISOString();
    this.#journal();
    this.onSaved(answer, sent);
  }

  #fail(sent, error) {
    if (this.sent !== sent) return;
    const status = error.status ?? 0;
    const ours = Boolean(error.body?.error); // anything else that answers on the way, a proxy perhaps, refuses nothing
    if (ours && status === 409) {
      Object.assign(this, { sent: null, trouble: "conflict" });
      this.onConflict(error);
    } else if (ours && status >= 400 && status < 500 && ![401, 408, 429].includes(status)) {
      Object.assign(this, { sent: null, trouble: "refused" });
      this.onRefused(error);
    } else {
      this.needsName = status === 401;
      this.failures += 1;
      this.timer = this.timers.setTimeout(() => this.retry(), BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length) - 1]);
    }
  }

  #journal() {
    if (this.revision === this.saved && !this.sent) this.forget();
    else this.keep({ labels: this.read(), base: this.base, finding: this.finding, sent: this.sent });
  }

  #report() {
    this.onStatus({ state: this.state, unsaved: this.unsaved ? 1 : 0, savedAt: this.savedAt });
  }
}
