// The live counts: moved by every verdict at once, replaced by the server's own when nothing is on its way.

import { adjust } from "./counts.js";

const EVERY_MS = 2000;
const DRAW_EVERY_MS = 400;

export class Tally {
  /**
   * `ask()` resolves to counts, `quiet()` says that nothing is unsaved, `draw(counts)` shows them; `move(counts, changes)`
   * returns them after changes, `every` is how long a verdict may wait to be asked about.
   */
  constructor({ ask, quiet, draw, move = adjust, every = EVERY_MS }) {
    Object.assign(this, { ask, quiet, draw, move, every });
    this.counts = null;
    this.changes = 0;
    this.turn = 0; // of the questions asked; an answer to an older one, of another filter perhaps, is not shown
  }

  adjust(changes) {
    this.changes += 1;
    if (this.counts) {
      this.counts = this.move(this.counts, changes);
      this.#drawLater();
    }
    this.refresh();
  }

  /** Ask again now (`soon`), else in a while. */
  refresh({ soon = false } = {}) {
    if (this.timer && !soon) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#load(), soon ? 0 : this.every);
  }

  /** Resolve to counts that are the server's, to the last ones known where it does not answer. */
  async fresh() {
    this.turn += 1;
    const { turn } = this;
    const counts = await this.ask().catch((error) => this.counts ?? Promise.reject(error));
    if (!this.stopped && turn === this.turn) this.#show(counts);
    return counts;
  }

  stop() {
    clearTimeout(this.timer);
    this.stopped = true;
  }

  async #load() {
    this.timer = null;
    const before = this.changes;
    this.turn += 1;
    const { turn } = this;
    const counts = this.quiet() || !this.counts ? await this.ask().catch(() => null) : null;
    if (this.stopped || turn !== this.turn) return;
    if (counts && (before === this.changes || !this.counts)) this.#show(counts);
    else this.refresh(); // unsaved, offline, or overtaken by a verdict: what is shown is newer
  }

  /** Draw after the frame that shows the card, and not for every key of a fast hand: nobody reads a count before the badge. */
  #drawLater() {
    if (this.drawing) return;
    this.drawing = true;
    const rest = Math.max(0, (this.drawnAt ?? 0) + DRAW_EVERY_MS - performance.now());
    requestAnimationFrame(() => setTimeout(() => {
      this.drawing = false;
      if (!this.stopped) this.#show(this.counts);
    }, rest));
  }

  #show(counts) {
    this.counts = counts;
    this.drawnAt = performance.now();
    this.draw(counts);
  }
}
