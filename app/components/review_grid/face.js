// What a page tells of a card: everything, or (blind) only which classes are in question and what was said of it.
//
// An audit is blind by choice: whoever knows which class is given and which suggested agrees more often than he would.
// Nothing that tells them apart may reach the document then: no order, colour, name of a file, status or address.

import { badgeOf, cardAround, cardImage, className, createCard } from "./card.js";
import { h, keycap } from "./dom.js";
import { keyFor } from "./keys.js";
import { createRegionCard } from "./region_card.js";
import { colouredTags, layeredCrop } from "./regions.js";
import { LOOKS, isEdit, settled, summary } from "./verdicts.js";

const CLASS_SAID = new Set(["accept", "keep", "relabel"]);
const NO_VERDICT = new Set(["open", "bulk", "painted"]); // of a person

/** Return "given → suggested" as two labelled tags. */
function tags(item, classes) {
  return h("div", { class: "gv" },
    h("div", {}, h("small", {}, "given"), h("span", { class: "t g" }, className(classes, item.given))),
    h("span", { class: "ar", "aria-hidden": "true" }, "→"),
    h("div", {}, h("small", {}, "suggested"), h("span", { class: "t p" }, className(classes, item.pseudo))));
}

export const OPEN = {
  blind: false,
  card: (item, context) => (item.region ? createRegionCard(item, context) : createCard(item, context)),
  badge: badgeOf,
  status: ({ status }) => status,
  settled: ({ status }) => settled(status),
  name: ({ name }) => name,
  said: (item, classes) => `${className(classes, item.given)} → ${className(classes, item.pseudo)}`,
  words: (item, classes) => [
    `given ${className(classes, item.given)}`, `suggested ${className(classes, item.pseudo)}`, ...(item.confidence === null ? [] : [`${Math.floor(item.confidence * 100)} percent`]),
  ],
  tags: (item, classes, colours) => (item.region ? colouredTags(item, classes, colours) : tags(item, classes)),
  summary,
};

/** Return the class a person said is right, null where no class was said. */
function classSaid({ status, label, given, pseudo }) {
  if (!CLASS_SAID.has(status)) return null;
  return label ?? { accept: pseudo, keep: given }[status] ?? null;
}

function blindBadge(item, classes) {
  const label = classSaid(item);
  if (label !== null && !isEdit(item)) return ["✓", className(classes, label), "said"];
  if (NO_VERDICT.has(item.status)) return item.skipped ? LOOKS.skipped : null;
  return badgeOf(item, classes);
}

/** Return the card of one item: its picture, and below it the classes in question with their keys. */
function blindCard(item, context) {
  const { classes, base, pixels, aspect, digits } = context;
  const picture = item.region ? layeredCrop(base, item, pixels, { aspect, outlineOnly: true }) : cardImage(item, context);
  const asked = item.choices.length > 1 ? "" : "?";
  return cardAround(item, picture, h("div", { class: "cap either" }, item.choices.map((id) =>
    h("span", { class: "choice", title: className(classes, id) }, keycap(keyFor(id, item, digits)), h("b", {}, `${className(classes, id)}${asked}`)))));
}

export const BLIND = {
  blind: true,
  card: blindCard,
  badge: blindBadge,
  status: ({ status }) => (CLASS_SAID.has(status) ? "judged" : NO_VERDICT.has(status) ? "open" : status),
  settled: ({ status }) => settled(status) && !NO_VERDICT.has(status),
  name: ({ place }) => (place === undefined ? "card" : `card ${place + 1}`),
  said: (item) => BLIND.name(item),
  words: (item, classes) => [BLIND.name(item), item.choices.length > 1 ? item.choices.map((id) => className(classes, id)).join(" or ") : `is it ${className(classes, item.choices[0])}?`],
  tags: () => null,
  /** Return what an act did without a word that tells accepting from keeping. */
  summary(changes, classes) {
    if (changes.length > 1) return `judged ${changes.length}`;
    const [{ item, after }] = changes;
    const label = classSaid({ ...item, ...after });
    if (label !== null) return className(classes, label);
    return NO_VERDICT.has(after.status) ? "reopened" : LOOKS[after.status][1];
  },
};
