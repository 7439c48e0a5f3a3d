// The line above the cards: done and left, the mix of verdicts, whether everything is saved, density, who judges.

import { fill, h } from "./dom.js";
import { clock, initials, number } from "./format.js";
import { LOOKS } from "./verdicts.js";

const MIX = ["accept", "bulk", "keep", "relabel", "painted", "ambiguous", "exclude"];
const WORDS = { accept: "accept", bulk: "in bulk", keep: "keep", relabel: "relabel", painted: "painted over", ambiguous: "ambiguous", exclude: "exclude" };

export class Topline {
  /** `on` holds density(letter), name(), panel("filters" | "inspector"); `noun` is what is counted, `note` stands behind the mix, in more words as `told`; `filters` leads to the left side where there is no room for it. */
  constructor({ on, noun = "", note = "", told = note, filters = "☰ Filters" }) {
    this.noun = noun ? ` ${noun}` : "";
    this.title = h("div", { class: "done" });
    this.bar = h("div", { class: "bar", role: "img" });
    this.mix = h("div", { class: "mix" });
    this.status = h("output", { class: "status", "aria-live": "off", dataset: { unsaved: "0", state: "saved" } });
    this.densities = ["S", "M", "L"].map((letter) =>
      h("button", { type: "button", title: `${{ S: "Small", M: "Medium", L: "Large" }[letter]} cards`, onclick: () => on.density(letter) }, letter));
    this.who = h("button", { type: "button", class: "who", onclick: on.name });
    this.element = h("div", { class: "top" },
      h("button", { type: "button", class: "panel-button filters-button", onclick: () => on.panel("filters") }, filters),
      h("div", { class: "prog" }, this.title, this.bar, note ? h("div", { class: "noted" }, this.mix, h("div", { class: "note", title: told }, note)) : this.mix),
      h("div", { class: "right-end" },
        this.status,
        h("div", { class: "dens", role: "group", "aria-label": "Card size" }, this.densities),
        h("button", { type: "button", class: "panel-button inspector-button", title: "Show or hide the details", onclick: () => on.panel("inspector") }, "◨"),
        this.who));
  }

  counts(counts) {
    fill(this.title, h("b", {}, number(counts.decided)), ` of ${number(counts.total)}${this.noun} decided`,
      h("span", { class: "left-over" }, ` · ${number(counts.todo)} left`));
    const present = MIX.filter((name) => counts.by_status[name] > 0);
    const mix = present.map((name) => `${WORDS[name]} ${number(counts.by_status[name])}`).join(" · ");
    this.bar.setAttribute("aria-label", mix || "nothing decided yet");
    fill(this.bar, present.map((name) => h("i", { class: `${LOOKS[name][2]} ${name}`, style: { width: `${(100 * counts.by_status[name]) / Math.max(1, counts.total)}%` } })));
    this.mix.textContent = mix || "nothing decided yet";
    this.mix.title = mix;
  }

  density(letter) {
    for (const button of this.densities) button.setAttribute("aria-pressed", String(button.textContent === letter));
  }

  name(name) {
    this.who.textContent = name ? initials(name) : "?";
    this.who.title = name ? `You judge as ${name}. Change the name` : "Say who you are";
    this.who.setAttribute("aria-label", this.who.title);
  }

  saved({ state, unsaved, savedAt }) {
    this.status.dataset.unsaved = String(unsaved);
    this.status.dataset.state = state;
    const words = {
      saved: savedAt ? `✓ saved ${clock(savedAt)}` : "✓ all saved",
      saving: `↻ saving ${unsaved}`,
      offline: `⚠ offline, ${unsaved} unsaved`,
      name: `⚠ ${unsaved} unsaved, your name is needed`,
    };
    this.status.textContent = words[state];
    this.status.title = state === "offline" ? "Kept in this browser and sent as soon as the server answers again." : "";
  }
}
