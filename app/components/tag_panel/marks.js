// Which classes are marked on the image at hand, before anything is saved.

export class Marks {
  constructor() {
    this.ids = new Set();
    this.suggested = new Set();
  }

  /** Begin an image: with what was said of it, else with what is suggested. */
  open({ tags, suggested }) {
    this.suggested = new Set(suggested.map(([id]) => id));
    this.ids = new Set(tags ?? this.suggested);
  }

  toggle(id) {
    if (!this.ids.delete(id)) this.ids.add(id);
  }

  clear() {
    this.ids.clear();
  }

  suggest() {
    this.ids = new Set(this.suggested);
  }

  /** Return the marked classes, ascending. */
  list() {
    return [...this.ids].sort((a, b) => a - b);
  }
}
