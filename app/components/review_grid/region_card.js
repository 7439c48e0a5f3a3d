// The card of a region: its crop under an overlay, both classes with their colours, confidence, and the verdict's badge.

import { cardAround, className, confidenceBar, givenName } from "./card.js";
import { h } from "./dom.js";
import { layeredCrop, swatch } from "./regions.js";

/** Return the card's element for one region. */
export function createRegionCard(item, { classes, colours, base, pixels, aspect }) {
  const [given, pseudo] = [className(classes, item.given), className(classes, item.pseudo)];
  return cardAround(item, layeredCrop(base, item, pixels, { aspect }),
    h("div", { class: "cap" },
      h("span", { class: "pair-line", title: `${given} → ${pseudo}` },
        swatch(colours, item.given), givenName(classes, item.given), h("i", { class: "arrow" }, "→"), swatch(colours, item.pseudo), h("b", {}, pseudo)),
      confidenceBar(item)));
}
