// How regions are marked: contour, fill or none, how strongly, hidden while a key is held, and which mask is compared.
// Everything is an attribute or a property of the page's element; the style sheet does the rest, so no card is redrawn.

export const MODES = ["contour", "fill", "none"];
export const VIEWS = ["both", "given", "suggested", "difference"];
const STORE = "outfold.overlay";
const STEP = 0.1;
const DEFAULT = { mode: "contour", opacity: 0.5, view: "both" };

export class Overlay {
  /** `onchange(changes)` hears of every choice; what is chosen is kept in `storage`. */
  constructor({ element, storage, onchange = () => {} }) {
    Object.assign(this, { element, storage, onchange, heldBy: null, ...DEFAULT, ...readStore(storage) });
    this.#apply();
  }

  /** Choose how regions are marked. */
  choose(mode) {
    this.#set({ mode });
  }

  /** Go from contour to fill to none and back to contour. */
  cycle() {
    this.choose(after(MODES, this.mode));
  }

  /** Set the opacity of fills and class colours, 0 to 1. */
  fade(opacity) {
    this.#set({ opacity: Math.round(100 * Math.min(1, Math.max(0, opacity))) / 100 });
  }

  weaker() {
    this.fade(this.opacity - STEP);
  }

  stronger() {
    this.fade(this.opacity + STEP);
  }

  /** Choose which mask lies over the whole image. */
  look(view) {
    this.#set({ view });
  }

  /** Show the next mask; where only one fits at a time, `single` leaves "both" out. */
  turn({ single = false } = {}) {
    this.look(single ? after(VIEWS.slice(1), this.single) : after(VIEWS, this.view));
  }

  /** The mask shown where only one fits. */
  get single() {
    return this.view === "both" ? "suggested" : this.view;
  }

  /** Hide everything while the key with this code is held. */
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
    this.element.style.setProperty("--opacity", this.opacity);
  }
}

const after = (list, one) => list[(list.indexOf(one) + 1) % list.length];

function readStore(storage) {
  let stored = null;
  try {
    stored = JSON.parse(storage.getItem(STORE));
  } catch {
    return {};
  }
  return {
    ...(MODES.includes(stored?.mode) ? { mode: stored.mode } : {}),
    ...(VIEWS.includes(stored?.view) ? { view: stored.view } : {}),
    ...(stored?.opacity >= 0 && stored.opacity <= 1 ? { opacity: stored.opacity } : {}),
  };
}
