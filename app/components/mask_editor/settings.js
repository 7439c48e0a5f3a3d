// What a person has chosen of how masks are shown and painted, kept between visits.

const STORE = "outfold.masks.view";
const DEFAULT = { fill: true, contour: true, opacity: 0.5, size: 12 };
export const LARGEST_BRUSH = 256; // image pixels

export class Settings {
  constructor(storage) {
    this.storage = storage;
    Object.assign(this, DEFAULT, readStore(storage));
  }

  set(changes) {
    Object.assign(this, changes);
    this.size = Math.min(LARGEST_BRUSH, Math.max(1, Math.round(this.size)));
    this.opacity = Math.round(100 * Math.min(1, Math.max(0, this.opacity))) / 100;
    try {
      const { fill, contour, opacity, size } = this;
      this.storage.setItem(STORE, JSON.stringify({ fill, contour, opacity, size }));
    } catch {
      // a forbidden storage: the choice holds until the page is left
    }
  }

  /** Return the next brush size in a direction; steps grow with the size. */
  resized(direction) {
    const step = Math.max(1, Math.round(this.size * 0.18));
    return this.size + direction * step;
  }
}

function readStore(storage) {
  try {
    const stored = JSON.parse(storage.getItem(STORE)) ?? {};
    return Object.fromEntries(Object.entries(DEFAULT).filter(([name, value]) => typeof stored[name] === typeof value).map(([name]) => [name, stored[name]]));
  } catch {
    return {};
  }
}
