// The queue as pages: one growing list fetched by cursor, skipped cards behind the others, the next page always ready.

const CHUNK = 96; // findings asked for at once
const MOST_BEHIND = 1000; // cards that `previous` can go back over

export class Queue {
  /**
   * `fetchChunk(after, limit)` resolves to {items, next}; `isSkipped(id)` says what this person put off;
   * `onRelease(items)` hears of the skipped cards when their turn has come, once in a pass; `chunk` findings at least are
   * asked for at once.
   */
  constructor(fetchChunk, isSkipped = () => false, onRelease = () => {}, { chunk = CHUNK } = {}) {
    this.chunk = chunk;
    this.fetchChunk = fetchChunk;
    this.isSkipped = isSkipped;
    this.onRelease = onRelease;
    this.items = [];
    this.held = []; // skipped cards, shown once the others are through
    this.released = false;
    this.start = 0;
    this.passed = 0; // cards before the first of `items`, forgotten by now
    this.size = 32;
    this.cursor = null;
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

  /** Whether `next` would answer without waiting. */
  get nextIsReady() {
    return this.exhausted || this.items.length >= this.start + 2 * this.size;
  }

  previous() {
    if (this.start === 0) return false;
    this.start = Math.max(0, this.start - this.size);
    return true;
  }

  /** Put a card behind the others; it keeps its place on this page. */
  putOff(item) {
    if (!this.held.includes(item)) this.held.push(item);
  }

  /** Take in cards that have become free out of turn: they come behind those there are. */
  take(items) {
    for (const item of items) if (!this.items.includes(item) && !this.held.includes(item)) this.items.push(item);
  }

  /** Change how many cards a page has; the first one of this page stays where it is. */
  resize(size) {
    this.size = Math.max(1, size);
  }

  /** Go to the page that holds the item; false when it is in none. */
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
    if (waiting === this.taken) return; // somebody else waited for the same answer and has stored it
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
