// One threshold for all classes, or each class its own: the choice in the accept-all dialog, and the list of the latter.

import { className } from "./card.js";
import { fill, h } from "./dom.js";
import { fraction, percent } from "./format.js";

/** Return what a class's threshold rests on, in words. */
export const basisOf = ({ basis, precision }) =>
  basis === "precision" && precision !== null ? `${percent(precision)} right` : "surest share";

export class Ways {
  /** `onchange(byClass)` when the other way is chosen. */
  constructor({ info, onchange }) {
    Object.assign(this, { info, onchange });
    this.buttons = [["One threshold", false], ["By class", true]].map(([word, byClass]) =>
      h("button", { type: "button", "aria-pressed": String(!byClass), onclick: () => this.choose(byClass) }, word));
    this.element = h("div", { class: "segments ways", role: "group", "aria-label": "Thresholds" }, this.buttons);
    this.table = h("div", { class: "own-thresholds", hidden: true });
  }

  choose(byClass) {
    this.buttons.forEach((button, place) => button.setAttribute("aria-pressed", String((place === 1) === byClass)));
    this.table.hidden = !byClass;
    if (byClass) this.#draw();
    this.onchange(byClass);
  }

  #draw() {
    const rows = this.info.round.class_thresholds.map((one) => h("tr", {},
      h("td", { title: className(this.info.classes, one.label) }, className(this.info.classes, one.label)), h("td", {}, basisOf(one)), h("td", {}, fraction(one.percent / 100))));
    fill(this.table,
      h("table", { class: "ft" }, rows),
      h("p", { class: "dim" }, "“Right” is how often this round's predictions of a class agree with given labels. Where too few can tell, the same share of a class is accepted, its surest ones."));
  }
}
