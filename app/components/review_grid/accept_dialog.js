// The accept-all dialog: what exactly would change, what is known of it, and the first cards of its random sample.

import { SETTLE_MS, proposalOf, setParams } from "./accept_bar.js";
import { told } from "./api.js";
import { className, givenName } from "./card.js";
import { above, touchable } from "./counts.js";
import { fill, h, openDialog } from "./dom.js";
import { describe } from "./filters.js";
import { fitClass, fraction, imageUrl, number } from "./format.js";
import { Histogram } from "./histogram.js";
import { drawPrecision, hintList, promise, quarterTable, sampleButton } from "./precision.js";
import { layeredCrop } from "./regions.js";
import { Ways } from "./thresholds.js";

const ROWS = 8;
const PIXELS = 192; // of a card of the sample
const CHANGED = 409; // HTTP: the set, or what is known of it, is not what was shown

/**
 * Show what accepting everything above a threshold would do; `accept(parameters, count, certified)` does it, `onsample(parameters)`
 * opens the random sample of exactly that set, `onaudit(id)` one there is; `onthreshold(value)` hears of every move. `byClass`: begin
 * with each class's own threshold. `extra` are parameters that no control sets.
 */
export class AcceptDialog {
  constructor({ root, api, info, filter, threshold, counts, accept, onthreshold, onsample, onaudit, byClass = false, extra = {} }) {
    Object.assign(this, { root, api, info, filter, threshold, counts, accept, onthreshold, onsample, onaudit, byClass, extra, preview: null, asked: 0 });
    const own = filter.show === "unlabelled" && (info.round.class_thresholds ?? []).length === info.classes.length; // each class may have its own threshold
    this.title = h("h1", {});
    this.precision = h("div", { class: "worth" });
    this.changes = h("div", { class: "changes" });
    this.sample = h("div", { class: "rnd" });
    this.sampleTitle = h("h2", {});
    this.quarters = h("div", {});
    this.leftOut = h("p", { class: "sub left-out", hidden: true });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.button = h("button", { type: "button", class: "primary", onclick: () => this.#submit() }, "Accept");
    this.check = h("button", { type: "button", class: "ghost check-sample", disabled: true, onclick: () => this.#check() }, "Check a random sample");
    this.typed = h("input", { type: "number", min: 0, max: 1, step: 0.01, class: "typed", "aria-label": "Threshold, typed", onchange: () => this.#typed() });
    this.histogram = new Histogram({ handles: 1, labels: ["Threshold"], onchange: ([value]) => this.#move(value) });
    this.range = h("div", {}, this.histogram.element, h("label", { class: "typed-threshold" }, "Threshold ", this.typed, " ", this.#proposal()));
    this.ways = own && new Ways({ info, onchange: (byClass) => this.#choose(byClass) });
    this.#open();
    if (byClass && this.ways) this.ways.choose(true);
    else this.#ask();
    this.button.focus();
  }

  #open() {
    const { info, filter } = this;
    this.dialog = openDialog(this.root, { label: "Accept all above a threshold", className: "accept-dialog", onclose: () => clearTimeout(this.timer) },
      this.title,
      h("p", { class: "sub" }, `${info.round.dataset} · Round ${info.round.number} · filter: ${describe(filter, info.classes)}. One changeset, one click to undo. Verdicts of people are never overwritten.`),
      this.leftOut,
      h("div", { class: "cols" },
        h("div", {}, h("h2", {}, "Confidence"), this.ways && this.ways.element, this.range, this.ways && this.ways.table, this.precision, this.quarters,
          hintList(info.hints), h("h2", {}, "What changes"), this.changes),
        h("div", {}, this.sampleTitle, this.sample)),
      h("div", { class: "btns" }, this.problem, h("span", {}),
        h("button", { type: "button", class: "ghost", onclick: () => this.dialog.close() }, "Cancel"), this.check, this.button));
    this.#draw();
  }

  #draw() {
    this.histogram.draw(this.counts.histogram, [this.threshold]);
    this.typed.value = fraction(this.threshold);
  }

  #proposal() {
    const [text, threshold] = proposalOf(this.info.recalibration) ?? [];
    if (!text) return null;
    return threshold === null ? h("span", { class: "dim" }, text) : h("button", { type: "button", class: "link", title: this.info.recalibration.reason, onclick: () => this.#typed(threshold) }, text);
  }

  #parameters() {
    return setParams(this.filter, this.threshold, this.byClass, this.info.round.id, this.extra);
  }

  #choose(byClass) {
    this.byClass = byClass;
    this.range.hidden = byClass;
    this.#ask();
  }

  #typed(value = Number.parseFloat(this.typed.value)) {
    if (value >= 0 && value <= 1) this.#move(Math.round(100 * value) / 100);
    this.#draw();
  }

  #move(value) {
    this.threshold = value;
    this.asked += 1; // an answer on its way is of another set
    this.typed.value = fraction(value);
    this.onthreshold(value);
    this.button.disabled = true;
    this.check.disabled = true;
    const count = above(touchable(this.counts), Math.max(value, this.filter.min), this.filter.max);
    this.title.textContent = `Accept ${number(count)} suggestions above ${fraction(value)}?`;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#ask(), SETTLE_MS);
  }

  async #ask() {
    this.asked += 1;
    const turn = this.asked;
    this.button.disabled = true;
    this.check.disabled = true;
    try {
      const preview = await this.api.preview(this.#parameters());
      if (turn === this.asked && this.dialog.isConnected) this.#show(preview);
    } catch (error) {
      this.problem.textContent = told(error);
    }
  }

  #show(preview) {
    this.preview = preview;
    this.problem.textContent = "";
    const { count, size } = preview;
    this.leftOut.textContent = `${preview.left_out}.`;
    this.leftOut.hidden = !preview.left_out;
    const beyond = this.byClass ? "above each class's own threshold" : `above ${fraction(this.threshold)}`;
    this.title.textContent = `Accept ${number(count)} ${count === 1 ? "suggestion" : "suggestions"} ${beyond}?`;
    this.button.textContent = promise(preview);
    this.button.disabled = count === 0;
    this.check.textContent = sampleButton(preview.audit);
    Object.assign(this.check, { disabled: size === 0 || Boolean(preview.not_drawn), title: preview.not_drawn ?? "" });
    drawPrecision(this.precision, preview);
    fill(this.quarters, quarterTable(preview.audit, { split: (audit) => this.#split(audit), accept: (one) => this.#quarter(one), open: (one) => this.#leave(() => this.onaudit(one.id)) }));
    this.#drawChanges(preview);
    this.sampleTitle.textContent = size > preview.sample.length ? `The first ${preview.sample.length} of its random order` : `All ${number(size)} in its random order`;
    fill(this.sample, preview.sample.map((item) => this.#figure(item)));
  }

  #figure(item) {
    const { classes } = this.info;
    const words = `${className(classes, item.given)} → ${className(classes, item.pseudo)}`;
    const picture = item.region
      ? layeredCrop(this.api.base, item, PIXELS, { alt: words })
      : h("img", { class: fitClass(item, 1), src: imageUrl(this.api.base, item, PIXELS), alt: words });
    return h("figure", { title: words }, picture,
      h("figcaption", {}, item.given === item.pseudo ? h("b", {}, className(classes, item.pseudo)) : [givenName(classes, item.given), h("b", {}, `→ ${className(classes, item.pseudo)}`)]));
  }

  #drawChanges(preview) {
    const ranked = [...preview.changes].sort((a, b) => b[2] - a[2]);
    const most = Math.max(1, ranked[0]?.[2] ?? 1);
    const rest = ranked.slice(ROWS);
    const { classes } = this.info;
    fill(this.changes,
      h("table", { class: "ft" }, ranked.slice(0, ROWS).map(([given, pseudo, count]) => h("tr", {},
        h("td", {}, givenName(classes, given), " → ", h("b", {}, className(classes, pseudo))),
        h("td", {}, h("span", { class: "conf" }, h("i", { style: { width: `${(100 * count) / most}%` } }))), h("td", {}, number(count))))),
      rest.length > 0 && h("p", { class: "dim" }, `and ${number(rest.reduce((sum, [, , count]) => sum + count, 0))} in ${number(rest.length)} more pairs`));
  }

  /** Turn to one quarter of the set, whose certificate stands. */
  #quarter({ filter }) {
    this.filter = { ...this.filter, min: filter.min, max: filter.max };
    this.threshold = filter.min;
    this.#draw();
    this.#ask();
  }

  async #split(audit) {
    try {
      await this.api.quarters(audit.id);
      await this.#ask();
    } catch (error) {
      this.problem.textContent = told(error);
    }
  }

  async #check() {
    this.check.disabled = true;
    await this.#leave(() => this.onsample(Object.fromEntries(this.#parameters())));
    this.check.disabled = false;
  }

  /** Close once another page has been led to. */
  async #leave(go) {
    try {
      await go();
      this.dialog.close();
    } catch (error) {
      this.problem.textContent = told(error);
    }
  }

  async #submit() {
    if (this.button.disabled) return; // a double click is one act
    const { count, known } = this.preview;
    this.button.disabled = true;
    this.button.textContent = "Accepting…";
    try {
      await this.accept(Object.fromEntries(this.#parameters()), count, Boolean(known.certificate));
      this.dialog.close();
    } catch (error) {
      if (error.status === CHANGED) await this.#ask();
      else Object.assign(this.button, { disabled: false, textContent: "Try again" }); // the same act, if it was stored after all
      this.problem.textContent = told(error);
    }
  }
}
