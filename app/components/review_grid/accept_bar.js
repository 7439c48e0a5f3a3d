// Accept all above a threshold: the bar above the cards, with what would change and what is known of it.

import { above, touchable } from "./counts.js";
import { fill, h } from "./dom.js";
import { toParams } from "./filters.js";
import { fraction, number } from "./format.js";
import { scaleStart } from "./histogram.js";
import { shortly } from "./precision.js";

export const SETTLE_MS = 250; // a moving slider asks the server only when it rests
const AGAIN_MS = 5000; // the same question is not repeated with every verdict
const STORE = "outfold.threshold";
const FIRST = 0.95; // before anybody moved the slider
const DOES = { agreeing: "be confirmed", unlabelled: "be added" }; // what accepting does to what a queue shows; else "change"

/** Return the filter of the set a threshold means. */
export const setOf = (filter, threshold) => ({ ...filter, status: "open", min: Math.max(filter.min, threshold) });

/** Return the parameters of that set; `byClass`: each class's own threshold takes the place of the one. */
export const setParams = (filter, threshold, byClass, round, extra = {}) =>
  (byClass ? toParams({ ...filter, status: "open" }, round, { by_class: "1", ...extra }) : toParams(setOf(filter, threshold), round, extra));

/** Return the first half of "14 of the evaluation split are left out: judge them one by one", which fits the bar. */
export const half = (leftOut) => leftOut.split(":")[0];

/** Return the threshold that was left in this browser. */
export function lastThreshold(storage) {
  const value = Number.parseFloat(storage.getItem(STORE));
  return value >= 0 && value <= 1 ? value : FIRST;
}

/** Return [text, threshold to offer or null] of what the random verdicts of a round propose; null before there are any. */
export function proposalOf(recalibration) {
  if (!recalibration?.verdicts) return null;
  const { proposed_threshold: proposed, reason } = recalibration;
  return proposed === null ? [`No threshold is proposed: ${reason}`, null] : [`Proposed: ${fraction(proposed)}`, proposed];
}

export class AcceptBar {
  /** `on` holds open(); `nouns`: one, and many of what would change; `ownThresholds`: whether classes have some. */
  constructor({ api, roundId, storage, on, ownThresholds = false, nouns = ["label", "labels"] }) {
    Object.assign(this, { api, roundId, storage, ownThresholds, nouns, threshold: lastThreshold(storage) });
    this.value = h("span", { class: "th" });
    this.slider = h("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": "Accept all suggestions above this confidence", oninput: () => this.set(Number(this.slider.value) / 100) });
    this.proposal = h("span", { class: "proposal" });
    this.count = h("span", { class: "n" });
    this.precision = h("span", { class: "q precision" });
    this.leftOut = h("span", { class: "q left-out" });
    this.button = h("button", { type: "button", class: "primary", onclick: on.open }, "Preview and accept…");
    this.element = h("div", { class: "all" }, h("div", {}, h("b", {}, "Accept all above"), this.value, this.slider, this.proposal), this.count, this.precision, this.leftOut, this.button);
  }

  /** Move the threshold; it is kept for the next visit. */
  set(threshold) {
    this.threshold = threshold;
    try {
      this.storage.setItem(STORE, String(threshold));
    } catch {
      // a full or forbidden storage: it stands there until the page is left
    }
    if (this.counts) this.draw(this.counts, this.filter);
  }

  /** Offer the threshold that random verdicts propose, or say why there is none; the slider stays where it is. */
  propose(recalibration) {
    const [text, threshold] = proposalOf(recalibration) ?? [];
    fill(this.proposal, text && (threshold === null
      ? h("span", { class: "none", title: text }, text)
      : h("button", { type: "button", class: "link", title: recalibration.reason, onclick: () => this.set(threshold) }, text)));
  }

  /** Draw from the live counts; what is known of the set is asked for when things rest. */
  draw(counts, filter) {
    Object.assign(this, { counts, filter });
    const bulk = filter.status === "todo" || filter.status === "open";
    this.element.hidden = !bulk;
    if (!bulk) return;
    const start = scaleStart(counts.histogram, this.threshold);
    this.slider.min = start;
    this.slider.value = Math.round(this.threshold * 100);
    this.slider.style.setProperty("--at", `${(100 * (this.threshold * 100 - start)) / (100 - start)}%`);
    this.value.textContent = fraction(this.threshold);
    const question = JSON.stringify([this.threshold, filter]);
    if (question !== this.asked?.question) this.precision.textContent = ""; // it was known of another set
    this.#say(above(touchable(counts), Math.max(this.threshold, filter.min), filter.max));
    clearTimeout(this.timer);
    const rest = question === this.asked?.question ? this.asked.at + AGAIN_MS - Date.now() : 0;
    this.timer = setTimeout(() => {
      this.asked = { question, at: Date.now() };
      this.#ask();
    }, Math.max(SETTLE_MS, rest));
  }

  /** Say what accepting does: of `count` cards, and of how many labels where cards that agree are among them. */
  #say(count, changes = null) {
    const agreeing = (changes ?? []).reduce((sum, [given, pseudo, size]) => sum + (given === pseudo ? size : 0), 0);
    const mixed = agreeing > 0 && agreeing < count;
    const does = DOES[this.filter.show] ?? "change";
    fill(this.count, h("b", {}, number(count - (mixed ? agreeing : 0))), ` ${this.nouns[count === 1 ? 0 : 1]} would ${mixed ? "change" : does}${mixed ? `, ${number(agreeing)} be confirmed` : ""}`);
    this.button.disabled = count === 0 && !(this.ownThresholds && this.filter.show === "unlabelled"); // a class may have a lower one
  }

  async #ask() {
    const { threshold, filter } = this;
    const preview = await this.api.preview(toParams(setOf(filter, threshold), this.roundId)).catch(() => null);
    if (!preview || threshold !== this.threshold || filter !== this.filter) return;
    this.#say(preview.count, preview.changes);
    Object.assign(this.leftOut, { textContent: half(preview.left_out), title: preview.left_out });
    Object.assign(this.precision, { textContent: shortly(preview.known), title: preview.known.text });
  }
}
