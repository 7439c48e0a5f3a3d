// Which classes are marked on the image at hand, before anything is saved; what was marked and left stays marked for this visit.

export class Marks {
  constructor() {
    this.ids = new Set();
    this.suggested = new Set();
    this.left = new Map(); // sample -> ids that were marked and not saved
  }

  /** Begin an image: with what was marked before it was left, else what was said of it, else what is suggested. */
  open({ sample, tags, suggested }) {
    this.sample = sample;
    this.suggested = new Set(suggested.map(([id]) => id));
    this.begun = new Set(tags ?? this.suggested);
    this.ids = new Set(this.left.get(sample) ?? this.begun);
  }

  /** Whether something is marked that was neither said before nor suggested: only a save keeps it. */
  get changed() {
    return this.left.has(this.sample);
  }

  toggle(id) {
    if (!this.ids.delete(id)) this.ids.add(id);
    this.#note();
  }

  clear() {
    this.ids.clear();
    this.#note();
  }

  suggest() {
    this.ids = new Set(this.suggested);
    this.#note();
  }

  /** What is marked has been said, or taken back. */
  forget(sample) {
    this.left.delete(sample);
  }

  #note() {
    const same = this.ids.size === this.begun.size && [...this.ids].every((id) => this.begun.has(id));
    if (same) this.left.delete(this.sample);
    else this.left.set(this.sample, new Set(this.ids));
  }

  /** Return the marked classes, ascending. */
  list() {
    return [...this.ids].sort((a, b) => a - b);
  }
}
