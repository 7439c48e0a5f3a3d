// Parts of a review page whose round suggests no labels.

import { className, offeredOf } from "../shared/classes.js";
import { fill, h } from "../shared/dom.js";
import { number } from "../shared/format.js";
import { ACTIONS, classesByDigit } from "../shared/keys.js";
import { digitsInOrder } from "../shared/regions.js";
import { cardAround, cardImage, OPEN } from "./card.js";
import { DEFAULT } from "./filters.js";
import { summary } from "./verdicts.js";
/** @import { Change, Classes, Counts, Filter, Finding, KeyTable, RoundInfo } from "../shared/types.d.ts" */
/** @import { Face } from "./card.js" */
/** @import { CardSize, Density } from "./grid.js" */
/** @import { ButtonWord } from "./masthead.js" */
/** @import { Review } from "./review.js" */
/** @import { OwnParts } from "./wiring.js" */

const EACH = 5; // of a class
const NAMED = 4; // classes in the line
const NOTHING = "no suggestion yet";
/** @type {Record<Density, CardSize>} */
const DENSITIES = { S: { width: 74, most: 16, caption: 24 }, M: { width: 112, most: 11, caption: 26 }, L: { width: 178, most: 7, caption: 30 } };

/** @type {KeyTable} */
const LABELLING_ACTIONS = [["alike", "select similar images", ["m"]]];
/** @type {ButtonWord[]} */
const BUTTONS = [
  ["class", "class"], ["search", "search"], ["alike", "more like this"], ["ambiguous", "ambiguous"], ["exclude", "exclude"], ["second_opinion", "second opinion"],
  ["skip", "skip"], ["undo", "undo"], ["zoom", "zoom"], ["help", "all keys"],
];

/** Return whether a round's findings have no suggested label. @param {RoundInfo} info */
export const suggestsNothing = (info) => info.round.suggests === false;

/** Return the class of each digit key: the class of that name where all are digits, else the classes in their order. @param {Classes} classes */
export const digitsOfClasses = (classes) => classesByDigit(classes) ?? digitsInOrder(classes);

/**
 * Return the progress of labels, `labels[class]` images each, towards a first round, which takes `enough`; `images` may be fewer.
 *
 * @param {Pick<Counts, "labels" | "images" | "enough">} counts
 * @param {Classes} classes
 */
export function progressToRound({ labels, images, enough }, classes) {
  const total = labels.reduce((sum, count) => sum + count, 0);
  const goal = Math.min(enough, images);
  const few = offeredOf(classes).filter((id) => (labels[id] ?? 0) < EACH);
  return { total, goal, few, ready: total >= goal && labels.filter((count) => count > 0).length > 1 };
}

/** Return the counts with the labels that `changes` gave and took. @param {Counts} counts @param {Change[]} changes */
export function moveLabels(counts, changes) {
  const labels = [...counts.labels];
  for (const { before, after } of changes) {
    if (before.label !== null && before.label in labels) labels[before.label] -= 1;
    if (after.label !== null && after.label in labels) labels[after.label] += 1;
  }
  return { ...counts, labels };
}

/** Appearance of a card of such a round: its picture, and after a verdict the class. @type {Face} */
const UNSUGGESTED = {
  ...OPEN,
  card: (item, context) => cardAround(item, cardImage(item, context), h("div", { class: "cap" }, h("span", { class: "to dim" }, NOTHING))),
  title: ({ name }) => name,
  words: ({ name }) => [name, NOTHING],
  tags: () => null,
  /** @param {Classes} classes */
  summary(changes, classes) {
    const labelled = changes.every(({ after }) => after.status === "relabel");
    if (!labelled) return summary(changes, classes);
    return changes.length > 1 ? `labelled ${changes.length}` : className(classes, changes[0].after.label);
  },
};

/** Line above the cards: number of labels, classes with few of them, and the link to the first round. */
export class LabellingBar {
  /** @param {{ info: RoundInfo, classes: Classes }} options */
  constructor({ info, classes }) {
    this.info = info;
    this.classes = classes;
    this.text = h("span", { class: "n" });
    this.few = h("span", { class: "q" });
    this.start = h("a", { class: "as-button primary lead", href: `rounds?dataset=${info.round.dataset_id}` }, "Start the first round");
    this.element = h("div", { class: "all labelling-bar" }, this.text, this.few, this.start);
  }

  /** @param {Counts} counts @param {Filter} _filter */
  draw(counts, _filter) {
    const { total, goal, few, ready } = progressToRound(counts, this.classes);
    const names = few.slice(0, NAMED).map((id) => className(this.classes, id));
    const more = few.length > NAMED ? ` and ${number(few.length - NAMED)} more` : "";
    fill(this.text, h("b", {}, number(total)), ` of ${number(goal)} labels for a first round`);
    fill(this.few, few.length > 0 && `fewer than ${EACH} labels: ${names.join(", ")}${more}`);
    this.start.hidden = !ready;
  }

  /** @param {unknown} _recalibration */
  propose(_recalibration) {} // thresholds are of suggestions
}

/** Make the parts of labelling; returns those of other parts. @param {Review} review @returns {OwnParts} */
export function labellingParts(review) {
  const { info, classes, keys, element } = review;
  element.classList.add("labelling");
  keys.actions = [...ACTIONS, ...LABELLING_ACTIONS];
  return {
    face: UNSUGGESTED, digits: () => digitsOfClasses(classes), alike: ({ similar }) => showAlike(review, similar), bar: new LabellingBar({ info, classes }),
    topline: { noun: "images", words: { relabel: "labelled" } }, buttons: BUTTONS, densities: DENSITIES, move: moveLabels,
  };
}

/**
 * Return a finding with the classes to choose from in place of the likeliest ones.
 *
 * @param {Finding} item
 * @param {Classes} classes
 * @returns {Finding}
 */
export const withClasses = (item, classes) => ({ ...item, likely: digitsInOrder(classes).map((id) => [id, null]) });

/** Return the actions of such a page's own keys. @param {Review} review */
export function labellingActions(review) {
  return {
    alike: async () => {
      const item = review.cursor.current();
      const detail = item && (await review.api.finding(item.id).catch(() => null));
      if (item && detail?.alike) await showAlike(review, detail.alike.similar, item.id);
      else if (item) review.toast.say("No other open image looks like this one.");
    },
  };
}

/**
 * Show the images that look like the one with the focus, all of them selected: one key labels them.
 *
 * @param {Review} review
 * @param {string} similar
 * @param {number} [id]
 */
async function showAlike(review, similar, id = review.cursor.current()?.id) {
  review.zoom.close();
  await review.setFilter({ ...DEFAULT, similar });
  if (id !== undefined) review.cursor.selectPage(id);
}
