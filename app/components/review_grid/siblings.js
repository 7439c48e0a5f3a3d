// The findings of one image: asked for once, each object the one that is known everywhere. Those of the images seen last are kept.

const MOST = 500; // what the server gives at once
const IMAGES = 50; // at hand; a day's work passes thousands

export class Siblings {
  /** `findings(params)` resolves to {items}; `know(item)` returns the object that stands for it on this page. */
  constructor({ findings, know, roundId }) {
    Object.assign(this, { findings, know, roundId });
    this.images = new Map(); // sample -> {asked: the promise of its findings, ids}, the one seen last at the end
  }

  /** Resolve to the findings of an item's image, most suspicious first. */
  of({ sample_id: sample }) {
    const image = this.images.get(sample) ?? this.#ask(sample);
    this.images.delete(sample);
    this.images.set(sample, image);
    if (this.images.size > IMAGES) this.images.delete(this.images.keys().next().value);
    return image.asked;
  }

  /** Return the ids of all findings at hand. */
  ids() {
    return [...this.images.values()].flatMap(({ ids }) => ids);
  }

  #ask(sample) {
    const params = new URLSearchParams({ round: this.roundId, sample, show: "suspicious", status: "any", limit: MOST });
    const image = { ids: [] };
    image.asked = this.findings(params).then(({ items }) => {
      image.ids = items.map(({ id }) => id);
      return items.map((item) => this.know(item));
    });
    image.asked.catch(() => this.images.delete(sample)); // asked for again, the next time
    return image;
  }
}
