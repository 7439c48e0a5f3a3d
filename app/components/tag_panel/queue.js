// Queue of images to tag: fetched in chunks, some always ahead, kept while the page is open.

/** @import { ClassId, TagImage } from "../shared/types.d.ts" */

const CHUNK = 16;
const AHEAD = 6;

export class TagQueue {
  /**
   * `load(after, limit)` resolves to items with an id (`sample`) above `after`, by id.
   *
   * @param {(after: number, limit: number) => Promise<TagImage[]>} load
   */
  constructor(load) {
    this.load = load;
    /** @type {TagImage[]} */
    this.items = [];
    /** @type {Promise<void> | null} */
    this.loading = null;
    this.index = 0;
    this.ended = false;
    this.last = 0;
  }

  get current() {
    return this.items[this.index] ?? null;
  }

  /** Return the images that come next. @param {number} count */
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

  /** Let tags and suggestions of merged classes be of those they mean now. @param {Map<ClassId, ClassId>} means */
  exchange(means) {
    /** @param {ClassId} id */
    const now = (id) => means.get(id) ?? id;
    for (const item of this.items) {
      item.tags &&= [...new Set(item.tags.map(now))].sort((a, b) => a - b);
      /** @type {Map<ClassId, number>} */
      const shares = new Map();
      for (const [id, share] of item.suggested) shares.set(now(id), (shares.get(now(id)) ?? 0) + share);
      item.suggested = [...shares];
    }
  }

  /** Step by this many images; returns whether there was one (there is none behind the last). @param {number} by */
  step(by) {
    const wanted = this.index + by;
    if (wanted < 0 || wanted > this.items.length) return false;
    this.index = wanted;
    return true;
  }

  /** Go to an image, which is inserted before the current one where it is not among the items. @param {TagImage} item */
  goTo(item) {
    const place = this.items.findIndex(({ sample }) => sample === item.sample);
    if (place >= 0) {
      this.index = place;
      Object.assign(this.items[place], item);
    } else this.items.splice(this.index, 0, item);
    return this.current;
  }
}
