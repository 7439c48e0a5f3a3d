// What is not yet acknowledged, kept by the browser: a reload, a crash or a killed browser finds it again.
//
// One record per client (a page that was opened) and image: {client, sample, round, name, labels, base, finding, sent, at}.
// Writes overtake nothing: of several waiting ones only the newest is made. Each is committed with the request itself: one
// that first waited for its answer would be lost with a page that goes.

const DATABASE = "outfold.masks";
const STORE = "unsaved";

/** Open the browser's own database; resolves to null where it is forbidden, then nothing is kept. */
export function openDatabase(factory = globalThis.indexedDB) {
  return new Promise((resolve) => {
    try {
      const request = factory.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: ["client", "sample"] });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
}

export class Journal {
  /** `database` may be null: nothing is kept then. */
  constructor(database, client) {
    Object.assign(this, { database, client });
    this.waiting = new Map(); // sample -> record, or null to forget it
    this.writing = null;
  }

  /** Keep the newest state of an image. */
  keep(sample, record) {
    this.waiting.set(sample, { ...record, client: this.client, sample, at: new Date().toISOString() });
    return this.#write();
  }

  /** The server has it all. */
  forget(sample) {
    this.waiting.set(sample, null);
    return this.#write();
  }

  /** The page goes: write what still waits, without waiting for anything. */
  leave() {
    for (const [sample, record] of this.waiting) this.#put(sample, record);
    this.waiting.clear();
  }

  /** Return what dead clients left behind, newest first; `isAlive(client)` says whose page is still open. */
  async left(isAlive) {
    if (!this.database) return [];
    const records = await asked(this.database.transaction(STORE).objectStore(STORE).getAll()).catch(() => []);
    return records
      .filter(({ client }) => client !== this.client && !isAlive(client))
      .sort((one, other) => (one.at < other.at ? 1 : -1));
  }

  /** Forget what a dead client left: it has been taken over. */
  async drop({ client, sample }) {
    if (this.database) await asked(this.database.transaction(STORE, "readwrite").objectStore(STORE).delete([client, sample])).catch(() => {});
  }

  #write() {
    this.writing ??= this.#drain().finally(() => {
      this.writing = null;
    });
    return this.writing;
  }

  async #drain() {
    while (this.waiting.size) {
      const [[sample, record]] = this.waiting;
      this.waiting.delete(sample);
      await this.#put(sample, record);
    }
  }

  async #put(sample, record) {
    if (!this.database) return;
    const transaction = this.database.transaction(STORE, "readwrite");
    const store = transaction.objectStore(STORE);
    const answer = asked(record ? store.put(record) : store.delete([this.client, sample]));
    transaction.commit();
    await answer.catch(() => {}); // a full or forbidden storage: the labels are still in memory and on their way
  }
}

function asked(request) {
  return new Promise((resolve, reject) => {
    request.transaction.oncomplete = () => resolve(request.result);
    request.transaction.onabort = () => reject(request.error ?? request.transaction.error);
    request.onerror = () => reject(request.error);
  });
}
