// Bar above the cards that accepts all suggestions above a threshold: effect and known precision.

import { fill, focusedBeside, h } from "../shared/dom.js";
import { fraction, number } from "../shared/format.js";
import { countAbove, bulkHistogram } from "./counts.js";
import { toParams } from "./filters.js";
import { scaleStart } from "./histogram.js";
import { shortPrecision } from "./precision.js";
/** @import { BulkPreview, Counts, Filter, Recalibration } from "../shared/types.d.ts" */
/** @import { Api } from "../shared/api.js" */

/**
 * Options of the bar: `nouns` are singular and plural of the counted labels, `ownThresholds` whether classes have their own.
 *
 * @typedef {object} AcceptBarOptions
 * @property {Api} api
 * @property {number} roundId
 * @property {Storage} storage
 * @property {{ open: () => void }} on
 * @property {boolean} [ownThresholds]
 * @property {[singular: string, plural: string]} [nouns]
 * @property {boolean} [asks] Whether the server answers what accepting would do; false for a person who may not.
 */

export const SETTLE_MS = 250; // a moving slider asks the server only when it rests
const AGAIN_MS = 5000; // the same question is not repeated with every verdict
const STORE = "outfold.threshold";
const FIRST = 0.95; // before the slider was ever moved
/** @type {Record<string, string>} */
const DOES = { agreeing: "be confirmed", unlabelled: "be added" }; // effect of accepting, by kind of finding; else "change"

/** Return the filter of the findings above a threshold. @param {Filter} filter @param {number} threshold */
const setOf = (filter, threshold) => ({ ...filter, status: "open", min: Math.max(filter.min, threshold) });

/**
 * Return the parameters of that set; `byClass`: each class's own threshold takes the place of the one.
 *
 * @param {Filter} filter
 * @param {number} threshold
 * @param {boolean} byClass
 * @param {number} round
 * @param {Record<string, string>} [extra]
 */
export const setParams = (filter, threshold, byClass, round, extra = {}) =>
  (byClass ? toParams({ ...filter, status: "open" }, round, { by_class: "1", ...extra }) : toParams(setOf(filter, threshold), round, extra));

/** Return the first half of "14 of the evaluation split are left out: judge them one by one", which fits the bar. @param {string} leftOut */
export const shortLeftOut = (leftOut) => leftOut.split(":")[0];

/** Return the threshold that was left in this browser. @param {Storage} storage */
export function lastThreshold(storage) {
  const value = Number.parseFloat(storage.getItem(STORE) ?? "");
  return value >= 0 && value <= 1 ? value : FIRST;
}

/**
 * Return [text, proposed threshold or null] from the random verdicts of a round; null before there are any.
 *
 * @param {Recalibration | null} recalibration
 * @returns {[text: string, threshold: number | null] | null}
 */
export function proposalOf(recalibration) {
  if (!recalibration?.verdicts) return null;
  const { proposed_threshold: proposed, reason } = recalibration;
  return proposed === null ? [`No threshold is proposed: ${reason}`, null] : [`Proposed: ${fraction(proposed)}`, proposed];
}

export class AcceptBar {
  // Of the last drawing.
  /** @type {Counts} */ counts;
  /** @type {Filter} */ filter;

  /** @param {AcceptBarOptions} options */
  constructor({ api, roundId, storage, on, ownThresholds = false, nouns = ["label", "labels"], asks = true }) {
    this.asks = asks;
    this.api = api;
    this.roundId = roundId;
    this.storage = storage;
    this.ownThresholds = ownThresholds;
    this.nouns = nouns;
    this.threshold = lastThreshold(storage);
    /** @type {{ question: string, at: number } | null} Last question to the server. */
    this.request = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.value = h("input", { type: "number", class: "typed th", min: 0, max: 1, step: 0.01, "aria-label": "Threshold of accept all", onchange: () => this.#typed() });
    /** @type {HTMLInputElement} */
    this.slider = h("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": "Accept all suggestions above this confidence", oninput: () => this.set(Number(this.slider.value) / 100) });
    this.slider.value = String(Math.round(this.threshold * 100));
    this.value.value = fraction(this.threshold);
    this.proposal = h("span", { class: "proposal" });
    this.count = h("span", { class: "n" });
    this.precision = h("span", { class: "q precision" });
    this.leftOut = h("span", { class: "q left-out" });
    this.button = h("button", { type: "button", class: "primary", onclick: on.open }, "Preview and accept…");
    this.element = h("div", { class: "all lead" }, h("div", {}, h("b", {}, "Accept all above"), this.value, this.slider, this.proposal), this.count, this.precision, this.leftOut, this.button);
  }

  /** Move the threshold; it is kept for the next visit. @param {number} threshold */
  set(threshold) {
    this.threshold = threshold;
    try {
      this.storage.setItem(STORE, String(threshold));
    } catch {
      // a full or forbidden storage: the threshold lasts until the page is left
    }
    if (this.counts) this.draw(this.counts, this.filter);
  }

  #typed() {
    const value = Math.round(100 * this.value.valueAsNumber) / 100;
    if (value >= 0 && value <= 1) this.set(value);
    this.value.value = fraction(this.threshold);
  }

  /**
   * Offer the threshold proposed by random verdicts, or the reason why there is none; the slider does not move.
   *
   * @param {Recalibration | null} recalibration
   */
  propose(recalibration) {
    const proposal = proposalOf(recalibration);
    if (!proposal) return fill(this.proposal);
    const [text, threshold] = proposal;
    return fill(this.proposal, threshold === null
      ? h("span", { class: "none", title: text }, text)
      : h("button", { type: "button", class: "link", title: recalibration?.reason, onclick: () => this.set(threshold) }, text));
  }

  /** Draw from the live counts; the set's known precision is requested after a pause. @param {Counts} counts @param {Filter} filter */
  draw(counts, filter) {
    this.counts = counts;
    this.filter = filter;
    const bulk = filter.status === "todo" || filter.status === "open";
    this.element.hidden = !bulk;
    if (!bulk || !this.asks) return;
    const start = scaleStart(counts.histogram, this.threshold);
    this.slider.min = String(start);
    this.slider.value = String(Math.round(this.threshold * 100));
    this.slider.style.setProperty("--at", `${(100 * (this.threshold * 100 - start)) / (100 - start)}%`);
    if (focusedBeside(this.value) !== this.value) this.value.value = fraction(this.threshold); // not while it is edited
    const question = JSON.stringify([this.threshold, filter]);
    if (question !== this.request?.question) this.precision.textContent = ""; // it was of another set
    this.#say(countAbove(bulkHistogram(counts), Math.max(this.threshold, filter.min), filter.max));
    clearTimeout(this.timer);
    const rest = question === this.request?.question ? this.request.at + AGAIN_MS - Date.now() : 0;
    this.timer = setTimeout(() => {
      this.request = { question, at: Date.now() };
      this.#ask();
    }, Math.max(SETTLE_MS, rest));
  }

  /**
   * Show the effect of accepting: the number of cards, and of changed labels where some cards agree.
   *
   * @param {number} count
   * @param {BulkPreview["changes"] | null} [changes]
   */
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
    Object.assign(this.leftOut, { textContent: shortLeftOut(preview.left_out), title: preview.left_out });
    Object.assign(this.precision, { textContent: shortPrecision(preview.known), title: preview.known.text });
  }
}
