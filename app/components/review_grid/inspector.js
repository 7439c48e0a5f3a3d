// The right side: the focused image large, its likeliest classes with their number keys, neighbours and history.

import { className } from "./card.js";
import { fill, h, keycap } from "./dom.js";
import { clock, day, fitClass, fraction, imageUrl, number, percent } from "./format.js";
import { keyFor } from "./keys.js";

const PLACES = 5;
const OTHERS = 10; // places of an audit, those in question included
const DETAIL_DELAY_MS = 220; // while the focus runs along a row, nothing is asked for
const LARGE = 384; // device pixels
const KEPT = 100; // details at hand; a day's work passes thousands of cards

/** Return the classes with their keys, the likeliest first, shared by inspector and zoom; an audit asks for those in question first. */
export function classRows(item, { places = PLACES, ...rest }) {
  if (!item.choices) return [h("h2", {}, "Likeliest classes"), rowsOf(item, item.likely.slice(0, places), rest)];
  const asked = item.choices.length;
  const others = item.likely.slice(asked, OTHERS);
  return [
    h("h2", {}, asked > 1 ? "Which is right?" : "Is this right?"), rowsOf(item, item.likely.slice(0, asked), rest),
    others.length > 0 && [h("h2", {}, "Other classes"), rowsOf(item, others, rest)],
  ];
}

function rowsOf(item, likely, { classes, digits, onpick }) {
  return h("div", { class: "lk" }, likely.map(([id, probability]) =>
    h("button", { type: "button", class: "likely", title: `${className(classes, id)}: key ${keyFor(id, item, digits)}`, onclick: () => onpick(id) },
      keycap(keyFor(id, item, digits)), h("span", { class: "name" }, className(classes, id)),
      probability !== null && h("span", { class: "bb" }, h("i", { class: id === item.pseudo ? "p" : id === item.given ? "g" : "", style: { width: `${probability * 100}%` } })),
      probability !== null && h("em", {}, percent(probability)))));
}

/** Return how many networks of the round contradict the label, null where it has one network or the card does not tell. */
export function opposition({ contradicting }, networks) {
  if (contradicting === null || contradicting === undefined || !(networks > 1)) return null;
  return h("p", { class: "networks" }, `${contradicting || "none"} of ${networks} networks ${contradicting > 1 ? "contradict" : "contradicts"} the label`);
}

export class Inspector {
  /** `api` for details, `face` decides what a card shows, `digits` is the class of each digit key, `networks` counts the round's, `on` holds pick(class) and open(item). */
  constructor({ api, classes, face, digits, networks = 1, on }) {
    Object.assign(this, { api, classes, face, digits, networks, on });
    this.details = new Map();
    this.image = h("button", { type: "button", class: "bigim", title: "Zoom", onclick: () => this.item && on.open(this.item) });
    this.body = h("div", {});
    this.more = h("div", {});
    this.element = h("aside", { class: "right", "aria-label": "Details of the focused card" }, this.image, this.body, this.more);
  }

  /** Show an item at once; what must be asked for follows when the focus rests. The image of `next` is fetched ahead. */
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
    if (known) this.#detail(known);
    else if (moved) fill(this.more);
    if (next) this.fetched = this.ahead(next);
    this.timer = setTimeout(() => this.rested(item), known ? 4 * DETAIL_DELAY_MS : DETAIL_DELAY_MS);
  }

  /** Forget what was asked for these items: their decisions have changed. Of the one shown it is asked for anew. */
  forget(ids) {
    for (const id of ids) this.details.delete(id);
    const { item } = this;
    if (!item || !ids.includes(item.id)) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.rested(item), DETAIL_DELAY_MS);
  }

  /** Draw the image. */
  drawImage(item) {
    fill(this.image, h("img", { class: fitClass(item, 1), src: imageUrl(this.api.base, item, LARGE), alt: `${this.face.name(item)}, large` }));
  }

  /** Return what is said below the image. */
  words(item) {
    const look = this.face.badge(item, this.classes);
    return [
      h("p", { class: "path", title: this.face.name(item) }, this.face.name(item)),
      this.face.tags(item, this.classes, this.colours),
      opposition(item, this.networks),
      look && h("p", { class: `verdict ${look[2]}` }, h("span", { class: "badge" }, `${look[0]} ${look[1]}`), item.by && ` by ${item.by}`),
      classRows(item, { classes: this.classes, digits: this.digits, onpick: this.on.pick }),
    ];
  }

  /** Fetch the images of the next card; what is returned is held until the one after it. */
  ahead(next) {
    return Object.assign(new Image(), { src: imageUrl(this.api.base, next, LARGE) });
  }

  /** The focus rests here: ask for the details. They tell what a blind audit does not. */
  async rested(item) {
    if (this.face.blind) return;
    const detail = await this.api.finding(item.id).catch(() => null);
    if (!detail) return;
    this.details.set(item.id, detail);
    if (this.details.size > KEPT) this.details.delete(this.details.keys().next().value);
    if (this.item?.id === item.id) this.#detail(detail);
  }

  /** Return the way to the open findings of the same pair of classes that look like the one shown. */
  #alike({ count, similar }) {
    const { given, pseudo, kind } = this.item;
    return h("button", { type: "button", class: "link", onclick: () => this.on.alike({ show: kind, given, pseudo, similar }) }, `${number(count)} more like this`);
  }

  #detail({ history, decisions, neighbours, alike, path }) {
    if (path) this.body.querySelector(".path")?.setAttribute("title", path);
    const says = (one) => (one.label === null || one.label === undefined ? one.verdict.replaceAll("_", " ") : `${one.verdict} ${className(this.classes, one.label)}`);
    fill(this.more,
      neighbours?.length > 0 && [h("h2", {}, "Nearest neighbours"), h("div", { class: "nn" }, neighbours.slice(0, 10).map((near) =>
        h("img", { class: fitClass(near, 1), src: imageUrl(this.api.base, near, 96), alt: className(this.classes, near.given), title: `given ${className(this.classes, near.given)}` })))],
      alike?.count > 0 && this.on.alike && this.#alike(alike),
      h("h2", {}, "History"),
      h("ul", { class: "hx" },
        history.map((one) => h("li", {}, `Round ${one.round} · suggested ${className(this.classes, one.pseudo)}${this.item.confidence === null ? "" : ` ${fraction(one.confidence)}`}`)),
        decisions.map((one) => h("li", { class: one.live ? "live" : "undone", title: `${day(one.at)}${one.live ? "" : ", undone"}` },
          `${one.bulk ? "in bulk: " : ""}${says(one)} · ${one.by} ${clock(one.at).slice(0, 5)}`)),
        !decisions.length && h("li", { class: "dim" }, "no verdict yet")));
  }
}
