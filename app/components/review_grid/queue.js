// The queue as pages: one growing list fetched by cursor, skipped cards behind the others, the next page always ready.
//
// `Skips` keeps skipped cards in the browser; `FindingMap` holds one object per finding, evicted when unreferenced; `QueuePosition` is the
// place that was left for the mask editor. Links to single cards are at the end.

import { changedParts, parse, serialise } from "./filters.js";
/** @import { Finding } from "../shared/types.d.ts" */
/** @import { PageEnd } from "../shared/search.js" */
/** @import { Review } from "./review.js" */

const CHUNK = 96; // findings per request
const MOST_BEHIND = 1000; // cards that `previous` can go back over
const MOST_FINDINGS = 4000; // findings in memory

export class Queue {
  /**
   * @param {(after: PageEnd, limit: number) => Promise<{ items: Finding[], next: PageEnd }>} fetchChunk
   * @param {(id: number) => boolean} isSkipped Whether this annotator skipped a finding.
   * @param {(items: Finding[]) => void} onRelease Called with the skipped cards when their turn has come, once in a pass.
   * @param {{ chunk?: number }} options `chunk` findings at least are fetched at once.
   */
  constructor(fetchChunk, isSkipped = () => false, onRelease = () => {}, { chunk = CHUNK } = {}) {
    this.chunk = chunk;
    this.fetchChunk = fetchChunk;
    this.isSkipped = isSkipped;
    this.onRelease = onRelease;
    /** @type {Finding[]} */
    this.items = [];
    /** @type {Finding[]} */
    this.held = []; // skipped cards, shown after the others
    /** @type {Finding[]} */
    this.away = []; // cards that left since they were fetched, see `keep`
    this.released = false;
    this.start = 0;
    this.passed = 0; // cards before the first of `items`, forgotten by now
    this.size = 32;
    /** @type {PageEnd} Where the next chunk begins. */
    this.cursor = null;
    /** @type {Promise<{ items: Finding[], next: PageEnd }> | null} Request under way. */
    this.pending = null;
    /** @type {Promise<unknown> | null} Request whose answer was stored last. */
    this.taken = null;
    this.exhausted = false;
  }

  get page() {
    return this.items.slice(this.start, this.start + this.size);
  }

  get number() {
    return Math.floor((this.passed + this.start) / this.size) + 1;
  }

  get atEnd() {
    return this.exhausted && this.start + this.size >= this.items.length && (this.released || !this.held.length);
  }

  /** Make sure the page that starts at `from` is there, as far as there are findings. */
  async load(from = this.start) {
    while (!this.exhausted && this.items.length < from + this.size) await this.#more();
    if (this.exhausted && !this.items.length) this.#release();
  }

  /** Go on by one page; false when there is none. */
  async next() {
    await this.load(this.start + this.size);
    const from = Math.min(this.start + this.size, this.items.length);
    if (from >= this.items.length) this.#release();
    if (from >= this.items.length) return false;
    this.start = from;
    this.#forgetPassed();
    return true;
  }

  /** Return whether `next` answers without waiting. */
  get nextIsReady() {
    return this.exhausted || this.items.length >= this.start + 2 * this.size;
  }

  previous() {
    if (this.start === 0) return false;
    this.start = Math.max(0, this.start - this.size);
    return true;
  }

  /** Move a card behind the others; it keeps its place on this page. @param {Finding} item */
  putOff(item) {
    if (!this.held.includes(item)) this.held.push(item);
  }

  /** Take in cards that have become free out of turn: they come behind those there are. @param {Finding[]} items */
  take(items) {
    for (const item of items) if (!this.items.includes(item) && !this.held.includes(item)) this.items.push(item);
  }

  /**
   * Remove cards that do not belong to the queue any more and append those that do again; returns whether any did.
   *
   * @param {(item: Finding) => boolean} belongs
   */
  keep(belongs) {
    const [back, leaving] = [this.away.filter(belongs), [...this.items, ...this.held].filter((item) => !belongs(item))];
    const left = new Set(leaving);
    this.away = [...this.away.filter((item) => !belongs(item)), ...leaving];
    this.start -= this.items.slice(0, this.start).filter((item) => left.has(item)).length;
    this.items = [...this.items.filter((item) => !left.has(item)), ...back];
    this.held = this.held.filter((item) => !left.has(item));
    return back.length + leaving.length > 0;
  }

  /** Change how many cards a page has; the first one of this page stays where it is. @param {number} size */
  resize(size) {
    this.size = Math.max(1, size);
  }

  /** Go to the page that holds the item; false when it is in none. @param {number} id */
  reveal(id) {
    const index = this.items.findLastIndex((item) => item.id === id);
    if (index < 0) return false;
    if (index < this.start || index >= this.start + this.size) this.start = Math.floor(index / this.size) * this.size;
    return true;
  }

  #forgetPassed() {
    const pages = Math.max(0, Math.floor((this.start - MOST_BEHIND) / this.size));
    this.items.splice(0, pages * this.size);
    this.start -= pages * this.size;
    this.passed += pages * this.size;
  }

  async #more() {
    this.pending ??= this.fetchChunk(this.cursor, Math.max(this.chunk, this.size)).finally(() => {
      this.pending = null;
    });
    const waiting = this.pending;
    const { items, next } = await waiting;
    if (waiting === this.taken) return; // another caller waited for the same answer and has stored it
    this.taken = waiting;
    for (const item of items) (this.isSkipped(item.id) ? this.held : this.items).push(item);
    this.cursor = next;
    if (next === null || next === undefined) {
      this.exhausted = true;
    }
  }

  #release() {
    if (this.released) return;
    const back = this.held.splice(0);
    this.released = back.length > 0;
    this.items.push(...back);
    this.onRelease(back);
  }
}

/** Ids of the findings that an annotator skipped in a round; kept in this browser only, since skipping stores nothing. */
export class Skips {
  /** @param {Storage} storage @param {number | string} round @param {string | null} name */
  constructor(storage, round, name) {
    this.storage = storage;
    this.key = `outfold.skipped.${round}.${name ?? ""}`;
    let stored = [];
    try {
      stored = JSON.parse(storage.getItem(this.key) ?? "[]") ?? [];
    } catch {
      // unreadable: as if nothing had been skipped
    }
    this.ids = new Set(Array.isArray(stored) ? stored : []);
  }

  /** @param {number} id */
  has(id) {
    return this.ids.has(id);
  }

  /** @param {number} id */
  add(id) {
    this.ids.add(id);
    this.#save();
  }

  /** @param {number} id */
  remove(id) {
    if (this.ids.delete(id)) this.#save();
  }

  #save() {
    try {
      if (this.ids.size) this.storage.setItem(this.key, JSON.stringify([...this.ids]));
      else this.storage.removeItem(this.key);
    } catch {
      // a full storage: skipped until the page is left
    }
  }
}

/** Findings by id: one object per finding, evicted when unreferenced. @extends {Map<number, Finding>} */
export class FindingMap extends Map {
  /** @param {() => Set<number>} referenced Returns the ids that a card, an act to undo or a request still refers to. */
  constructor(referenced, most = MOST_FINDINGS) {
    super();
    this.referenced = referenced;
    this.least = most;
    this.most = most;
  }

  /** @param {Finding} item */
  add(item) {
    if (this.size >= this.most) this.#evict();
    this.set(item.id, item);
    return item;
  }

  #evict() {
    const referenced = this.referenced();
    for (const id of this.keys()) if (!referenced.has(id)) this.delete(id);
    this.most = Math.max(this.least, 2 * this.size); // so that eviction costs next to nothing per item
  }
}

const PLACE_STORE = "outfold.place";
const REMEMBERED = 40; // cards remembered behind the focused one: it may be settled on return
const LAST_ACT_MS = 5000; // how long the verdicts before it may take to be stored

/** Return the editor's address for one region, beside the review page's own. @param {number} roundId @param {Finding} item */
export function editorUrl(roundId, item) {
  return `masks?${new URLSearchParams({ round: String(roundId), sample: String(item.sample_id), finding: String(item.id) })}`;
}

/**
 * Return the cards from the left one on; from `otherwise` on where the queue does not hold it.
 *
 * @param {Finding[]} items
 * @param {Finding} item
 * @param {number} otherwise
 */
export function idsFrom(items, item, otherwise) {
  const at = items.indexOf(item);
  return items.slice(at < 0 ? otherwise : at).slice(0, REMEMBERED).map(({ id }) => id);
}

/** Return the index of the first remembered card that is still in the queue, 0 when none is. @param {number[]} ids @param {Finding[]} items */
export function firstIndexOf(ids, items) {
  const index = new Map(items.map((item, at) => [item.id, at]));
  const first = ids.find((id) => index.has(id));
  return (first !== undefined && index.get(first)) || 0;
}

export class QueuePosition {
  /** @param {{ review: Pick<Review, "roundId" | "filter" | "queue" | "cursor" | "outbox" | "toast">, storage: Storage, go?: (url: string) => void }} options `go(url)` leaves the page. */
  constructor({ review, storage, go = (url) => location.assign(url) }) {
    this.review = review;
    this.storage = storage;
    this.go = go;
  }

  /** Open the editor on a region once all verdicts are stored. @param {Finding} item */
  async edit(item) {
    const { review } = this;
    if (!(await review.outbox.settled(LAST_ACT_MS))) {
      review.toast.say("Some verdicts are not saved yet. Edit the mask when they are.", null, { warning: true });
      return;
    }
    const { queue, cursor } = review;
    const place = { round: review.roundId, filter: changedParts(review.filter), start: queue.start, ids: idsFrom(queue.items, item, queue.start + cursor.focus) };
    try {
      this.storage.setItem(PLACE_STORE, JSON.stringify(place));
    } catch {
      // a full or forbidden storage: the queue begins at its first card on return
    }
    this.go(editorUrl(review.roundId, item));
  }

  /** Return where this round was left for the editor, once: {start, ids}, or null. A filter in the address outweighs it. */
  take() {
    const { review } = this;
    const place = this.#read();
    if (place?.round !== review.roundId || !Array.isArray(place.ids)) return null;
    const wanted = changedParts(review.filter);
    const left = parse(new URLSearchParams(place.filter).toString());
    if (Object.keys(wanted).length && JSON.stringify(wanted) !== JSON.stringify(changedParts(left))) return null;
    review.filter = left;
    history.replaceState(history.state, "", `${location.pathname}?${serialise(left, location.search)}`);
    return place;
  }

  #read() {
    try {
      const place = JSON.parse(this.storage.getItem(PLACE_STORE) ?? "null");
      this.storage.removeItem(PLACE_STORE);
      return place;
    } catch {
      return null;
    }
  }
}

/**
 * Return the address that opens this card of this round.
 *
 * @param {Pick<Location, "origin" | "pathname">} location
 * @param {number} round
 * @param {number} card
 */
export function linkTo({ origin, pathname }, round, card) {
  return `${origin}${pathname}?${new URLSearchParams({ round: String(round), card: String(card) })}`;
}

/** Return the card that a query names, null if it names none. @param {string} query */
export function cardInQuery(query) {
  const card = new URLSearchParams(query).get("card") ?? "";
  return /^[1-9]\d{0,9}$/.test(card) ? Number(card) : null;
}

/** Return the address without its card. @param {Pick<Location, "pathname" | "search" | "hash">} location */
export function withoutCard({ pathname, search, hash }) {
  const query = new URLSearchParams(search);
  query.delete("card");
  return `${pathname}${query.size ? `?${query}` : ""}${hash ?? ""}`;
}
