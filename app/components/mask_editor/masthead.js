// Line above the image (back, name, save state) and line below it (keys, pixel under the pointer).

import { showAnnotator } from "../shared/annotator.js";
import { fill, h, keycap } from "../shared/dom.js";
import { clock, savedTitle } from "../shared/format.js";
import { nameOf } from "./side_panel.js";
/** @import { Labels, MaskInfo, Point, SaveStatus } from "../shared/types.d.ts" */
/** @import { Keys } from "../shared/keys.js" */
/** @import { Painting } from "./painting.js" */

/** @type {[action: string, word: string][]} */
const HINTS = [["accept", "accept region"], ["keep", "keep"], ["next_region", "next region"], ["overlay", "colours"], ["contour", "contours"], ["hide", "hold to hide"], ["fit", "whole image"], ["next_image", "next image"], ["images", "any image"], ["help", "all keys"]];

const HELD = "Its dataset or round was deleted. This browser keeps it and stores it once that is restored on the Datasets page.";

export class Masthead {
  /** `on` holds act(action), name(). @param {{ keys: Keys, on: { act: (action: string) => void, name: () => void } }} options */
  constructor({ keys, on }) {
    const key = keys.label("images");
    this.title = h("h1", { class: "image-name" });
    this.choose = h("button", { type: "button", class: "ghost any-image", title: "Go to any image, by its name", "aria-label": `Go to any image${key && `, key ${key}`}`, onclick: () => on.act("images") }, "Images", keys.cap("images"));
    this.status = h("output", { class: "status", "aria-live": "off", dataset: { unsaved: "0", state: "saved" } });
    this.who = h("button", { type: "button", class: "who", onclick: on.name });
    /** @param {string} action @param {string} sign @param {string} label */
    const step = (action, sign, label) => h("button", { type: "button", class: "step-region", title: label, "aria-label": label, onclick: () => on.act(action) }, sign);
    this.previous = step("previous_image", "‹", "Previous image (Page ↑)");
    this.next = step("next_image", "›", "Next image (Page ↓)");
    this.element = h("div", { class: "masthead" },
      h("button", { type: "button", class: "ghost back", onclick: () => on.act("close"), "aria-label": "Back to the review, key Esc" }, "← Review", keycap("Esc")),
      this.title, h("span", { class: "steps" }, this.previous, this.next), this.choose,
      h("div", { class: "right-end" }, this.status, this.who));
  }

  /** @param {Pick<MaskInfo, "name" | "previous" | "next">} about */
  open({ name, previous, next }) {
    fill(this.title, h("bdi", { dir: "ltr" }, name)); // of a long path the end is shown
    this.title.title = name;
    this.previous.disabled = previous === null;
    this.next.disabled = next === null;
  }

  /** @param {string | null} name */
  name(name) {
    showAnnotator(this.who, name, "paint");
  }

  /** @param {SaveStatus} status */
  saved({ state, unsaved, savedAt }) {
    this.status.dataset.unsaved = String(unsaved);
    this.status.dataset.state = state;
    const words = {
      saved: savedAt ? `✓ saved ${clock(savedAt)}` : "✓ all saved", saving: "↻ saving", offline: "⚠ offline, unsaved",
      name: "⚠ unsaved, your name is needed", held: "⚠ not stored, deleted meanwhile", conflict: "⚠ unsaved, another annotator saved", refused: "⚠ unsaved, refused by the server",
    };
    this.status.textContent = words[state];
    this.status.title = state === "held" ? HELD : savedTitle({ state }, "");
  }
}

export class Footer {
  /** `on` holds act(action). @param {{ keys: Keys, on: { act: (action: string) => void } }} options */
  constructor({ keys, on }) {
    this.keys = keys;
    this.on = on;
    this.hints = h("div", { class: "hints" });
    this.under = h("span", { class: "under" });
    this.scale = h("span", { class: "scale" });
    /** @param {string} action @param {string} sign @param {string} label */
    const zoom = (action, sign, label) => h("button", { type: "button", class: "step-region", title: label, "aria-label": label, onclick: () => on.act(action) }, sign);
    this.element = h("footer", {}, this.hints, h("div", { class: "readout" }, this.under, this.scale,
      h("span", { class: "steps" }, zoom("zoom_out", "−", "Zoom out"), zoom("zoom_in", "+", "Zoom in"))));
    this.keysChanged();
  }

  keysChanged() {
    fill(this.hints, HINTS.map(([action, word]) => {
      const held = action === "hide"; // a key to hold is not a button
      return h(held ? "span" : "button", { ...(held ? {} : { type: "button", onclick: () => this.on.act(action) }), class: "hint" }, this.keys.cap(action), ` ${word}`);
    }));
  }

  /** @param {number} scale */
  zoomed(scale) {
    this.scale.textContent = `${Math.round(scale * 100)} %`;
  }

  /**
   * Show the class under the pointer, and the suggested one where it differs.
   *
   * @param {MaskInfo} about
   * @param {Painting} painting
   * @param {Labels | null} predicted
   * @param {Point} pixel
   */
  point(about, painting, predicted, [x, y]) {
    const label = painting.at(x, y);
    if (label === null) {
      this.under.textContent = "";
      return;
    }
    const other = predicted?.[y * painting.width + x];
    const suggestion = other !== undefined && other !== label ? ` → ${nameOf(about, other)}` : "";
    this.under.textContent = `${x}, ${y} · ${nameOf(about, label)}${suggestion}`;
  }
}
