// Overlay of regions: contour, fill or none, opacity, hidden while a key is held, and the compared mask.
// Everything is an attribute or a property of the page's element; the style sheet does the rest, so no card is redrawn.

/** @typedef {{ mode?: string, opacity?: number, view?: string }} OverlayChoice */

export const MODES = ["contour", "fill", "none"];
export const VIEWS = ["both", "given", "suggested", "difference"];
const STORE = "outfold.overlay";
const STEP = 0.1;

export class Overlay {
  /**
   * `onchange` is called on every choice; choices are kept in `storage`.
   *
   * @param {{ element: HTMLElement, storage: Storage, onchange?: (changes: OverlayChoice) => void }} options
   */
  constructor({ element, storage, onchange = () => {} }) {
    this.element = element;
    this.storage = storage;
    this.onchange = onchange;
    this.mode = "contour";
    this.opacity = 0.5;
    this.view = "both";
    /** @type {string | null} Code of the key that hides everything while it is held. */
    this.heldBy = null;
    Object.assign(this, readStore(storage));
    this.#apply();
  }

  /** Choose how regions are marked. @param {string} mode */
  choose(mode) {
    this.#set({ mode });
  }

  /** Go from contour to fill to none and back to contour. */
  cycle() {
    this.choose(nextOf(MODES, this.mode));
  }

  /** Set the opacity of fills and class colours, 0 to 1. @param {number} opacity */
  fade(opacity) {
    this.#set({ opacity: Math.round(100 * Math.min(1, Math.max(0, opacity))) / 100 });
  }

  weaker() {
    this.fade(this.opacity - STEP);
  }

  stronger() {
    this.fade(this.opacity + STEP);
  }

  /** Choose the mask over the whole image. @param {string} view */
  look(view) {
    this.#set({ view });
  }

  /** Show the next mask; where only one fits at a time, `single` leaves "both" out. @param {{ single?: boolean }} [options] */
  turn({ single = false } = {}) {
    this.look(single ? nextOf(VIEWS.slice(1), this.single) : nextOf(VIEWS, this.view));
  }

  /** The mask shown where only one fits. */
  get single() {
    return this.view === "both" ? "suggested" : this.view;
  }

  /** Hide everything while the key with this code is held. @param {string} code */
  hold(code) {
    this.heldBy = code;
    this.#apply();
  }

  /** The key is up, or the window has lost the keyboard (no code). */
  release(code = this.heldBy) {
    if (this.heldBy === null || code !== this.heldBy) return;
    this.heldBy = null;
    this.#apply();
  }

  /** @param {OverlayChoice} changes */
  #set(changes) {
    Object.assign(this, changes);
    this.#apply();
    this.onchange(changes);
    try {
      this.storage.setItem(STORE, JSON.stringify({ mode: this.mode, opacity: this.opacity, view: this.view }));
    } catch {
      // a forbidden storage: the choice holds until the page is left
    }
  }

  #apply() {
    this.element.dataset.overlay = this.mode;
    this.element.dataset.hidden = String(this.heldBy !== null);
    this.element.style.setProperty("--opacity", String(this.opacity));
  }
}

/** @param {string[]} list @param {string} item */
const nextOf = (list, item) => list[(list.indexOf(item) + 1) % list.length];

/** @param {Storage} storage @returns {OverlayChoice} */
function readStore(storage) {
  let stored;
  try {
    stored = JSON.parse(storage.getItem(STORE) ?? "null");
  } catch {
    return {};
  }
  return {
    ...(MODES.includes(stored?.mode) ? { mode: stored.mode } : {}),
    ...(VIEWS.includes(stored?.view) ? { view: stored.view } : {}),
    ...(stored?.opacity >= 0 && stored.opacity <= 1 ? { opacity: stored.opacity } : {}),
  };
}
