// The findings a page knows, each one object wherever it is shown; those that nothing means any more are forgotten.

const MOST = 4000;

export class Known extends Map {
  /** `meant()` returns the ids that a card, an act to undo or a request still means. */
  constructor(meant, most = MOST) {
    super();
    Object.assign(this, { meant, least: most, most });
  }

  add(item) {
    if (this.size >= this.most) this.#forget();
    this.set(item.id, item);
    return item;
  }

  #forget() {
    const meant = this.meant();
    for (const id of this.keys()) if (!meant.has(id)) this.delete(id);
    this.most = Math.max(this.least, 2 * this.size); // so that forgetting costs next to nothing for each item
  }
}
