// One image as large as the window allows; arrows step, verdict keys work as on the grid.

import { className } from "./card.js";
import { fill, h, keycap, openDialog } from "./dom.js";
import { fitClass, imageUrl } from "./format.js";
import { classRows, opposition } from "./inspector.js";
import { shown } from "./keys.js";

const PLACES = 10;
const UNLABELLED = -1; // as the given class: there is nothing to keep
const VERDICTS = { accept: "accept", keep: "keep", ambiguous: "ambiguous", exclude: "exclude", second_opinion: "second opinion" };

export class Zoom {
  /** `face` decides what a card shows, `digits` is the class of each digit key, `networks` counts the round's; `on` holds step(by), pick(class), act(action) and closed(). */
  constructor({ root, api, classes, face, digits, keys, networks = 1, on }) {
    Object.assign(this, { root, api, classes, face, digits, keys, networks, on });
    this.item = null;
    this.origin = null; // the card that led to an image of several
  }

  get open() {
    return Boolean(this.dialog?.open);
  }

  /** Show an item, opening the dialog when it is closed; `follows`: the grid's focus and the image are one. */
  show(item, { follows }) {
    this.follows = follows;
    const moved = this.item?.id !== item.id;
    this.item = item;
    if (!this.open) this.#open();
    if (moved || !this.stage.firstChild) {
      const picture = this.picture(item);
      if (picture !== this.stage.firstChild) fill(this.stage, picture);
    }
    this.dialog.querySelector(".zoom-side").className = `zoom-side ${this.face.badge(item, this.classes)?.[2] ?? ""}`;
    fill(this.side, this.words(item));
  }

  /** Step inside of the image; false where it holds nothing to step through. */
  within() {
    return false;
  }

  /** After a verdict: whether something else of this image waits, and is shown now. */
  onward() {
    return false;
  }

  /** Return the image as large as it fits. */
  picture(item) {
    return h("img", { class: fitClass(item, 1).replace("cover", "contain"), src: imageUrl(this.api.base, item, 2048), alt: `${this.face.name(item)}, as large as it fits` });
  }

  /** Return what is said beside it. */
  words(item) {
    const look = this.face.badge(item, this.classes);
    return [
      h("p", { class: "path" }, this.face.name(item)), this.face.tags(item, this.classes),
      opposition(item, this.networks),
      h("p", { class: "verdict" }, look ? h("span", { class: "badge" }, `${look[0]} ${look[1]}`) : h("span", { class: "dim" }, "no verdict yet")),
      classRows(item, { classes: this.classes, digits: this.digits, onpick: this.on.pick, places: PLACES }),
      h("div", { class: "zoom-verdicts" }, this.verdicts()),
    ];
  }

  /** Return the buttons of the verdicts, each with its key. */
  verdicts() {
    const tells = new Set(this.face.blind ? ["accept", "keep"] : this.item.given === UNLABELLED ? ["keep"] : []);
    const able = Object.entries(VERDICTS).filter(([action]) => !tells.has(action));
    return able.map(([action, word]) => this.#verdict(action, word));
  }

  #verdict(action, word) {
    const combo = this.keys.combos(action)[0];
    const title = action === "accept" ? `accept ${className(this.classes, this.item.pseudo)}` : word;
    return h("button", { type: "button", class: "ghost", title, onclick: () => this.on.act(action) }, combo ? keycap(shown(combo)) : null, ` ${word}`);
  }

  close() {
    this.dialog?.close();
  }

  #open() {
    this.stage = h("div", { class: "stage" });
    this.side = h("div", {});
    const dialog = openDialog(this.root, { label: "Zoom", className: "zoom", onclose: () => this.#closed(dialog) },
      h("button", { type: "button", class: "step", "aria-label": "Previous", title: "Previous (←)", onclick: () => this.on.step(-1) }, "‹"),
      this.stage,
      h("button", { type: "button", class: "step", "aria-label": "Next", title: "Next (→)", onclick: () => this.on.step(1) }, "›"),
      h("div", { class: "zoom-side" }, this.side, h("button", { type: "button", class: "close", "aria-label": "Close", title: "Close (Esc)", onclick: () => this.close() }, "✕")));
    this.dialog = dialog;
    dialog.tabIndex = -1;
    dialog.focus();
  }

  /** A dialog tells of its end a little later: by then another may be open, of which it says nothing. */
  #closed(dialog) {
    if (dialog !== this.dialog) return;
    this.item = null;
    this.on.closed();
  }
}
