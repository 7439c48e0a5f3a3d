// One card: image, given -> suggested, confidence, and after a verdict a badge with sign and word.

import { h } from "./dom.js";
import { fitClass, imageUrl } from "./format.js";
import { LOOKS, isEdit } from "./verdicts.js";

export const className = (classes, id) => (id === -1 || id === null ? "no label" : (classes[id] ?? `class ${id}`));

/** Return the element of a given class, struck out because another is suggested; "no label" is not: there is nothing to strike. */
export const givenName = (classes, id) =>
  h("s", { title: className(classes, id), class: id === -1 ? "nothing" : "" }, className(classes, id));

/** Return [glyph, word, class name] of the item's badge, or null while nothing is said of it. */
export function badgeOf(item, classes) {
  if (isEdit(item)) return LOOKS.edited;
  const look = LOOKS[item.status] ?? (item.skipped ? LOOKS.skipped : null);
  return look && item.status === "relabel" ? [look[0], className(classes, item.label), look[2]] : look;
}

/** Return the confidence as a bar and a number; nothing in an audit, which shows none. */
export function confidenceBar({ confidence }) {
  if (confidence === null) return [];
  return [h("span", { class: "conf" }, h("i", { style: { width: `${confidence * 100}%` } })), h("span", { class: "pc" }, String(Math.floor(confidence * 100)))];
}

/** Return the picture of an image's card. */
export function cardImage(item, { base, pixels, aspect }) {
  const image = h("img", {
    class: fitClass(item, aspect), src: imageUrl(base, item, pixels), alt: "", decoding: "async", draggable: false,
  });
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "missing" }, "image cannot be shown")), { once: true });
  return image;
}

/** Return a card: a picture with room for its badge, and its caption below. */
export function cardAround(item, picture, caption) {
  return h("div", { role: "option", id: `card-${item.id}`, dataset: { id: item.id } },
    h("div", { class: "im" }, picture, h("span", { class: "badge" }), h("span", { class: "tick", "aria-hidden": "true" }, "✓")), caption);
}

/** Return the card's element for one item. */
export function createCard(item, context) {
  const { classes } = context;
  return cardAround(item, cardImage(item, context),
    h("div", { class: "cap" },
      givenName(classes, item.given),
      h("span", { class: "to", title: className(classes, item.pseudo) }, h("i", {}, "→ "), h("b", {}, className(classes, item.pseudo))),
      confidenceBar(item)));
}

/** Bring a card in line with its item and with what is focused and selected; `face` decides what it shows. */
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
  const badge = card.querySelector(".badge");
  badge.hidden = !look;
  badge.textContent = look ? `${look[0]} ${look[1]}` : "";
  card.setAttribute("aria-label", [...face.words(item, classes), look?.[1] ?? "open"].join(", "));
}
