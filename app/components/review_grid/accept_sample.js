// First cards of a set's random order in the accept-all dialog. Verdicts on them belong to the set's audit.

import { errorText } from "../shared/api.js";
import { className, givenName, suggestedName } from "../shared/classes.js";
import { fill, focusedBeside, h } from "../shared/dom.js";
import { fitClass, imageUrl, number } from "../shared/format.js";
import { classAt, isTyping } from "../shared/keys.js";
import { layeredCrop } from "../shared/regions.js";
import { openSearch } from "../shared/search.js";
import { badgeOf } from "./card.js";
import { canTake, decisionFor, refusal } from "./verdicts.js";
/** @import { BulkPreview, ClassId, Decision, Finding, Verdict } from "../shared/types.d.ts" */
/** @import { Review } from "./review.js" */

const PIXELS = 256; // of a card
const BUTTONS = [["accept", "Accept"], ["keep", "Keep"], ["ambiguous", "Ambiguous"], ["exclude", "Exclude"], ["undo", "Undo"]];
const MOVES = new Set(["left", "right", "up", "down"]);
const UNJUDGED = new Set(["open", "second_opinion", "bulk", "painted"]); // as an audit counts: a bulk act is not a verdict of a person

export class AcceptSample {
  /**
   * @param {object} options
   * @param {Pick<Review, "root" | "api" | "classes" | "digits" | "keys" | "judging" | "know">} options.review
   * @param {() => Promise<number>} options.begin Resolves to the id of the set's audit, started if there is none.
   * @param {() => void} options.onjudged
   * @param {(text: string) => void} options.onproblem
   */
  constructor({ review, begin, onjudged, onproblem }) {
    this.review = review;
    this.begin = begin;
    this.onjudged = onjudged;
    this.onproblem = onproblem;
    /** @type {Finding[]} */
    this.items = [];
    /** @type {HTMLElement[]} */
    this.figures = [];
    this.at = 0;
    /** @type {Promise<number> | null} */
    this.audit = null;
    /** @param {Verdict} verdict */
    const judge = (verdict) => () => this.#judge((item) => ({ finding: item.id, verdict }));
    /** @param {number} columns @param {number} rows */
    const move = (columns, rows) => () => this.#focus(this.at + columns + rows * this.#columns());
    /** @type {Record<string, (place?: number) => unknown>} */
    this.actions = {
      accept: judge("accept"), keep: judge("keep"), ambiguous: judge("ambiguous"), exclude: judge("exclude"), second_opinion: judge("second_opinion"),
      class: (place = -1) => this.#pick(classAt(place, this.items[this.at], review.digits)),
      search: () => openSearch({ root: review.root, item: this.items[this.at], classes: review.classes, onpick: (id) => this.#pick(id) }),
      undo: () => this.#turn(() => review.judging.undo()),
      redo: () => this.#turn(() => review.judging.redo()),
      left: move(-1, 0), right: move(1, 0), up: move(0, -1), down: move(0, 1),
    };
    this.title = h("h2", {});
    this.buttons = h("div", { class: "rnd-verdicts" }, BUTTONS.map(([action, text]) =>
      h("button", { type: "button", class: "ghost", onclick: () => this.items.length && this.actions[action]() }, text, " ", review.keys.cap(action))));
    this.cards = h("div", { class: "rnd" });
    this.element = h("div", {}, this.title, this.buttons, this.cards);
  }

  /** Show the sample of a preview. @param {BulkPreview} preview */
  draw({ sample, size, audit }) {
    const items = sample.map((finding) => this.review.know(finding));
    const same = items.length === this.items.length && items.every(({ id }, place) => id === this.items[place].id);
    const focused = this.cards.contains(focusedBeside(this.cards));
    this.items = items;
    this.audit = audit ? Promise.resolve(audit.id) : null;
    this.title.textContent = size > sample.length ? `The first ${sample.length} of its random order` : `All ${number(size)} in its random order`;
    this.buttons.hidden = !items.length;
    if (!same) {
      this.at = Math.max(0, items.findIndex(waits));
      this.figures = items.map((item, place) => this.#figure(item, place));
      fill(this.cards, this.figures);
    }
    this.#paint();
    if (focused && !same) this.#focus(this.at);
  }

  /** Act on a key pressed anywhere in the dialog, except during typing. @param {KeyboardEvent} event */
  key(event) {
    if (isTyping(event) || !this.items.length) return;
    const found = this.review.keys.lookup(event);
    const action = found && this.actions[found.action];
    if (!found || !action) return;
    const moves = MOVES.has(found.action);
    if (moves ? !this.cards.contains(/** @type {Node} */ (event.composedPath()[0])) : event.repeat) return;
    event.preventDefault();
    action(found.place);
  }

  /** @param {(item: Finding) => Decision} decisionOf */
  async #judge(decisionOf) {
    const item = this.items[this.at];
    const { classes, judging } = this.review;
    const decision = decisionOf(item);
    if (!canTake(item, decision.verdict)) {
      this.onproblem(refusal(decision.verdict));
      return;
    }
    this.audit ??= this.begin();
    const { audit } = this;
    this.#focus(this.#next());
    try {
      judging.decide([item], () => decision, { audit: await audit, blind: false });
    } catch (error) {
      if (this.audit === audit) this.audit = null; // the next verdict tries again
      this.onproblem(`${className(classes, item.pseudo)} was not judged: ${errorText(error)}`);
      return;
    }
    this.#paint();
    this.onjudged();
  }

  /** @param {ClassId | undefined} label */
  #pick(label) {
    if (label !== undefined) this.#judge((item) => decisionFor(item, label));
  }

  /** @param {() => void} act */
  #turn(act) {
    act();
    this.#paint();
    this.onjudged();
  }

  /** Return the place of the next card without a verdict behind the current one, else of the next card. */
  #next() {
    const later = this.items.findIndex((item, place) => place > this.at && waits(item));
    return later < 0 ? this.at + 1 : later;
  }

  /** @param {number} place */
  #focus(place) {
    this.at = Math.max(0, Math.min(place, this.figures.length - 1));
    this.#paint();
    this.figures[this.at]?.focus();
  }

  #columns() {
    const [first] = this.figures;
    return this.figures.filter((figure) => figure.offsetTop === first.offsetTop).length;
  }

  /** @param {Finding} item @param {number} place */
  #figure(item, place) {
    const { api, classes } = this.review;
    const words = `${className(classes, item.given)} → ${className(classes, item.pseudo)}`;
    const picture = item.region
      ? layeredCrop(api.base, item, PIXELS, { alt: words })
      : h("img", { class: fitClass(item), src: imageUrl(api.base, item, PIXELS), alt: words });
    return h("figure", { title: words, "aria-label": words, dataset: { id: item.id }, onfocus: () => this.at === place || this.#focus(place), onclick: () => this.#focus(place) },
      h("div", { class: "rnd-image" }, picture, h("span", { class: "badge", hidden: true })),
      h("figcaption", {}, item.given === item.pseudo ? suggestedName(classes, item.pseudo) : [givenName(classes, item.given), h("span", { class: "to" }, "→ ", suggestedName(classes, item.pseudo))]));
  }

  #paint() {
    this.figures.forEach((figure, place) => {
      const item = this.items[place];
      const look = waits(item) ? null : badgeOf(item, this.review.classes);
      figure.tabIndex = place === this.at ? 0 : -1;
      figure.classList.toggle("on", place === this.at);
      const badge = /** @type {HTMLElement} */ (figure.querySelector(".badge"));
      badge.hidden = !look;
      badge.className = `badge ${look?.[2] ?? ""}`;
      badge.textContent = look ? `${look[0]} ${look[1]}` : "";
    });
  }
}

/** @param {Pick<Finding, "status">} item */
const waits = ({ status }) => UNJUDGED.has(status);
