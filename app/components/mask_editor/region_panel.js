// Panel of the current region: given and suggested class, status, and buttons for verdicts.

import { fill, h, keycap } from "../shared/dom.js";
import { number, percent } from "../shared/format.js";
import { keyLabel } from "../shared/keys.js";
import { nameOf } from "./class_list.js";
/** @import { ClassId, MaskInfo, Status } from "../shared/types.d.ts" */
/** @import { Keys } from "../shared/keys.js" */
/** @import { Picture } from "./picture.js" */

/** @type {Partial<Record<Status, [sign: string, word: string, look: string]>> & Record<"open", [string, string, string]>} */
const STATUSES = {
  open: ["○", "not judged yet", ""], accept: ["✓", "accepted", "ok"], bulk: ["✓", "accepted in bulk", "ok"], keep: ["=", "kept as given", "keep"], relabel: ["✎", "edited", "rel"], painted: ["✎", "painted over", "rel"],
  ambiguous: ["≈", "ambiguous", "amb"], exclude: ["✕", "excluded", "exc"], second_opinion: ["?", "needs a second opinion", "second"],
};

/** Return the tags of the image as a line, null where it has none. @param {MaskInfo} about */
function tagsLine(about) {
  return about.tags ? h("p", { class: "facts tagged" }, `Tagged: ${about.tags.map((id) => nameOf(about, id)).join(", ")}`) : null;
}

export class RegionPanel {
  /** `on` holds act(action). @param {{ keys: Keys, on: { act: (action: string) => void } }} options */
  constructor({ keys, on }) {
    this.keys = keys;
    this.on = on;
    this.element = h("div", { class: "region-panel", role: "group", "aria-label": "Region" });
  }

  /** @param {Picture} picture */
  draw(picture) {
    const { region, regions, index, about } = picture;
    if (!region) {
      const why = picture.round ? "This round found nothing in this image." : "No round has looked at this image yet.";
      fill(this.element, h("h2", {}, "Region"), h("p", { class: "about" }, `${why} What you paint is saved all the same.`), tagsLine(about));
      return;
    }
    const [sign, word, look] = STATUSES[region.status] ?? STATUSES.open;
    /** @param {string} kind @param {ClassId} id */
    const tag = (kind, id) => h("span", { class: `t ${kind}` }, h("i", { class: "swatch", style: { background: about.colours[id] ?? "transparent" } }), nameOf(about, id));
    fill(this.element,
      h("div", { class: "region-top" }, h("h2", {}, "Region ", h("b", {}, number(index + 1)), ` of ${number(regions.length)}`), h("span", { class: "steps" }, this.#step("previous_region", "Previous region", "‹"), this.#step("next_region", "Next region", "›"))),
      h("div", { class: "gv" }, h("div", {}, h("small", {}, "given"), tag("g", region.given)), h("span", { class: "ar", "aria-hidden": "true" }, "→"), h("div", {}, h("small", {}, "suggested"), tag("p", region.pseudo))),
      h("p", { class: "facts" }, `${percent(region.confidence)} sure · ${number(region.area)} px`),
      h("p", { class: `standing ${look}` }, h("span", { class: look ? "badge" : "" }, `${sign} ${word}`)),
      h("div", { class: "judge" }, this.#judge("accept", "Accept", "primary"), region.given !== -1 && this.#judge("keep", "Keep", "ghost")),
      h("div", { class: "judge others" }, this.#judge("ambiguous", "Ambiguous", "ghost"), this.#judge("exclude", "Exclude", "ghost"), this.#judge("second_opinion", "Second opinion", "ghost"), this.#judge("skip", "Skip", "ghost")), tagsLine(about));
  }

  /** @param {string} action @param {string} word @param {string} look */
  #judge(action, word, look) {
    const combo = this.keys.combos(action)[0];
    return h("button", { type: "button", class: look, "aria-label": `${word} this region${combo ? `, key ${keyLabel(combo)}` : ""}`, onpointerdown: (event) => event.preventDefault(), onclick: () => this.on.act(action) }, word, combo && keycap(keyLabel(combo)));
  }

  /** @param {string} action @param {string} label @param {string} sign */
  #step(action, label, sign) {
    const combo = this.keys.combos(action)[0];
    return h("button", { type: "button", class: "step-region", title: `${label}${combo ? ` (${keyLabel(combo)})` : ""}`, "aria-label": label, onpointerdown: (event) => event.preventDefault(), onclick: () => this.on.act(action) }, sign);
  }
}
