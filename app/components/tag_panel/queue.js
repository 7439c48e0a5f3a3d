// The images to tag: asked for a chunk at a time, always some ahead, never forgotten while the page is open.

const CHUNK = 16;
const AHEAD = 6;

export class TagQueue {
  /** `load(after, limit)` resolves to items with an id (`sample`) above `after`, by id. */
  constructor(load) {
    Object.assign(this, { load, items: [], index: 0, ended: false, last: 0 });
  }

  get current() {
    return this.items[this.index] ?? null;
  }

  /** Return the images that come next. */
  ahead(count) {
    return this.items.slice(this.index + 1, this.index + 1 + count);
  }

  /** Resolve when there are images ahead, or no more. Calls that meet share one request. */
  async fill() {
    while (!this.ended && this.items.length - this.index <= AHEAD) {
      this.loading ??= this.#chunk().finally(() => { this.loading = null; });
      await this.loading;
    }
  }

  async #chunk() {
    const found = await this.load(this.last, CHUNK);
    const known = new Set(this.items.map(({ sample }) => sample));
    this.items.push(...found.filter(({ sample }) => !known.has(sample)));
    this.last = found.at(-1)?.sample ?? this.last;
    this.ended = found.length < CHUNK;
  }

  /** Go so many images on or back; returns whether there was one (behind the last one there is none). */
  step(by) {
    const wanted = this.index + by;
    if (wanted < 0 || wanted > this.items.length) return false;
    this.index = wanted;
    return true;
  }

  /** Go to an image, which is put before the one at hand where it is not among the items. */
  goTo(item) {
    const place = this.items.findIndex(({ sample }) => sample === item.sample);
    if (place >= 0) {
      this.index = place;
      Object.assign(this.items[place], item);
    } else this.items.splice(this.index, 0, item);
    return this.current;
  }
}
