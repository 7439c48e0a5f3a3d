// The mask being edited: one class id per pixel, painted span by span, with undo and with protected classes.

import { connectedSpans, spansWhere } from "./areas.js";
import { History } from "./tiles.js";

export class Painting {
  /**
   * `labels`, `given` and `predicted` are maps of the same shape and type, row by row; `ignore` is the value of a pixel that
   * nobody labelled. `labels` is painted on in place.
   */
  constructor({ labels, given, predicted, width, height, ignore }) {
    Object.assign(this, { labels, given, predicted, width, height, ignore });
    this.locked = new Uint8Array(ignore + 1); // by class: whether its pixels are protected
    this.history = new History(labels, width, height);
  }

  inside(x, y) {
    return x >= 0 && y >= 0 && x < this.width && y < this.height;
  }

  /** Return the class at a whole-numbered position, null outside the image. */
  at(x, y) {
    return this.inside(x, y) ? this.labels[y * this.width + x] : null;
  }

  begin(note = null) {
    this.history.begin(note);
  }

  end() {
    return this.history.end();
  }

  /**
   * Paint spans with a class, or with what another map holds there; returns the box of what changed, null if nothing did.
   * Protected classes keep their pixels unless `force`. An act must have begun.
   */
  paint(spans, source, { force = false } = {}) {
    const { labels, locked, width } = this;
    const map = typeof source === "number" ? null : source;
    let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
    for (let index = 0; index < spans.length; index += 3) {
      const [y, from, to] = [spans[index], spans[index + 1], spans[index + 2]];
      this.history.touch(y, from, to);
      const base = y * width;
      for (let place = base + from; place < base + to; place += 1) {
        const old = labels[place];
        const wanted = map ? map[place] : source;
        if (old === wanted || (locked[old] && !force)) continue;
        labels[place] = wanted;
        const x = place - base;
        if (x < left) left = x;
        if (x > right) right = x;
        if (y < top) top = y;
        if (y > bottom) bottom = y;
      }
    }
    return right < 0 ? null : { x: left, y: top, width: right + 1 - left, height: bottom + 1 - top };
  }

  /** Return the pixels of one class around (x, y), connected over their edges. */
  areaAt(x, y) {
    const { labels, width, height } = this;
    const wanted = this.at(x, y);
    return connectedSpans((place) => labels[place] === wanted, width, height, x, y);
  }

  /**
   * Return the pixels around (x, y) for which the same class is suggested and that now have the same class, connected as
   * regions are, over the corners too; `whole`: whatever class they have now. Nothing where the mask already agrees.
   */
  suggestedAt(x, y, { whole = false } = {}) {
    const { labels, predicted, width, height } = this;
    const [now, wanted] = [this.at(x, y), predicted[y * width + x]];
    if (now === wanted && !whole) return [];
    const inside = whole ? (place) => predicted[place] === wanted : (place) => predicted[place] === wanted && labels[place] === now;
    return connectedSpans(inside, width, height, x, y, { diagonal: true });
  }

  /** Return every pixel of a class, or those of them within `spans`. */
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

  /** Take over another map, as far as it differs, without making it an act of one's own; returns the number of pixels. */
  adopt(labels) {
    const changes = new Map();
    for (let place = 0; place < labels.length; place += 1) if (labels[place] !== this.labels[place]) changes.set(place, labels[place]);
    this.history.adopt(changes);
    return changes.size;
  }

  /** Paint a whole map as one act that can be taken back; returns whether anything changed. */
  replace(labels, note = null) {
    this.begin(note);
    this.paint(this.everything(), labels, { force: true });
    return this.end();
  }

  everything() {
    return Array.from({ length: this.height }, (_, y) => [y, 0, this.width]).flat();
  }

  undo() {
    return this.history.undo();
  }

  redo() {
    return this.history.redo();
  }
}
