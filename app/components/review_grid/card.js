// Cards of images and regions: picture, given and suggested class, confidence, badge of the verdict, note; and their appearance: open, or
// blind with only the classes in question and the verdict.
//
// An audit is blind by choice: knowledge of the given and the suggested class raises agreement. Nothing that tells them apart may reach the
// document then: no order, colour, name of a file, status or address.

import { className, distinctName, givenName, suggestedName } from "../shared/classes.js";
import { h, keycap, openDialog } from "../shared/dom.js";
import { fitClass, imageUrl, percent } from "../shared/format.js";
import { keyFor } from "../shared/keys.js";
import { layeredCrop, pairTags, swatch } from "../shared/regions.js";
import { isEdit, isSettled, LOOKS, summary } from "./verdicts.js";
/** @import { Change, Classes, ClassId, Finding, FindingDetail, Root, Status } from "../shared/types.d.ts" */
/** @import { Look } from "./verdicts.js" */

/**
 * What cards of a page share.
 *
 * @typedef {object} CardContext
 * @property {Face} face
 * @property {ClassId[] | null} digits Class of each digit key.
 * @property {Classes} classes
 * @property {string[] | null} colours
 * @property {string} base Address of the pictures.
 * @property {number} pixels Width of a card in device pixels.
 */

export const CONFIDENCE = "Confidence: how likely the suggestion is right by the network, which never saw this image, and by the estimated noise of the labels. A model's opinion, not a measured share.";
const LONGEST = 500;

/**
 * Return [glyph, word, class name] of the item's badge, null without a verdict.
 *
 * @param {Finding} item
 * @param {Classes} classes
 * @returns {Look | null}
 */
export function badgeOf(item, classes) {
  if (isEdit(item)) return LOOKS.edited;
  const look = LOOKS[item.status] ?? (item.skipped ? LOOKS.skipped : null);
  return look && item.status === "relabel" ? [look[0], distinctName(classes, item.label), look[2]] : look;
}

/** Return the confidence as a bar and a number; nothing in an audit, which shows none. @param {Finding} item */
function confidenceBar({ confidence }) {
  if (confidence === null) return [];
  return [
    h("span", { class: "conf", title: CONFIDENCE }, h("i", { style: { width: `${confidence * 100}%` } })), h("span", { class: "pc", title: CONFIDENCE }, percent(confidence)),
  ];
}

/** Return the picture of an image's card. @param {Finding} item @param {Pick<CardContext, "base" | "pixels">} context */
export function cardImage(item, { base, pixels }) {
  const image = h("img", {
    class: fitClass(item), src: imageUrl(base, item, pixels), alt: "", decoding: "async", draggable: false,
  });
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "missing" }, "image cannot be shown")), { once: true });
  return image;
}

/**
 * Return a card: a picture with room for its badge, and its caption below.
 *
 * @param {Finding} item
 * @param {HTMLElement} picture
 * @param {HTMLElement} caption
 */
export function cardAround(item, picture, caption) {
  return h("div", { role: "option", id: `card-${item.id}`, dataset: { id: item.id } },
    h("div", { class: "im" }, picture, h("span", { class: "badge" }), h("span", { class: "tick", "aria-hidden": "true" }, "✓")), caption);
}

/** Return the card of an image. @param {Finding} item @param {CardContext} context */
function createCard(item, context) {
  const { classes } = context;
  return cardAround(item, cardImage(item, context),
    h("div", { class: "cap" },
      givenName(classes, item.given),
      h("span", { class: "to" }, h("i", {}, "→ "), suggestedName(classes, item.pseudo)),
      confidenceBar(item)));
}

/** Return the card of a region. @param {Finding} item @param {CardContext} context */
function createRegionCard(item, { classes, colours, base, pixels }) {
  const [given, pseudo] = [className(classes, item.given), className(classes, item.pseudo)];
  return cardAround(item, layeredCrop(base, item, pixels),
    h("div", { class: "cap" },
      h("span", { class: "pair-line", title: `${given} → ${pseudo}` },
        swatch(colours, item.given), givenName(classes, item.given), h("i", { class: "arrow" }, "→"), swatch(colours, item.pseudo), suggestedName(classes, item.pseudo)),
      confidenceBar(item)));
}

/**
 * Update a card from its item, the focus and the selection.
 *
 * @param {HTMLElement} card
 * @param {Finding} item
 * @param {{ face: Face, classes: Classes, focused: boolean, selected: boolean }} shown
 */
export function paintCard(card, item, { face, classes, focused, selected }) {
  const look = face.badge(item, classes);
  const names = ["card"];
  if (look) names.push(look[2]);
  if (face.settled(item)) names.push("settled");
  if (focused) names.push("focus");
  if (selected) names.push("sel");
  if (!face.blind && item.given === item.pseudo) names.push("agrees");
  card.className = names.join(" ");
  card.dataset.status = face.status(item);
  card.setAttribute("aria-selected", String(selected));
  const badge = /** @type {HTMLElement} */ (card.querySelector(".badge"));
  badge.hidden = !look;
  const text = look ? `${look[0]} ${look[1]}` : "";
  if (badge.textContent !== text) badge.textContent = text; // the same text again would be laid out again
  const note = face.note(item);
  paintNote(card, note);
  card.setAttribute("aria-label", [...face.words(item, classes), look?.[1] ?? "open", ...(note ? [`note: ${note}`] : [])].join(", "));
}

/** Return the whole note on a card for the places beside it; null if there is none. @param {string} note */
export function noteLine(note) {
  return note ? h("p", { class: "noted-on" }, `“${note}”`) : null;
}

/** Show a card's note over its picture: one line, of the focused card the whole text. @param {HTMLElement} card @param {string} note */
function paintNote(card, note) {
  const shown = card.querySelector(".remark");
  if (!note) shown?.remove();
  else if (shown && shown.textContent !== note) shown.textContent = note;
  else if (!shown) card.querySelector(".im")?.append(h("span", { class: "remark" }, note));
}

/** Return the newest text in force among notes, oldest first; "" if there is none. @param {FindingDetail["notes"]} notes */
export function currentNote(notes = []) {
  return notes.findLast(({ live }) => live)?.text ?? "";
}

/**
 * Ask for a note, beginning with `text`; `onsave(text)` is called where it changed.
 *
 * @param {{ root: Root, name: string, text: string, onsave: (text: string) => void }} options
 */
export function openNote({ root, name, text, onsave }) {
  const input = h("input", { type: "text", class: "big", value: text, maxLength: LONGEST, autocomplete: "off", "aria-label": `Note on ${name}` });
  const dialog = openDialog(root, { label: "Note", className: "note" },
    h("form", { method: "dialog", onsubmit: save },
      h("h1", {}, "Note"), h("p", { class: "sub" }, name), input,
      h("div", { class: "btns" }, h("span", {}),
        h("button", { type: "button", class: "ghost", onclick: () => dialog.close() }, "Cancel"),
        h("button", { type: "submit", class: "primary" }, "Save note"))));
  input.focus();
  input.select();

  function save() {
    const written = input.value.trim();
    if (written !== text) onsave(written);
  }
}

/** @type {Set<Status>} */
const CLASS_CHOSEN = new Set(["accept", "keep", "relabel"]);
/** @type {Set<Status>} */
const NO_VERDICT = new Set(["open", "bulk", "painted"]); // of a person

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
  tags: pairTags,
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
