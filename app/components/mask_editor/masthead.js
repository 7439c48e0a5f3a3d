// The line above the image: back, which image, whether everything is saved; and the line below it: keys, and what is under the pointer.

import { fill, h, keycap } from "../review_grid/dom.js";
import { clock, initials } from "../review_grid/format.js";
import { shown } from "../review_grid/keys.js";
import { nameOf } from "./class_list.js";

const HINTS = [["accept", "accept region"], ["keep", "keep"], ["next_region", "next region"], ["overlay", "colours"], ["contour", "contours"], ["hide", "hold to hide"], ["fit", "whole image"], ["next_image", "next image"], ["images", "any image"], ["help", "all keys"]];

export class Masthead {
  /** `on` holds act(action), name(). */
  constructor({ keys, on }) {
    const combo = keys.combos("images")[0];
    this.title = h("h1", { class: "image-name" });
    this.choose = h("button", { type: "button", class: "ghost any-image", title: "Go to any image, by its name", "aria-label": `Go to any image${combo ? `, key ${shown(combo)}` : ""}`, onclick: () => on.act("images") }, "Images", combo && keycap(shown(combo)));
    this.status = h("output", { class: "status", "aria-live": "off", dataset: { unsaved: "0", state: "saved" } });
    this.who = h("button", { type: "button", class: "who", onclick: on.name });
    const step = (action, sign, label) => h("button", { type: "button", class: "step-region", title: label, "aria-label": label, onclick: () => on.act(action) }, sign);
    this.previous = step("previous_image", "‹", "Previous image (Page ↑)");
    this.next = step("next_image", "›", "Next image (Page ↓)");
    this.element = h("div", { class: "masthead" },
      h("button", { type: "button", class: "ghost back", onclick: () => on.act("close"), "aria-label": "Back to the review, key Esc" }, "← Review", keycap("Esc")),
      this.title, h("span", { class: "steps" }, this.previous, this.next), this.choose,
      h("div", { class: "right-end" }, this.status, this.who));
  }

  open({ name, previous, next }) {
    fill(this.title, h("bdi", { dir: "ltr" }, name)); // of a long path the end is shown
    this.title.title = name;
    this.previous.disabled = previous === null;
    this.next.disabled = next === null;
  }

  name(name) {
    this.who.textContent = name ? initials(name) : "?";
    this.who.title = name ? `You paint as ${name}. Change the name` : "Say who you are";
    this.who.setAttribute("aria-label", this.who.title);
  }

  saved({ state, unsaved, savedAt }) {
    this.status.dataset.unsaved = String(unsaved);
    this.status.dataset.state = state;
    const words = {
      saved: savedAt ? `✓ saved ${clock(savedAt)}` : "✓ all saved", saving: "↻ saving", offline: "⚠ offline, unsaved",
      name: "⚠ unsaved, your name is needed", conflict: "⚠ unsaved, another annotator saved", refused: "⚠ unsaved, refused by the server",
    };
    this.status.textContent = words[state];
    this.status.title = state === "offline" ? "Kept in this browser and sent as soon as the server answers again." : "";
  }
}

export class Footer {
  /** `on` holds act(action). */
  constructor({ keys, on }) {
    Object.assign(this, { keys, on });
    this.hints = h("div", { class: "hints" });
    this.under = h("span", { class: "under" });
    this.scale = h("span", { class: "scale" });
    this.element = h("footer", {}, this.hints, h("div", { class: "readout" }, this.under, this.scale));
    this.keysChanged();
  }

  keysChanged() {
    fill(this.hints, HINTS.map(([action, word]) => {
      const combo = this.keys.combos(action)[0];
      const held = action === "hide"; // a key to hold is no button
      return h(held ? "span" : "button", { ...(held ? {} : { type: "button", onclick: () => this.on.act(action) }), class: "hint" }, combo ? keycap(shown(combo)) : null, ` ${word}`);
    }));
  }

  zoomed(scale) {
    this.scale.textContent = `${Math.round(scale * 100)} %`;
  }

  /** Say what lies under the pointer: the mask's class, and the suggested one where it differs. */
  point(about, painting, predicted, [x, y]) {
    const label = painting.at(x, y);
    if (label === null) {
      this.under.textContent = "";
      return;
    }
    const other = predicted?.[y * painting.width + x];
    const suggestion = predicted && other !== label ? ` → ${nameOf(about, other)}` : "";
    this.under.textContent = `${x}, ${y} · ${nameOf(about, label)}${suggestion}`;
  }
}
