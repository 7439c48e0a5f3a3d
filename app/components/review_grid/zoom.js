// One image as large as the window allows; arrows step, verdict keys work as on the grid.

import { className } from "../shared/classes.js";
import { fill, h, openDialog } from "../shared/dom.js";
import { fitClass, imageUrl } from "../shared/format.js";
import { noteLine } from "./card.js";
import { classRows, networksLine } from "./inspector.js";
/** @import { Child, ClassId, Classes, Finding, Root, Verdict } from "../shared/types.d.ts" */
/** @import { Api } from "../shared/api.js" */
/** @import { Keys } from "../shared/keys.js" */
/** @import { Face } from "./card.js" */

/**
 * @typedef {object} ZoomActs
 * @property {(by: number) => void} step
 * @property {(id: ClassId) => void} pick
 * @property {(action: string) => void} act
 * @property {() => void} closed
 * @property {(item: Finding) => void} open
 */

/**
 * Options of a zoom: `digits` is the class of each digit key, `networks` how many the round has.
 *
 * @typedef {object} ZoomOptions
 * @property {Root} root
 * @property {Api} api
 * @property {Classes} classes
 * @property {Face} face
 * @property {ClassId[] | null} digits
 * @property {Keys} keys
 * @property {number} [networks]
 * @property {ZoomActs} on
 */

const PLACES = 10;
const UNLABELLED = -1; // no given class, so no keep; no suggested class, so no accept
/** @type {[Verdict, string][]} */
const VERDICTS = [["accept", "accept"], ["keep", "keep"], ["ambiguous", "ambiguous"], ["exclude", "exclude"], ["second_opinion", "second opinion"]];

export class Zoom {
  // Of the open dialog.
  /** @type {HTMLDialogElement | undefined} */ dialog;
  /** @type {HTMLElement} */ stage;
  /** @type {HTMLElement} Text beside the image. */ side;
  /** @type {HTMLElement} Around it, with the close button. */ frame;

  /** @param {ZoomOptions} options */
  constructor({ root, api, classes, face, digits, keys, networks = 1, on }) {
    this.root = root;
    this.api = api;
    this.classes = classes;
    this.face = face;
    this.digits = digits;
    this.keys = keys;
    this.networks = networks;
    this.on = on;
    /** @type {Finding | null} */
    this.item = null;
    this.follows = false; // whether the grid's focus moves along
    /** @type {Finding | null} */
    this.origin = null; // the card that led to an image of several
  }

  get open() {
    return Boolean(this.dialog?.open);
  }

  /** Show an item, opening the dialog when it is closed. @param {Finding} item @param {{ follows: boolean }} options */
  show(item, { follows }) {
    this.follows = follows;
    const moved = this.item?.id !== item.id;
    this.item = item;
    if (!this.open) this.#open();
    if (moved || !this.stage.firstChild) {
      const picture = this.picture(item);
      if (picture !== this.stage.firstChild) fill(this.stage, picture);
    }
    this.frame.className = `zoom-side ${this.face.badge(item, this.classes)?.[2] ?? ""}`;
    fill(this.side, this.words(item));
  }

  /** Step within the image; false if it has nothing to step through. @param {number} _by */
  within(_by) {
    return false;
  }

  /** After a verdict, show the image's next waiting region; returns whether there is one. @param {(item: Finding) => boolean} _waits */
  onward(_waits) {
    return false;
  }

  /** Redraw after a change of the overlay, which images of classes do not have. */
  redraw() {}

  /** Return the image as large as it fits. @param {Finding} item @returns {HTMLElement} */
  picture(item) {
    return h("img", { class: fitClass(item), src: imageUrl(this.api.base, item, 2048), alt: `${this.face.name(item)}, as large as it fits` });
  }

  /** Return the text beside the image. @param {Finding} item @returns {Child[]} */
  words(item) {
    const look = this.face.badge(item, this.classes);
    return [
      h("p", { class: "path" }, this.face.name(item)), this.face.tags(item, this.classes),
      noteLine(this.face.note(item)),
      networksLine(item, this.networks),
      h("p", { class: "verdict" }, look ? h("span", { class: "badge" }, `${look[0]} ${look[1]}`) : h("span", { class: "dim" }, "no verdict yet")),
      classRows(item, { classes: this.classes, digits: this.digits, onpick: this.on.pick, places: PLACES }),
      h("div", { class: "zoom-verdicts" }, this.verdicts(item)),
    ];
  }

  /** Return the buttons of the verdicts on an item, each with its key. @param {Finding} item */
  verdicts({ given, pseudo }) {
    const { blind } = this.face;
    const able = VERDICTS.filter(([action]) => !((action === "accept" && (blind || pseudo === UNLABELLED)) || (action === "keep" && (blind || given === UNLABELLED))));
    return able.map(([action, word]) => {
      const title = action === "accept" ? `accept ${className(this.classes, pseudo)}` : word;
      return h("button", { type: "button", class: "ghost", title, onclick: () => this.on.act(action) }, this.keys.cap(action), ` ${word}`);
    });
  }

  close() {
    this.dialog?.close();
  }

  #open() {
    this.stage = h("div", { class: "stage" });
    this.side = h("div", {});
    this.frame = h("div", { class: "zoom-side" }, this.side, h("button", { type: "button", class: "close", "aria-label": "Close", title: "Close (Esc)", onclick: () => this.close() }, "✕"));
    const dialog = openDialog(this.root, { label: "Zoom", className: "zoom", onclose: () => this.#closed(dialog) },
      h("button", { type: "button", class: "step", "aria-label": "Previous", title: "Previous (←)", onclick: () => this.on.step(-1) }, "‹"),
      this.stage,
      h("button", { type: "button", class: "step", "aria-label": "Next", title: "Next (→)", onclick: () => this.on.step(1) }, "›"),
      this.frame);
    this.dialog = dialog;
    dialog.tabIndex = -1;
    dialog.focus();
  }

  /** A dialog reports its end late: another one may be open by then. @param {HTMLDialogElement} dialog */
  #closed(dialog) {
    if (dialog !== this.dialog) return;
    this.item = null;
    this.on.closed();
  }
}
