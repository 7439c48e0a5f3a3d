// The left side: which dataset, which images, how far.

import { fill, h } from "../review_grid/dom.js";
import { number } from "../review_grid/format.js";

const SHOWS = [["todo", "To do"], ["tagged", "Tagged"], ["masked", "With a mask"], ["all", "All images"]];

export class Side {
  /** `on` holds show(which), dataset(id); `datasets` are [id, name]. */
  constructor({ datasets, on }) {
    this.choice = h("select", { "aria-label": "Dataset", onchange: () => on.dataset(Number(this.choice.value)) },
      datasets.map(([id, name]) => h("option", { value: String(id) }, name)));
    this.done = h("div", { class: "done" });
    this.bar = h("div", { class: "bar", role: "img" });
    this.about = h("p", { class: "dim about" });
    this.shows = SHOWS.map(([which, word]) => h("button", { type: "button", class: "chip", dataset: { show: which }, onclick: () => on.show(which) }, word));
    this.element = h("aside", { class: "left", "aria-label": "Images" },
      h("div", { class: "field" }, h("span", {}, "Dataset"), this.choice), this.done, this.bar, this.about,
      h("h2", {}, "Images"), h("div", { class: "chips" }, this.shows));
  }

  draw({ info, show }) {
    const { counts, round } = info;
    this.choice.value = String(info.dataset);
    const wanted = counts.images - counts.masked;
    const done = Math.max(0, wanted - counts.left);
    fill(this.done, h("b", {}, number(done)), ` of ${number(wanted)} tagged`, h("span", { class: "left-over" }, ` · ${number(counts.left)} left`));
    fill(this.bar, h("i", { class: "ok", style: { width: `${(100 * done) / Math.max(1, wanted)}%` } }));
    this.bar.setAttribute("aria-label", `${done} of ${wanted} images without a mask are tagged`);
    const masks = counts.masked ? `${number(counts.masked)} more have a mask and need no tags. ` : "";
    this.about.textContent = masks + (round ? `Round ${round.number} suggests.` : "No round suggests yet.");
    for (const button of this.shows) button.setAttribute("aria-pressed", String(button.dataset.show === show));
  }
}
