// The edited mask: one class id per pixel, painted in spans, with undo and protected classes.

import { Grid } from "./grid.js";
import { Changes, History } from "./history.js";
import { connectedSpans, spansWhere } from "./spans.js";
/** @import { ActNote, ClassId, Labels, Tiles } from "../shared/types.d.ts" */

export class Painting {
  /**
   * @param {object} maps
   * @param {Labels} maps.labels
   * @param {Labels | number | null} maps.given
   * @param {Labels | null} maps.predicted
   * @param {number} maps.width
   * @param {number} maps.height
   * @param {ClassId} maps.ignore
   *
   * `labels`, `given` and `predicted` are maps of the same shape and type, row by row; `ignore` is the value of pixels without
   * a label. `labels` is painted on in place. `given` is `ignore` where the image came without a mask; `given` and
   * `predicted` are null until they are loaded.
   */
  constructor({ labels, given, predicted, width, height, ignore }) {
    this.labels = labels;
    this.given = given;
    this.predicted = predicted;
    this.width = width;
    this.height = height;
    this.ignore = ignore;
    this.locked = new Uint8Array(ignore + 1); // by class: 1 where its pixels are protected
    this.grid = new Grid(labels, width, height);
    this.changes = new Changes(this.grid);
    this.history = new History(this.grid, this.changes);
  }

  /** @param {number} x @param {number} y */
  inside(x, y) {
    return x >= 0 && y >= 0 && x < this.width && y < this.height;
  }

  /** Return the class at a whole-numbered position, null outside the image. @param {number} x @param {number} y */
  at(x, y) {
    return this.inside(x, y) ? this.labels[y * this.width + x] : null;
  }

  /** @param {ActNote | null} [note] */
  begin(note = null) {
    this.history.begin(note);
  }

  end() {
    return this.history.end();
  }

  /** Cancel the open act; returns the box to redraw, null if nothing changed. */
  cancel() {
    return this.history.cancel();
  }

  /**
   * Paint spans with a class, or with the labels of another map there; returns the box of changed pixels, null if none changed.
   * Protected classes keep their pixels unless `force`. An act must have begun.
   *
   * @param {number[]} spans
   * @param {ClassId | Labels} source
   * @param {{ force?: boolean }} [options]
   */
  paint(spans, source, { force = false } = {}) {
    const { width } = this;
    const free = force || !this.locked.includes(1);
    let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
    for (let index = 0; index < spans.length; index += 3) {
      const [y, from, to] = [spans[index], spans[index + 1], spans[index + 2]];
      this.history.touch(y, from, to);
      const base = y * width;
      const [first, last] = free && typeof source === "number" ? this.#fill(base + from, base + to, source) : this.#put(base + from, base + to, source, free);
      if (last < 0) continue;
      left = Math.min(left, first - base);
      right = Math.max(right, last - base);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
    return right < 0 ? null : { x: left, y: top, width: right + 1 - left, height: bottom + 1 - top };
  }

  /**
   * Give places one class; returns the first and the last that changed, -1 where none did.
   *
   * @param {number} from
   * @param {number} to
   * @param {ClassId} label
   */
  #fill(from, to, label) {
    const { labels } = this;
    let [first, last] = [from, to - 1];
    while (first < to && labels[first] === label) first += 1;
    if (first === to) return [-1, -1];
    while (labels[last] === label) last -= 1;
    labels.fill(label, first, last + 1);
    return [first, last];
  }

  /**
   * Fill with the labels of a map, or only where classes are not protected.
   *
   * @param {number} from
   * @param {number} to
   * @param {ClassId | Labels} source
   * @param {boolean} free
   */
  #put(from, to, source, free) {
    const { labels, locked } = this;
    let [first, last] = [-1, -1];
    for (let place = from; place < to; place += 1) {
      const old = labels[place];
      const wanted = typeof source === "number" ? source : source[place];
      if (old === wanted || (!free && locked[old])) continue;
      labels[place] = wanted;
      if (first < 0) first = place;
      last = place;
    }
    return [first, last];
  }

  /** Return the pixels of one class around (x, y), connected over their edges. @param {number} x @param {number} y */
  areaAt(x, y) {
    const { labels, width, height } = this;
    const wanted = this.at(x, y);
    return connectedSpans((place) => labels[place] === wanted, width, height, x, y);
  }

  /**
   * Return the pixels around (x, y) with the same suggested and the same present class, connected as regions are, over the corners too;
   * `whole`: with any present class. None if the mask already agrees.
   *
   * @param {number} x
   * @param {number} y
   * @param {{ whole?: boolean }} [options]
   */
  suggestedAt(x, y, { whole = false } = {}) {
    const { labels, width, height } = this;
    const predicted = /** @type {Labels} */ (this.predicted); // the tool needs it
    const [now, wanted] = [this.at(x, y), predicted[y * width + x]];
    if (now === wanted && !whole) return [];
    /** @param {number} place */
    const inside = (place) => predicted[place] === wanted && (whole || labels[place] === now);
    return connectedSpans(inside, width, height, x, y, { diagonal: true });
  }

  /** Return every pixel of a class, or those of them within `spans`. @param {ClassId | null} label @param {number[] | null} [spans] */
  pixelsOf(label, spans = null) {
    const { labels, width, height } = this;
    if (!spans) return spansWhere((place) => labels[place] === label, width, height);
    const found = [];
    for (let index = 0; index < spans.length; index += 3) {
      const [y, from, to] = [spans[index], spans[index + 1], spans[index + 2]];
      for (let x = from; x < to; x += 1) if (labels[y * width + x] === label) found.push(y, x, x + 1);
    }
    return found;
  }

  /** Take over another person's labels of some tiles; undo does not revert them. @param {Tiles} tiles */
  adopt(tiles) {
    for (const [tile, labels] of tiles) this.history.adopt(tile, labels);
  }

  /**
   * Let merged classes be those they mean now, [from, into], in the mask and in all that can be painted or brought back.
   *
   * @param {[ClassId, ClassId][]} merged
   */
  exchange(merged) {
    if (!merged.length) return;
    const means = Uint16Array.from({ length: this.ignore + 1 }, (_, id) => id);
    for (const [from, into] of merged) means[from] = into;
    /** @param {Labels} labels */
    const swap = (labels) => {
      for (let place = 0; place < labels.length; place += 1) labels[place] = means[labels[place]];
    };
    for (const map of [this.labels, this.given, this.predicted]) if (ArrayBuffer.isView(map)) swap(map);
    this.history.exchange(swap);
    this.changes.exchange(swap);
  }

  /** Paint tiles, Map tile -> labels, as one act for undo; returns whether anything changed. @param {Tiles} tiles */
  replace(tiles) {
    this.begin();
    this.#lay(tiles);
    return this.end();
  }

  /** Return to an earlier state of some tiles, which redo reverts. @param {Tiles} tiles */
  goBack(tiles) {
    this.begin();
    this.#lay(tiles);
    this.history.endTakenBack();
  }

  /** Return the tiles in which another map differs, Map tile -> labels. @param {Labels} labels */
  tilesOf(labels) {
    return new Map(this.grid.differing(labels).map((tile) => [tile, this.grid.read(tile, labels)]));
  }

  /** @param {Tiles} tiles */
  #lay(tiles) {
    for (const [tile, labels] of tiles) {
      this.history.touchTile(tile);
      this.grid.write(tile, labels);
    }
  }

  undo() {
    return this.history.undo();
  }

  redo() {
    return this.history.redo();
  }
}
