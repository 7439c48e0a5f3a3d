// Tiles of a mask, the unit of undo, of unsaved changes and of transfer to the server, and the merge of two versions of a mask.

/** @import { Box, Labels, Tiles } from "../shared/types.d.ts" */
/** @import { Painting } from "./painting.js" */

export const TILE = 64;
export const LARGE = 1 << 22; // pixels; of a larger image only the visible part is drawn, and further maps are loaded later

export class Grid {
  /** @param {Labels} labels Labels of the painted mask. @param {number} width @param {number} height */
  constructor(labels, width, height) {
    this.labels = labels;
    this.width = width;
    this.height = height;
    this.columns = Math.ceil(width / TILE);
  }

  /** Return the tile that a pixel lies in. @param {number} place */
  tileAt(place) {
    return Math.floor(place / this.width / TILE) * this.columns + Math.floor((place % this.width) / TILE);
  }

  /** @param {number} tile @returns {Box} */
  box(tile) {
    const x = (tile % this.columns) * TILE;
    const y = Math.floor(tile / this.columns) * TILE;
    return { x, y, width: Math.min(TILE, this.width - x), height: Math.min(TILE, this.height - y) };
  }

  /** Return a copy of a tile, row by row; of another map of the same shape when one is given. @param {number} tile */
  read(tile, labels = this.labels) {
    const { x, y, width, height } = this.box(tile);
    const kept = new (/** @type {Uint8ArrayConstructor | Uint16ArrayConstructor} */ (labels.constructor))(width * height);
    for (let row = 0, index = 0; row < height; row += 1) { // a loop: many short `set`s would take twice the time
      const end = (y + row) * this.width + x + width;
      for (let place = end - width; place < end; place += 1, index += 1) kept[index] = labels[place];
    }
    return kept;
  }

  /** @param {number} tile @param {Labels} kept */
  write(tile, kept) {
    const { x, y, width, height } = this.box(tile);
    const { labels } = this;
    for (let row = 0, index = 0; row < height; row += 1) {
      const end = (y + row) * this.width + x + width;
      for (let place = end - width; place < end; place += 1, index += 1) labels[place] = kept[index];
    }
  }

  /** Return the tiles in which another map of the same shape and type differs. @param {Labels} labels @returns {number[]} */
  differing(labels) {
    /** @type {Set<number>} */
    const found = new Set();
    const { byteLength, BYTES_PER_ELEMENT: size } = labels;
    const words = byteLength >> 2; // compared four bytes at a time: most of two maps is the same
    const [own, others] = [this.labels, labels].map((map) => new Uint32Array(map.buffer, map.byteOffset, words));
    /** @param {number} from @param {number} to */
    const compare = (from, to) => {
      for (let place = from; place < to; place += 1) if (this.labels[place] !== labels[place]) found.add(this.tileAt(place));
    };
    const each = 4 / size;
    for (let word = 0; word < words; word += 1) if (own[word] !== others[word]) compare(word * each, (word + 1) * each);
    compare(words * each, labels.length);
    return [...found].sort((a, b) => a - b);
  }
}

/** @param {Labels} first @param {Labels} second */
export function sameLabels(first, second) {
  for (let index = 0; index < first.length; index += 1) if (first[index] !== second[index]) return false;
  return true;
}

/** Return the smallest box around two; either may be null. @param {Box | null} first @param {Box | null} second @returns {Box | null} */
export function unionBox(first, second) {
  if (!first || !second) return first ?? second;
  const x = Math.min(first.x, second.x);
  const y = Math.min(first.y, second.y);
  return {
    x, y,
    width: Math.max(first.x + first.width, second.x + second.width) - x,
    height: Math.max(first.y + first.height, second.y + second.height) - y,
  };
}

/**
 * Compare the changes of the mask here since its version with another version, a map of the same shape.
 *
 * Returns {tiles, before, mine, theirs, both}: the other version with the changes of here on top, as far as it differs from the mask here
 * (Map tile -> labels); the other version's labels of the tiles in which that differs from it; the number of pixels that each changed and
 * that both changed differently.
 *
 * @param {Pick<Painting, "grid" | "changes">} painting
 * @param {Labels} labels
 */
export function merge({ grid, changes }, labels) {
  /** @type {{ tiles: Tiles, before: Tiles, mine: number, theirs: number, both: number }} */
  const found = { tiles: new Map(), before: new Map(), mine: 0, theirs: 0, both: 0 };
  for (const tile of new Set([...changes.before.keys(), ...grid.differing(labels)])) {
    const [now, theirs] = [grid.read(tile), grid.read(tile, labels)];
    const put = mergeTile(changes.before.get(tile) ?? now, now, theirs);
    if (!sameLabels(put.labels, now)) found.tiles.set(tile, put.labels);
    if (!sameLabels(put.labels, theirs)) found.before.set(tile, theirs);
    found.mine += put.mine;
    found.theirs += put.theirs;
    found.both += put.both;
  }
  return found;
}

/** Return {labels, mine, theirs, both} of one tile. @param {Labels} base @param {Labels} mine @param {Labels} theirs */
export function mergeTile(base, mine, theirs) {
  const labels = theirs.slice();
  const counts = { mine: 0, theirs: 0, both: 0 };
  for (let place = 0; place < base.length; place += 1) {
    const changed = mine[place] !== base[place];
    const moved = theirs[place] !== base[place];
    if (changed) {
      labels[place] = mine[place];
      counts.mine += 1;
    }
    if (moved) counts.theirs += 1;
    if (changed && moved && mine[place] !== theirs[place]) counts.both += 1;
  }
  return { labels, ...counts };
}
