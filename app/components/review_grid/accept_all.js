// Accept all above a threshold: the bar with its slider, and the dialog that shows what exactly would change.

import { told } from "./api.js";
import { className, givenName } from "./card.js";
import { above, touchable } from "./counts.js";
import { fill, h, openDialog } from "./dom.js";
import { describe, toParams } from "./filters.js";
import { fitClass, fraction, imageUrl, number, percent } from "./format.js";
import { Histogram, scaleStart } from "./histogram.js";
import { layeredCrop } from "./regions.js";
import { Ways } from "./thresholds.js";

const SETTLE_MS = 250; // a moving slider asks the server only when it rests
const AGAIN_MS = 5000; // the same question is not repeated with every verdict
const ROWS = 10;
const DOES = { agreeing: "be confirmed", unlabelled: "be added" }; // what accepting does to what a queue shows; else "change"
const CHANGED = 409; // HTTP: the set is not the one that was shown

/** Return the filter of the set a threshold means. */
export const setOf = (filter, threshold) => ({ ...filter, status: "open", min: Math.max(filter.min, threshold) });

/** Return the parameters of that set; `byClass`: each class's own threshold takes the place of the one. */
export const setParams = (filter, threshold, byClass, round) => (byClass ? toParams({ ...filter, status: "open" }, round, { by_class: "1" }) : toParams(setOf(filter, threshold), round));

export class AcceptBar {
  /** `on` holds open(); `nouns`: one, and many of what would change; `ownThresholds`: whether classes have some. */
  constructor({ api, roundId, threshold, on, ownThresholds = false, nouns = ["label", "labels"] }) {
    Object.assign(this, { api, roundId, threshold, ownThresholds, nouns });
    this.value = h("span", { class: "th" });
    this.slider = h("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": "Accept all suggestions above this confidence", oninput: () => this.set(Number(this.slider.value) / 100) });
    this.count = h("span", { class: "n" });
    this.judged = h("span", { class: "q" });
    this.leftOut = h("span", { class: "q left-out" });
    this.button = h("button", { type: "button", class: "primary", onclick: on.open }, "Preview and accept…");
    this.element = h("div", { class: "all" }, h("div", {}, h("b", {}, "Accept all above"), this.value, this.slider), this.count, this.judged, this.leftOut, this.button);
  }

  set(threshold) {
    this.threshold = threshold;
    if (this.counts) this.draw(this.counts, this.filter);
  }

  /** Draw from the live counts; the number of judged ones is asked for when things rest. */
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
    const count = above(touchable(counts), Math.max(this.threshold, filter.min), filter.max);
    this.#say(count);
    clearTimeout(this.timer);
    const question = JSON.stringify([this.threshold, filter]);
    const rest = question === this.asked?.question ? this.asked.at + AGAIN_MS - Date.now() : 0;
    this.timer = setTimeout(() => {
      this.asked = { question, at: Date.now() };
      this.#ask();
    }, Math.max(SETTLE_MS, rest));
  }

  #say(count) {
    fill(this.count, h("b", {}, number(count)), ` ${this.nouns[count === 1 ? 0 : 1]} would ${DOES[this.filter.show] ?? "change"}`);
    this.button.disabled = count === 0 && !(this.ownThresholds && this.filter.show === "unlabelled"); // a class may have a lower one
  }

  async #ask() {
    const { threshold, filter } = this;
    const preview = await this.api.preview(toParams(setOf(filter, threshold), this.roundId), 0).catch(() => null);
    if (!preview || threshold !== this.threshold || filter !== this.filter) return;
    this.#say(preview.count);
    Object.assign(this.leftOut, { textContent: shortly(preview.left_out), title: preview.left_out });
    const [judged, right] = judgedText(preview.judged, "").split(/ (?=\d\S* w)/);
    fill(this.judged, h("span", {}, judged), right && h("span", {}, ` ${right}`));
  }
}

/** Return the first half of "14 of the evaluation split are left out: judge them one by one", which fits the bar. */
export const shortly = (leftOut) => leftOut.split(":")[0];

/** Return "of 96 judged in this set 94 were right", or what stands for it when nobody judged any. */
export function judgedText({ right, total }, otherwise) {
  if (!total) return otherwise;
  return `of ${number(total)} judged in this set ${number(right)} ${right === 1 ? "was" : "were"} right`;
}

/** Return how many of the suggestions the round expects to be right, as far as it can say. */
export const expectedText = (share) => (share === null ? "Precision unknown." : `The round expects ${percent(share)} of them to be right.`);

/** Show what accepting everything above the bar's threshold would do; `accept(filter, count)` does it. */
export function openAcceptDialog({ root, api, info, filter, threshold, counts, accept, onthreshold }) {
  const own = filter.show === "unlabelled" && (info.round.class_thresholds ?? []).length === info.classes.length; // each class may have its own threshold
  const state = { threshold, seed: Math.floor(Math.random() * 1e9), preview: null, asked: 0, byClass: false };
  const asked = () => setParams(filter, state.threshold, state.byClass, info.round.id);
  const title = h("h1", {});
  const worth = h("div", { class: "worth" });
  const changes = h("div", { class: "changes" });
  const sample = h("div", { class: "rnd" });
  const sampleTitle = h("h2", {});
  const leftOut = h("p", { class: "sub left-out", hidden: true });
  const problem = h("p", { class: "problem", role: "alert" });
  const button = h("button", { type: "button", class: "primary", onclick: submit }, "Accept");
  const histogram = new Histogram({ handles: 1, labels: ["Threshold"], onchange: ([value]) => move(value) });
  const ways = own && new Ways({ info, onchange: (byClass) => { state.byClass = byClass; histogram.element.hidden = byClass; ask(); } });
  const dialog = openDialog(root, { label: "Accept all above a threshold", className: "accept-dialog", onclose: () => clearTimeout(state.timer) },
    title,
    h("p", { class: "sub" }, `${info.round.dataset} · Round ${info.round.number} · filter: ${describe(filter, info.classes)}. One changeset, one click to undo. Verdicts of people are never overwritten.`),
    leftOut,
    h("div", { class: "cols" },
      h("div", {}, h("h2", {}, "Confidence"), own && ways.element, histogram.element, own && ways.table, worth),
      h("div", {}, h("h2", {}, "What changes"), changes),
      h("div", {}, sampleTitle, sample)),
    h("div", { class: "btns" },
      h("button", { type: "button", class: "link", onclick: () => { state.seed += 1; ask(); } }, "Draw others"), problem, h("span", {}),
      h("button", { type: "button", class: "ghost", onclick: () => dialog.close() }, "Cancel"), button));
  histogram.draw(counts.histogram, [threshold]);
  ask();
  button.focus();

  function move(value) {
    state.threshold = value;
    onthreshold(value);
    button.disabled = true;
    const count = above(touchable(counts), Math.max(value, filter.min), filter.max);
    title.textContent = `Accept ${number(count)} suggestions above ${fraction(value)}?`;
    clearTimeout(state.timer);
    state.timer = setTimeout(ask, SETTLE_MS);
  }

  async function ask() {
    state.asked += 1;
    const turn = state.asked;
    button.disabled = true;
    try {
      const preview = await api.preview(asked(), state.seed);
      if (turn === state.asked && dialog.isConnected) show(preview);
    } catch (error) {
      problem.textContent = told(error);
    }
  }

  function show(preview) {
    state.preview = preview;
    problem.textContent = "";
    const { count } = preview;
    leftOut.textContent = `${preview.left_out}.`;
    leftOut.hidden = !preview.left_out;
    const beyond = state.byClass ? "above each class's own threshold" : `above ${fraction(state.threshold)}`;
    title.textContent = `Accept ${number(count)} ${count === 1 ? "suggestion" : "suggestions"} ${beyond}?`;
    button.textContent = `Accept ${number(count)}`;
    button.disabled = count === 0;
    fill(worth, h("b", {}, expectedText(preview.expected)), ` ${judgedText(preview.judged, "Nobody has judged any of this set yet.").replace(/^o/, "O")}${preview.judged.total ? "." : " Judge a few of them first to know more."}`);
    drawChanges(preview);
    sampleTitle.textContent = count > preview.sample.length ? `${preview.sample.length} drawn at random from exactly these` : `All ${count} of them`;
    fill(sample, preview.sample.map((item) => h("figure", { title: `${className(info.classes, item.given)} → ${className(info.classes, item.pseudo)}` },
      thumbnail(item, `${className(info.classes, item.given)} → ${className(info.classes, item.pseudo)}`),
      h("figcaption", {}, className(info.classes, item.pseudo)))));
  }

  function thumbnail(item, alt) {
    if (item.region) return layeredCrop(api.base, item, 192, { alt });
    return h("img", { class: fitClass(item, 1), src: imageUrl(api.base, item, 192), alt });
  }

  function drawChanges(preview) {
    const ranked = [...preview.changes].sort((a, b) => b[2] - a[2]);
    const most = Math.max(1, ranked[0]?.[2] ?? 1);
    const rest = ranked.slice(ROWS);
    fill(changes,
      h("table", { class: "ft" }, ranked.slice(0, ROWS).map(([given, pseudo, count]) => h("tr", {},
        h("td", {}, givenName(info.classes, given), " → ", h("b", {}, className(info.classes, pseudo))),
        h("td", {}, h("span", { class: "conf" }, h("i", { style: { width: `${(100 * count) / most}%` } }))), h("td", {}, number(count))))),
      rest.length > 0 && h("p", { class: "dim" }, `and ${number(rest.reduce((sum, [, , count]) => sum + count, 0))} in ${number(rest.length)} more pairs`));
  }

  async function submit() {
    if (button.disabled) return; // a double click is one act
    button.disabled = true;
    button.textContent = "Accepting…";
    try {
      await accept(Object.fromEntries(asked()), state.preview.count);
      dialog.close();
    } catch (error) {
      if (error.status === CHANGED) await ask();
      else Object.assign(button, { disabled: false, textContent: "Try again" }); // the same act, if it was stored after all
      problem.textContent = told(error);
    }
  }
}
