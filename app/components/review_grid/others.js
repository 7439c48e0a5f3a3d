// What other people do meanwhile: looked for now and then while the page is seen, and at once when it is seen again.

const EVERY_MS = 15_000;

export class Others {
  /** `ask()` resolves to a number that every act of anybody raises; `changed()` is told when it rose; `seen()` whether the page is. */
  constructor({ ask, changed, seen = () => document.visibilityState === "visible", timers = globalThis }) {
    Object.assign(this, { ask, changed, seen, timers });
    this.state = null;
  }

  /** Look now, and again in a while; a page that nobody sees waits until `look` is called again. */
  async look() {
    this.timers.clearTimeout(this.timer);
    if (this.stopped || !this.seen()) return;
    const state = await this.ask().catch(() => this.state); // no network: nothing is known to have changed
    if (this.stopped) return;
    const rose = this.state !== null && state > this.state;
    this.state = state;
    this.timers.clearTimeout(this.timer);
    this.timer = this.timers.setTimeout(() => this.look(), EVERY_MS);
    if (rose) this.changed();
  }

  stop() {
    this.stopped = true;
    this.timers.clearTimeout(this.timer);
  }
}
