// One card: image, given -> suggested, confidence, and after a verdict a badge with sign and word.

import { h } from "./dom.js";
import { fitClass, imageUrl } from "./format.js";
import { LOOKS, isEdit, settled } from "./verdicts.js";

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

/** Return the card's element for one item. */
export function createCard(item, { classes, base, pixels, aspect }) {
  const image = h("img", {
    class: fitClass(item, aspect), src: imageUrl(base, item, pixels), alt: "", decoding: "async", draggable: false,
  });
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "missing" }, "image cannot be shown")), { once: true });
  const card = h("div", { role: "option", id: `card-${item.id}`, dataset: { id: item.id } },
    h("div", { class: "im" }, image, h("span", { class: "badge" }), h("span", { class: "tick", "aria-hidden": "true" }, "✓")),
    h("div", { class: "cap" },
      givenName(classes, item.given),
      h("span", { class: "to", title: className(classes, item.pseudo) }, h("i", {}, "→ "), h("b", {}, className(classes, item.pseudo))),
      h("span", { class: "conf" }, h("i", { style: { width: `${item.confidence * 100}%` } })),
      h("span", { class: "pc" }, String(Math.floor(item.confidence * 100)))));
  return card;
}

/** Bring a card in line with its item and with what is focused and selected. */
export function paintCard(card, item, { classes, focused, selected }) {
  const look = badgeOf(item, classes);
  const names = ["card"];
  if (look) names.push(look[2]);
  if (settled(item.status)) names.push("settled");
  if (focused) names.push("focus");
  if (selected) names.push("sel");
  if (item.given === item.pseudo) names.push("agrees");
  card.className = names.join(" ");
  card.dataset.status = item.status;
  card.setAttribute("aria-selected", String(selected));
  const badge = card.querySelector(".badge");
  badge.hidden = !look;
  badge.textContent = look ? `${look[0]} ${look[1]}` : "";
  card.setAttribute("aria-label", [
    `given ${className(classes, item.given)}`,
    `suggested ${className(classes, item.pseudo)}`,
    `${Math.floor(item.confidence * 100)} percent`,
    look?.[1] ?? "open",
  ].join(", "));
}
