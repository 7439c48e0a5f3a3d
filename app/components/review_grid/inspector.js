// Right side: the focused image large, its likeliest classes with their digit keys, neighbours and history.

import { className, nameElement } from "../shared/classes.js";
import { fill, h, keycap } from "../shared/dom.js";
import { clock, day, fitClass, imageUrl, number, percent } from "../shared/format.js";
import { keyFor } from "../shared/keys.js";
import { CONFIDENCE, noteLine } from "./card.js";
/** @import { Child, ClassId, Classes, Filter, Finding, FindingDetail } from "../shared/types.d.ts" */
/** @import { Api } from "../shared/api.js" */
/** @import { Face } from "./card.js" */

/** @typedef {{ classes: Classes, digits: ClassId[] | null, onpick: (id: ClassId) => void }} ClassChoice */

/**
 * Acts of an inspector; in an audit there are no look-alikes.
 *
 * @typedef {object} InspectorActs
 * @property {(id: ClassId) => void} pick
 * @property {(item: Finding) => void} open
 * @property {(item: Finding) => void} [link]
 * @property {(set: Pick<Filter, "show" | "given" | "pseudo" | "similar">) => void} [alike]
 */

/**
 * Options of an inspector: `digits` is the class of each digit key, `networks` how many the round has.
 *
 * @typedef {object} InspectorOptions
 * @property {Api} api
 * @property {Classes} classes
 * @property {Face} face
 * @property {ClassId[] | null} digits
 * @property {number} [networks]
 * @property {InspectorActs} on
 */

const PLACES = 5;
const ALL = 20; // that have a key
const OTHERS = 10; // places of an audit, those in question included
const DETAIL_DELAY_MS = 220; // no request while the focus runs along a row
const LARGE = 384; // device pixels
const KEPT = 100; // details in memory; a day's work passes thousands of cards

/**
 * Return the classes with their keys, the likeliest first, shared by inspector and zoom; in an audit those in question first.
 *
 * @param {Finding} item
 * @param {ClassChoice & { places?: number }} options
 */
export function classRows(item, { classes, digits, onpick, places = PLACES }) {
  const rest = { classes, digits, onpick };
  const unknown = item.likely.every(([, probability]) => probability === null); // no suggestion: all classes, in order
  if (!item.choices) return [h("h2", {}, unknown ? "Classes" : "Likeliest classes"), rowsOf(item, item.likely.slice(0, unknown ? ALL : places), rest)];
  const count = item.choices.length;
  const others = item.likely.slice(count, OTHERS);
  return [
    h("h2", {}, count > 1 ? "Which is right?" : "Is this right?"), rowsOf(item, item.likely.slice(0, count), rest),
    others.length > 0 && [h("h2", {}, "Other classes"), rowsOf(item, others, rest)],
  ];
}

/** @param {Finding} item @param {Finding["likely"]} likely @param {ClassChoice} options */
function rowsOf(item, likely, { classes, digits, onpick }) {
  return h("div", { class: "lk" }, likely.map(([id, probability]) =>
    h("button", { type: "button", class: "likely", title: `${className(classes, id)}: key ${keyFor(id, item, digits)}`, onclick: () => onpick(id) },
      keycap(keyFor(id, item, digits)), nameElement(classes, id, "span", { class: "name" }),
      probability !== null && h("span", { class: "bb" }, h("i", { class: id === item.pseudo ? "p" : id === item.given ? "g" : "", style: { width: `${probability * 100}%` } })),
      probability !== null && h("em", {}, percent(probability)))));
}

/** Return the network's confidence in the suggested class and in the label; null in an audit, which shows neither. @param {Finding} item */
function confidenceLine({ confidence, self_confidence: own, given, pseudo }) {
  if (confidence === null || pseudo === -1) return null;
  const labelled = given !== -1 && given !== pseudo && own !== null && own !== undefined;
  return h("p", { class: "certainty", title: CONFIDENCE },
    `Confidence ${percent(confidence)}`,
    labelled && h("span", { title: "The probability that the network, which never saw this image, gives the label. “Most suspicious first” sorts by it, the smallest first." }, ` · label ${percent(own)} (most suspicious first)`));
}

/**
 * Return the number of networks that contradict the label, null for rounds of one network.
 *
 * @param {Pick<Finding, "contradicting">} item
 * @param {number} networks
 */
export function networksLine({ contradicting }, networks) {
  if (contradicting === null || contradicting === undefined || !(networks > 1)) return null;
  return h("p", { class: "networks" }, `${contradicting || "none"} of ${networks} networks ${contradicting > 1 ? "contradict" : "contradicts"} the label`);
}

export class Inspector {
  /** @param {InspectorOptions} options */
  constructor({ api, classes, face, digits, networks = 1, on }) {
    this.api = api;
    this.classes = classes;
    this.face = face;
    this.digits = digits;
    this.networks = networks;
    this.on = on;
    /** @type {string[] | null} Colours of the classes, of masks. */
    this.colours = null;
    /** @type {Finding | null | undefined} */
    this.item = null;
    /** @type {HTMLImageElement[]} Images of the next card. */
    this.fetched = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {Map<number, FindingDetail>} */
    this.details = new Map();
    this.image = h("button", { type: "button", class: "bigim", title: "Zoom", onclick: () => this.item && on.open(this.item) });
    this.body = h("div", {});
    this.more = h("div", {});
    this.element = h("aside", { class: "right", "aria-label": "Details of the focused card" }, this.image, this.body, this.more);
  }

  /**
   * Show an item at once; its details are fetched when the focus rests, the image of `next` ahead.
   *
   * @param {Finding | undefined} item
   * @param {Finding | null} next
   */
  show(item, next = null) {
    clearTimeout(this.timer);
    this.element.classList.toggle("empty", !item);
    const moved = item?.id !== this.item?.id;
    this.item = item;
    if (!item) {
      fill(this.image);
      fill(this.body);
      fill(this.more);
      return;
    }
    if (moved) this.drawImage(item);
    fill(this.body, this.words(item));
    const known = this.details.get(item.id);
    if (known) this.#detail(item, known);
    else if (moved) fill(this.more);
    if (next) this.fetched = this.ahead(next);
    this.timer = setTimeout(() => this.rested(item), known ? 4 * DETAIL_DELAY_MS : DETAIL_DELAY_MS);
  }

  /** Drop the details of these items, whose decisions have changed; those of the shown item are fetched again. @param {number[]} ids */
  forget(ids) {
    for (const id of ids) this.details.delete(id);
    const { item } = this;
    if (!item || !ids.includes(item.id)) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.rested(item), DETAIL_DELAY_MS);
  }

  /** Redraw after a change of the overlay, which images of classes do not have. */
  redraw() {}

  /** Draw the image. @param {Finding} item */
  drawImage(item) {
    fill(this.image, h("img", { class: fitClass(item), src: imageUrl(this.api.base, item, LARGE), alt: `${this.face.name(item)}, large` }));
  }

  /** Return the text below the image. @param {Finding} item @returns {Child[]} */
  words(item) {
    const look = this.face.badge(item, this.classes);
    return [
      h("p", { class: "path", title: this.face.name(item) }, this.face.name(item)),
      !this.face.blind && this.on.link && h("button", { type: "button", class: "link", onclick: () => this.on.link?.(item) }, "Copy link"),
      this.face.tags(item, this.classes, this.colours),
      noteLine(this.face.note(item)),
      confidenceLine(item),
      networksLine(item, this.networks),
      look && h("p", { class: `verdict ${look[2]}` }, h("span", { class: "badge" }, `${look[0]} ${look[1]}`), item.by && ` by ${item.by}`),
      classRows(item, { classes: this.classes, digits: this.digits, onpick: this.on.pick }),
    ];
  }

  /** Fetch the images of the next card; they are referenced until the one after it. @param {Finding} next @returns {HTMLImageElement[]} */
  ahead(next) {
    return [Object.assign(new Image(), { src: imageUrl(this.api.base, next, LARGE) })];
  }

  /** Fetch the details of an item on which the focus rests; none in a blind audit. @param {Finding} item */
  async rested(item) {
    if (this.face.blind) return;
    const detail = await this.api.finding(item.id).catch(() => null);
    if (!detail) return;
    this.details.set(item.id, detail);
    const [oldest] = this.details.keys();
    if (this.details.size > KEPT) this.details.delete(oldest);
    if (this.item?.id === item.id) this.#detail(item, detail);
  }

  /** Return a link to similar open findings of the same pair of classes. @param {Finding} item @param {{ count: number, similar: string }} alike */
  #alike({ given, pseudo, kind }, { count, similar }) {
    return h("button", { type: "button", class: "link", onclick: () => this.on.alike?.({ show: kind, given, pseudo, similar }) }, `${number(count)} more like this`);
  }

  /** @param {Finding} item @param {FindingDetail} detail */
  #detail(item, { history, decisions, notes = [], neighbours, alike, path }) {
    if (path) this.body.querySelector(".path")?.setAttribute("title", path);
    /** @param {FindingDetail["decisions"][number]} decision */
    const says = ({ verdict, label }) => (label === null || label === undefined ? verdict.replaceAll("_", " ") : `${verdict} ${className(this.classes, label)}`);
    fill(this.more,
      neighbours && neighbours.length > 0 && [h("h2", {}, "Nearest neighbours"), h("div", { class: "nn" }, neighbours.slice(0, 10).map((near) =>
        h("img", { class: fitClass(near), src: imageUrl(this.api.base, near, 96), alt: className(this.classes, near.given), title: `given ${className(this.classes, near.given)}` })))],
      alike && alike.count > 0 && this.on.alike && this.#alike(item, alike),
      h("h2", {}, "History"),
      h("ul", { class: "hx" },
        history.filter(({ pseudo }) => pseudo !== -1).map((earlier) => h("li", {}, `Round ${earlier.round} · suggested ${className(this.classes, earlier.pseudo)}${item.confidence === null ? "" : ` ${percent(earlier.confidence)}`}`)),
        decisions.map((decision) => h("li", { class: decision.live ? "live" : "undone", title: `${day(decision.at)}${decision.live ? "" : ", undone"}` },
          `${decision.bulk ? "in bulk: " : ""}${says(decision)} · ${decision.by} ${clock(decision.at).slice(0, 5)}`)),
        notes.map((note) => h("li", { class: note.live ? "live note" : "undone note", title: `${day(note.at)}${note.live ? "" : ", undone"}` },
          note.text ? `“${note.text}”` : "note removed", ` · ${note.by} ${clock(note.at).slice(0, 5)}`)),
        !decisions.length && h("li", { class: "dim" }, "no verdict yet")));
  }
}
