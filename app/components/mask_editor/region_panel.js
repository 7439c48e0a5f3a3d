// The region at hand: what is given, what is suggested, where its review stands, and the two keys that judge it.

import { fill, h, keycap } from "../review_grid/dom.js";
import { number, percent } from "../review_grid/format.js";
import { shown } from "../review_grid/keys.js";
import { nameOf } from "./class_list.js";

const STANDING = {
  open: ["○", "not judged yet", ""], accept: ["✓", "accepted", "ok"], bulk: ["✓", "accepted in bulk", "ok"], keep: ["=", "kept as given", "keep"], relabel: ["✎", "edited", "rel"], painted: ["✎", "painted over", "rel"],
  ambiguous: ["≈", "ambiguous", "amb"], exclude: ["✕", "excluded", "exc"], second_opinion: ["?", "needs a second opinion", "second"],
};

/** Return what people or an import say the image shows, null where nobody did. */
function tagged(about) {
  return about.tags ? h("p", { class: "facts tagged" }, `Tagged: ${about.tags.map((id) => nameOf(about, id)).join(", ")}`) : null;
}

export class RegionPanel {
  /** `on` holds act(action). */
  constructor({ keys, on }) {
    Object.assign(this, { keys, on });
    this.element = h("div", { class: "region-panel", role: "group", "aria-label": "Region" });
  }

  draw(picture) {
    const { region, regions, index, about } = picture;
    if (!region) {
      const why = picture.round ? "This round found nothing in this image." : "No round has looked at this image yet.";
      fill(this.element, h("h2", {}, "Region"), h("p", { class: "about" }, `${why} What you paint is saved all the same.`), tagged(about));
      return;
    }
    const [sign, word, look] = STANDING[region.status] ?? STANDING.open;
    const tag = (kind, id) => h("span", { class: `t ${kind}` }, h("i", { class: "swatch", style: { background: about.colours[id] ?? "transparent" } }), nameOf(about, id));
    fill(this.element,
      h("div", { class: "region-top" }, h("h2", {}, "Region ", h("b", {}, number(index + 1)), ` of ${number(regions.length)}`), h("span", { class: "steps" }, this.#step("previous_region", "Previous region", "‹"), this.#step("next_region", "Next region", "›"))),
      h("div", { class: "gv" }, h("div", {}, h("small", {}, "given"), tag("g", region.given)), h("span", { class: "ar", "aria-hidden": "true" }, "→"), h("div", {}, h("small", {}, "suggested"), tag("p", region.pseudo))),
      h("p", { class: "facts" }, `${percent(region.confidence)} sure · ${number(region.area)} px`),
      h("p", { class: `standing ${look}` }, h("span", { class: look ? "badge" : "" }, `${sign} ${word}`)),
      h("div", { class: "judge" }, this.#judge("accept", "Accept", "primary"), region.given !== -1 && this.#judge("keep", "Keep", "ghost")), tagged(about));
  }

  #judge(action, word, look) {
    const combo = this.keys.combos(action)[0];
    return h("button", { type: "button", class: look, "aria-label": `${word} this region${combo ? `, key ${shown(combo)}` : ""}`, onpointerdown: (event) => event.preventDefault(), onclick: () => this.on.act(action) }, word, combo && keycap(shown(combo)));
  }

  #step(action, label, sign) {
    const combo = this.keys.combos(action)[0];
    return h("button", { type: "button", class: "step-region", title: `${label}${combo ? ` (${shown(combo)})` : ""}`, "aria-label": label, onpointerdown: (event) => event.preventDefault(), onclick: () => this.on.act(action) }, sign);
  }
}
