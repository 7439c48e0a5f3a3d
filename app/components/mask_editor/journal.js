// Journal of strokes that the server has not acknowledged, and recovery from it after a reload, a crash or a killed browser.
//
// One record per client (an opened page) and image (`MaskRecord`).
// Writes overtake nothing: of several waiting ones only the newest is made.

import { openDatabase, readAll, write } from "../shared/database.js";
import { Grid, sameLabels, mergeTile } from "./grid.js";
/** @import { Labels, MaskRecord, MaskSave, Tiles } from "../shared/types.d.ts" */

/** @typedef {Omit<MaskRecord, "client" | "sample" | "at">} JournalEntry */

/**
 * Mask on the server: `theirs` are its labels under `version`, `fetchLabels` resolves to those of an older change. `send` repeats a request
 * without an answer: the server recognises its number and answers as it did, or should have done, then.
 *
 * @typedef {object} ServerMask
 * @property {string} version
 * @property {Labels} theirs
 * @property {number} width
 * @property {number} height
 * @property {(version: string) => Promise<Labels>} fetchLabels
 * @property {(save: MaskSave) => Promise<{ version: string }>} send
 */

/**
 * Result of a recovery: "saved" when the server has it all; "unsaved" when `tiles` have to be painted on `labels`, the mask of the version
 * `base`, and saved; "conflict" when another person painted other classes on the same pixels, until a person has chosen. `stored` are tiles
 * of the same strokes that the version `base` has beyond `labels`.
 *
 * @typedef {{ state: "saved" | "unsaved" | "conflict", base: string, tiles: Tiles, labels: Labels, sent?: MaskSave, stored?: Tiles }} Recovery
 */

const DATABASE = "outfold.masks";
const STORE = "unsaved";

/** Open the journal's database; resolves to null if the browser forbids it, then nothing is kept. */
export function openJournal() {
  return openDatabase(DATABASE, STORE, ["client", "sample"]);
}

export class Journal {
  /** `database` may be null: nothing is kept then. @param {IDBDatabase | null} database @param {string} client */
  constructor(database, client) {
    this.database = database;
    this.client = client;
    /** @type {Map<number, (() => JournalEntry) | null>} */
    this.waiting = new Map(); // sample -> function that reads its record, or null to delete it
    /** @type {Promise<void> | null} */
    this.writing = null;
  }

  /** Keep the newest state of an image, which `read()` returns at the time of writing. @param {number} sample @param {() => JournalEntry} read */
  keep(sample, read) {
    this.waiting.set(sample, read);
    return this.#write();
  }

  /** The server has it all. @param {number} sample */
  forget(sample) {
    this.waiting.set(sample, null);
    return this.#write();
  }

  /** Write all waiting records at once, as the page closes. */
  leave() {
    for (const [sample, read] of this.waiting) this.#put(sample, read);
    this.waiting.clear();
  }

  /**
   * Return the records of dead clients, newest first; `isAlive(client)` returns whether a client's page is open.
   *
   * @param {(client: string) => boolean} isAlive
   * @returns {Promise<MaskRecord[]>}
   */
  async left(isAlive) {
    if (!this.database) return [];
    const records = await readAll(this.database, STORE).catch(() => []);
    return records
      .filter(({ client }) => client !== this.client && !isAlive(client))
      .sort((a, b) => (a.at < b.at ? 1 : -1));
  }

  /** Delete the record of a dead client after it has been taken over. @param {MaskRecord} record */
  async drop({ client, sample }) {
    await this.#change((store) => store.delete([client, sample]));
  }

  #write() {
    this.writing ??= this.#drain().finally(() => {
      this.writing = null;
    });
    return this.writing;
  }

  async #drain() {
    while (this.waiting.size) {
      const [[sample, read]] = this.waiting;
      this.waiting.delete(sample);
      await this.#put(sample, read);
    }
  }

  /** @param {number} sample @param {(() => JournalEntry) | null} read */
  #put(sample, read) {
    const { client } = this;
    return this.#change((store) => (read ? store.put({ ...read(), client, sample, at: new Date().toISOString() }) : store.delete([client, sample])));
  }

  /** @param {(store: IDBObjectStore) => void} change */
  async #change(change) {
    if (this.database) await write(this.database, STORE, change).catch(() => {}); // full or closed: the labels are still in memory and being sent
  }
}

/**
 * Find out what of a dead client's strokes is still to be saved.
 *
 * @param {MaskRecord} record
 * @param {ServerMask} server
 * @returns {Promise<Recovery>}
 */
export async function recover(record, { version, theirs, width, height, fetchLabels, send }) {
  const grid = new Grid(theirs, width, height);
  const kept = record.labels ? await byTiles(record, record.labels, grid, fetchLabels) : record;
  const grown = [...kept.tiles.values()].some(({ now }) => now.constructor !== theirs.constructor); // the classes have outgrown a byte since
  const tiles = new Map([...kept.tiles].map(([tile, change]) => [tile, grown ? { before: widen(change.before), now: widen(change.now) } : change]));
  const sent = grown ? null : kept.sent; // the server takes it no more
  const now = new Map([...tiles].map(([tile, change]) => [tile, change.now]));
  const fits = kept.width === width && kept.height === height;
  if (!fits || [...now].every(([tile, labels]) => sameLabels(labels, grid.read(tile)))) return { state: "saved", base: version, labels: theirs, tiles: new Map() };
  let { base } = kept;
  if (sent) {
    try {
      base = (await send({ ...sent, keepalive: false })).version;
    } catch (error) {
      if (error.status !== 409) return { state: "unsaved", base, sent, tiles: now, labels: base === version ? theirs : await fetchLabels(base) };
    }
    if (base !== sent.base) { // it is stored
      if (version === sent.base) return { state: "unsaved", base, labels: theirs, tiles: now, stored: sent.tiles }; // only now: it had not arrived
      for (const [tile, labels] of sent.tiles) {
        const change = tiles.get(tile);
        if (change) change.before = labels;
      }
    }
  }
  if (base === version) return { state: "unsaved", base, labels: theirs, tiles: now };
  const merged = new Map([...tiles].map(([tile, change]) => [tile, mergeTile(change.before, change.now, grid.read(tile))]));
  if ([...merged.values()].some(({ both }) => both)) return { state: "conflict", base, tiles: now, labels: await fetchLabels(base) };
  return { state: "unsaved", base: version, labels: theirs, tiles: new Map([...merged].map(([tile, { labels }]) => [tile, labels])) };
}

/**
 * Convert a record of whole masks, as older releases kept them, into one of tiles; a sent part counts as saved by another person.
 *
 * @param {MaskRecord} record
 * @param {Labels} whole
 * @param {Grid} grid
 * @param {(version: string) => Promise<Labels>} fetchLabels
 */
async function byTiles(record, whole, { labels: theirs, width, height }, fetchLabels) {
  const labels = whole.constructor === theirs.constructor ? whole : widen(whole);
  if (labels.length !== theirs.length) return { ...record, tiles: new Map() };
  const grid = new Grid(await fetchLabels(record.base), width, height);
  const tiles = new Map(grid.differing(labels).map((tile) => [tile, { before: grid.read(tile), now: grid.read(tile, labels) }]));
  return { ...record, width, height, tiles, sent: null };
}

/** @param {Labels} labels */
function widen(labels) {
  return Uint16Array.from(labels, (label) => (label === 255 ? 65_535 : label)); // IGNORE stays IGNORE
}
