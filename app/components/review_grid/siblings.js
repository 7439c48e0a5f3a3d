// The findings of one image: asked for once, each object the one that is known everywhere.

const MOST = 500; // what the server gives at once

export class Siblings {
  /** `findings(params)` resolves to {items}; `know(item)` returns the object that stands for it on this page. */
  constructor({ findings, know, roundId }) {
    Object.assign(this, { findings, know, roundId });
    this.images = new Map(); // sample -> the promise of its findings
  }

  /** Resolve to the findings of an item's image, most suspicious first. */
  of({ sample_id: sample }) {
    if (!this.images.has(sample)) {
      const params = new URLSearchParams({ round: this.roundId, sample, show: "suspicious", status: "any", limit: MOST });
      const asked = this.findings(params).then(({ items }) => items.map((item) => this.know(item)));
      asked.catch(() => this.images.delete(sample)); // asked for again, the next time
      this.images.set(sample, asked);
    }
    return this.images.get(sample);
  }
}
