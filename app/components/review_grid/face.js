// Appearance of a card: open, or blind with only the classes in question and the verdict.
//
// An audit is blind by choice: knowledge of the given and the suggested class raises agreement.
// Nothing that tells them apart may reach the document then: no order, colour, name of a file, status or address.

import { className } from "../shared/classes.js";
import { h, keycap } from "../shared/dom.js";
import { keyFor } from "../shared/keys.js";
import { colouredTags, layeredCrop } from "../shared/regions.js";
import { badgeOf, cardAround, cardImage, createCard, createRegionCard } from "./card.js";
import { isEdit, LOOKS, isSettled, summary } from "./verdicts.js";
/** @import { Change, ClassId, Classes, Finding, Status } from "../shared/types.d.ts" */
/** @import { CardContext } from "./card.js" */
/** @import { Look } from "./verdicts.js" */

/** @type {Set<Status>} */
const CLASS_CHOSEN = new Set(["accept", "keep", "relabel"]);
/** @type {Set<Status>} */
const NO_VERDICT = new Set(["open", "bulk", "painted"]); // of a person

/** Return "given → suggested" as two labelled tags. @param {Finding} item @param {Classes} classes */
function tags(item, classes) {
  return h("div", { class: "gv" },
    h("div", {}, h("small", {}, "given"), h("span", { class: "t g" }, className(classes, item.given))),
    h("span", { class: "ar", "aria-hidden": "true" }, "→"),
    h("div", {}, h("small", {}, "suggested"), h("span", { class: "t p" }, className(classes, item.pseudo))));
}

/**
 * Appearance of cards: how they are drawn, named and described.
 *
 * @typedef {object} Face
 * @property {boolean} blind Whether given and suggested class are hidden.
 * @property {(item: Finding, context: CardContext) => HTMLElement} card
 * @property {(item: Finding, classes: Classes) => Look | null} badge
 * @property {(item: Finding) => string} status
 * @property {(item: Finding) => boolean} settled
 * @property {(item: Finding) => string} name
 * @property {(item: Finding) => string} note
 * @property {(item: Finding, classes: Classes) => string} title
 * @property {(item: Finding, classes: Classes) => string[]} words For screen readers.
 * @property {(item: Finding, classes: Classes, colours?: string[] | null) => HTMLElement | null} tags
 * @property {(changes: Change[], classes: Classes) => string} summary
 */

/** @type {Face} */
export const OPEN = {
  blind: false,
  card: (item, context) => (item.region ? createRegionCard(item, context) : createCard(item, context)),
  badge: badgeOf,
  status: ({ status }) => status,
  settled: ({ status }) => isSettled(status),
  name: ({ name }) => name,
  note: ({ note = "" }) => note,
  title: (item, classes) => `${className(classes, item.given)} → ${className(classes, item.pseudo)}`,
  words: (item, classes) => [
    `given ${className(classes, item.given)}`, `suggested ${className(classes, item.pseudo)}`, ...(item.confidence === null ? [] : [`${Math.floor(item.confidence * 100)} percent`]),
  ],
  tags: (item, classes, colours) => (item.region ? colouredTags(item, classes, colours ?? null) : tags(item, classes)),
  summary,
};

/** Return the class that a person called right, null for other verdicts. @param {Pick<Finding, "status" | "label" | "given" | "pseudo">} item */
function labelOf({ status, label, given, pseudo }) {
  if (!CLASS_CHOSEN.has(status)) return null;
  return label ?? (status === "accept" ? pseudo : status === "keep" ? given : null);
}

/** @type {Face["badge"]} */
function blindBadge(item, classes) {
  const label = labelOf(item);
  if (label !== null && !isEdit(item)) return ["✓", className(classes, label), "said"];
  if (NO_VERDICT.has(item.status)) return item.skipped ? LOOKS.skipped : null;
  return badgeOf(item, classes);
}

/**
 * Return the card of one item: its picture, and below it the classes in question with their keys.
 *
 * @param {Finding} item
 * @param {CardContext} context
 */
function blindCard(item, context) {
  const { classes, base, pixels, digits } = context;
  const picture = item.region ? layeredCrop(base, item, pixels, { outlineOnly: true }) : cardImage(item, context);
  const choices = item.choices ?? [];
  const end = choices.length > 1 ? "" : "?";
  return cardAround(item, picture, h("div", { class: "cap either" }, choices.map((id) =>
    h("span", { class: "choice", title: className(classes, id) }, keycap(keyFor(id, item, digits)), h("b", {}, `${className(classes, id)}${end}`)))));
}

/** Return the question of a blind card. @param {ClassId[]} choices @param {Classes} classes */
function choiceText(choices, classes) {
  return choices.length > 1 ? choices.map((id) => className(classes, id)).join(" or ") : `is it ${className(classes, choices[0])}?`;
}

/** @type {Face} */
export const BLIND = {
  blind: true,
  card: blindCard,
  badge: blindBadge,
  status: ({ status }) => (CLASS_CHOSEN.has(status) ? "judged" : NO_VERDICT.has(status) ? "open" : status),
  settled: ({ status }) => isSettled(status) && !NO_VERDICT.has(status),
  note: () => "", // it may name either class
  name: ({ place }) => (place === undefined ? "card" : `card ${place + 1}`),
  title: (item) => BLIND.name(item),
  words: (item, classes) => [BLIND.name(item), choiceText(item.choices ?? [], classes)],
  tags: () => null,
  /** Return an act in words that do not distinguish accept from keep. */
  summary(changes, classes) {
    if (changes.length > 1) return `judged ${changes.length}`;
    const [{ item, after }] = changes;
    const label = labelOf({ ...item, ...after });
    if (label !== null) return className(classes, label);
    return NO_VERDICT.has(after.status) ? "reopened" : LOOKS[after.status]?.[1] ?? "reopened";
  },
};
