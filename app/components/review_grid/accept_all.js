// Accept all above a threshold: the act with its one request and toast, and its dialog: changes, known precision, thresholds, and the
// first cards of the random sample.

import { ApiError, errorText } from "../shared/api.js";
import { className, givenName, suggestedName } from "../shared/classes.js";
import { fill, h, openDialog } from "../shared/dom.js";
import { fraction, number, percent } from "../shared/format.js";
import { proposalOf, setParams, SETTLE_MS } from "./accept_bar.js";
import { AcceptSample } from "./accept_sample.js";
import { setOfAudit } from "./audit.js";
import { bulkHistogram, countAbove } from "./counts.js";
import { DEFAULT, describe, toParams } from "./filters.js";
import { Histogram } from "./histogram.js";
import { acceptLabel, drawPrecision, hintList, quarterTable, sampleButton } from "./precision.js";
/** @import { AuditState, BulkAct, BulkPreview, ClassThreshold, Counts, Filter, RoundInfo } from "../shared/types.d.ts" */
/** @import { AcceptBar } from "./accept_bar.js" */
/** @import { Tally } from "./counts.js" */
/** @import { Review } from "./review.js" */

/** @typedef {Pick<AcceptDialogOptions, "filter" | "counts" | "threshold" | "onthreshold" | "extra" | "byClass">} BulkDialogParts */

const PROGRESS_MS = 2000; // between two looks at an act that is stored in parts
const LAST_ACT_MS = 1500; // longest wait for the verdicts before it to be stored
const NOT_OF_A_SET = ["round", "order", "status"]; // parameters of a request that do not define its set

export class Bulk {
  /** @param {Review} review */
  constructor(review) {
    this.review = review;
    /** @type {{ key: string, seq: number } | null} */
    this.tried = null; // {key, seq} of a request without an answer: a retry is the same act
  }

  /** Preview the acceptance of everything above the bar's threshold. */
  open() {
    const { review } = this;
    const { counts } = /** @type {Tally<Counts>} */ (review.tally); // of a queue
    if (!counts) return;
    const bar = /** @type {AcceptBar} */ (review.bar); // of a queue
    this.#dialog({ filter: review.filter, counts, threshold: bar.threshold, onthreshold: (value) => bar.set(value) });
  }

  /** Show the same for an audit's own set. @param {AuditState} audit */
  async openAudit(audit) {
    const { review } = this;
    const { filter, threshold } = setOfAudit(audit);
    const extra = Object.fromEntries(Object.entries(audit.filter).filter(([name, value]) => !(name in DEFAULT) && value !== null).map(([name, value]) => [name, String(value)]));
    try {
      const counts = await review.api.counts(toParams(filter, review.roundId));
      this.#dialog({ filter, counts, threshold, extra, byClass: audit.by_class, onthreshold: () => {} });
    } catch (error) {
      review.toast.say(errorText(error), { label: "Try again", run: () => this.openAudit(audit) }, { warning: true });
    }
  }

  /** @param {BulkDialogParts} parts */
  #dialog(parts) {
    const { review } = this;
    this.dialog = new AcceptDialog({
      review, ...parts, begin: (parameters) => this.#begin(parameters),
      accept: (parameters, count, certified) => this.#accept(parameters, count, certified), onsample: (parameters) => this.sample(parameters), onaudit: (id) => review.onaudit(id),
    });
  }

  /** Open the random sample of a set: the one there is, else a new one. @param {Record<string, string>} parameters */
  async sample(parameters) {
    this.review.onaudit(await this.#begin(parameters));
  }

  /** Resolve to the id of a set's audit, started if there is none. @param {Record<string, string>} parameters */
  async #begin(parameters) {
    const { review } = this;
    const filter = Object.fromEntries(Object.entries(parameters).filter(([name]) => !NOT_OF_A_SET.includes(name)));
    const { id } = await review.api.createAudit({ round: review.roundId, filter });
    this.refresh();
    return id;
  }

  /** Fetch the bulk acts in force, the audits and their results. */
  async refresh() {
    const info = await this.review.api.round(this.review.roundId).catch(() => null);
    if (!info) return;
    this.review.inform(info);
    this.dialog?.progress(info.bulk_acts);
  }

  /** @param {Record<string, string>} parameters @param {number} count @param {boolean} certified */
  async #accept(parameters, count, certified) {
    const { review } = this;
    if (!(await review.outbox.settled(LAST_ACT_MS))) throw new ApiError(0, { error: "Some verdicts are not saved yet.", cure: "Try again when they are." });
    const key = JSON.stringify([parameters, count, certified]);
    if (this.tried?.key !== key) this.tried = { key, seq: review.outbox.nextSeq() };
    const looking = setInterval(() => this.refresh(), PROGRESS_MS);
    const { size, changeset } = await review.api
      .acceptAll({ client: review.outbox.client, seq: this.tried.seq, expected: count, ...parameters, ...(certified ? { certified } : {}) })
      .finally(() => clearInterval(looking));
    this.tried = null;
    review.judging.pushBulk(changeset);
    review.toast.say(`accepted ${number(size)}${certified ? ", certified" : ""}`, { label: "Undo", run: () => review.judging.undo(changeset) }, { sticky: true });
    this.refresh();
    review.reload(); // not waited for: the dialog closes at once, and its undo is heard
  }
}

const PAIRS_SHOWN = 8;
const CHANGED = 409; // HTTP: the set, or its known precision, differs from the preview

/** @typedef {Record<string, string>} Parameters Parameters of a request, which define a set. */

/**
 * Options of the dialog.
 *
 * @typedef {object} AcceptDialogOptions
 * @property {Review} review
 * @property {Filter} filter
 * @property {number} threshold
 * @property {Counts} counts
 * @property {(parameters: Parameters, count: number, certified: boolean) => Promise<void>} accept
 * @property {(value: number) => void} onthreshold Called on every move.
 * @property {(parameters: Parameters) => Promise<number>} begin Resolves to the id of the set's random sample.
 * @property {(parameters: Parameters) => Promise<void>} onsample Opens the random sample of exactly that set.
 * @property {(id: number) => void} onaudit Opens an existing one.
 * @property {boolean} [byClass] Whether to begin with each class's own threshold.
 * @property {Record<string, string>} [extra] Parameters that no control sets.
 */

/** Preview of accepting everything above a threshold. */
class AcceptDialog {
  /** @type {HTMLDialogElement} */ dialog;

  /** @param {AcceptDialogOptions} options */
  constructor({ review, filter, threshold, counts, accept, onthreshold, begin, onsample, onaudit, byClass = false, extra = {} }) {
    const { root, api, info } = review;
    this.review = review;
    this.root = root;
    this.api = api;
    this.info = info;
    this.filter = filter;
    this.threshold = threshold;
    this.counts = counts;
    this.accept = accept;
    this.onthreshold = onthreshold;
    this.onsample = onsample;
    this.onaudit = onaudit;
    this.byClass = byClass;
    this.extra = extra;
    /** @type {BulkPreview | null} */
    this.preview = null;
    this.requests = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    const own = filter.show === "unlabelled" && (info.round.class_thresholds ?? []).length === info.classes.length; // each class may have its own threshold
    this.title = h("h1", {});
    this.precision = h("div", { class: "worth" });
    this.changes = h("div", { class: "changes" });
    this.sample = new AcceptSample({
      review, begin: () => begin(Object.fromEntries(this.#parameters())), onjudged: () => this.#judged(), onproblem: (text) => { this.problem.textContent = text; },
    });
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
    this.dialog = openDialog(this.root, { label: "Accept all above a threshold", className: "accept-dialog", onclose: () => this.#closed() },
      this.title,
      h("p", { class: "sub" }, `${info.round.dataset} · Round ${info.round.number} · filter: ${describe(filter, info.classes)}. One changeset, one click to undo. Verdicts of people are never overwritten.`),
      this.leftOut,
      h("div", { class: "cols" },
        h("div", {}, h("h2", {}, "Confidence"), this.ways && this.ways.element, this.range, this.ways && this.ways.table, this.precision, this.quarters,
          hintList(info.hints, info.round.dataset_id), h("h2", {}, "What changes"), this.changes),
        this.sample.element),
      h("div", { class: "btns" }, this.problem, h("span", {}),
        h("button", { type: "button", class: "ghost", onclick: () => this.dialog.close() }, "Cancel"), this.check, this.button));
    this.dialog.addEventListener("keydown", (event) => this.sample.key(event));
    this.#draw();
  }

  #draw() {
    this.histogram.draw(this.counts.histogram, [this.threshold]);
    this.typed.value = fraction(this.threshold);
  }

  #proposal() {
    const proposal = proposalOf(this.info.recalibration);
    if (!proposal) return null;
    const [text, threshold] = proposal;
    return threshold === null ? h("span", { class: "dim" }, text) : h("button", { type: "button", class: "link", title: this.info.recalibration?.reason, onclick: () => this.#typed(threshold) }, text);
  }

  #parameters() {
    return setParams(this.filter, this.threshold, this.byClass, this.info.round.id, this.extra);
  }

  /** @param {boolean} byClass */
  #choose(byClass) {
    this.byClass = byClass;
    this.range.hidden = byClass;
    this.#ask();
  }

  /** @param {number} [value] */
  #typed(value = Number.parseFloat(this.typed.value)) {
    if (value >= 0 && value <= 1) this.#move(Math.round(100 * value) / 100);
    this.#draw();
  }

  /** @param {number} value */
  #move(value) {
    this.threshold = value;
    this.requests += 1; // a pending answer is of another set
    this.typed.value = fraction(value);
    this.onthreshold(value);
    this.button.disabled = true;
    this.check.disabled = true;
    const count = countAbove(bulkHistogram(this.counts), Math.max(value, this.filter.min), this.filter.max);
    this.title.textContent = `Accept ${number(count)} suggestions above ${fraction(value)}?`;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#ask(), SETTLE_MS);
  }

  #closed() {
    clearTimeout(this.timer);
    this.review.bulk.refresh(); // the sample may have verdicts now
  }

  /** A card of the sample has its verdict: once it is stored, other numbers hold. */
  #judged() {
    this.problem.textContent = "";
    this.button.disabled = true;
    this.requests += 1;
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      await this.review.outbox.settled(LAST_ACT_MS);
      if (this.dialog.isConnected) this.#ask();
    }, SETTLE_MS);
  }

  async #ask() {
    this.requests += 1;
    const turn = this.requests;
    this.button.disabled = true;
    this.check.disabled = true;
    try {
      const preview = await this.api.preview(this.#parameters());
      if (turn === this.requests && this.dialog.isConnected) this.#show(preview);
    } catch (error) {
      this.problem.textContent = errorText(error);
    }
  }

  /** @param {BulkPreview} preview */
  #show(preview) {
    this.preview = preview;
    this.problem.textContent = "";
    const { count, size } = preview;
    this.leftOut.textContent = `${preview.left_out}.`;
    this.leftOut.hidden = !preview.left_out;
    const beyond = this.byClass ? "above each class's own threshold" : `above ${fraction(this.threshold)}`;
    this.title.textContent = `Accept ${number(count)} ${count === 1 ? "suggestion" : "suggestions"} ${beyond}?`;
    this.button.textContent = acceptLabel(preview);
    this.button.disabled = count === 0;
    this.check.textContent = sampleButton(preview.audit);
    Object.assign(this.check, { disabled: size === 0 || Boolean(preview.not_drawn), title: preview.not_drawn ?? "" });
    drawPrecision(this.precision, preview);
    fill(this.quarters, quarterTable(preview.audit, { split: (audit) => this.#split(audit), accept: (quarter) => this.#quarter(quarter), open: (quarter) => this.#leave(() => this.onaudit(quarter.id)) }));
    this.#drawChanges(preview);
    this.sample.draw(preview);
  }

  /** @param {BulkPreview} preview */
  #drawChanges(preview) {
    const ranked = [...preview.changes].sort((a, b) => b[2] - a[2]);
    const most = Math.max(1, ranked[0]?.[2] ?? 1);
    const rest = ranked.slice(PAIRS_SHOWN);
    const { classes } = this.info;
    fill(this.changes,
      h("table", { class: "ft" }, ranked.slice(0, PAIRS_SHOWN).map(([given, pseudo, count]) => h("tr", {},
        h("td", {}, givenName(classes, given), " → ", suggestedName(classes, pseudo)),
        h("td", {}, h("span", { class: "conf" }, h("i", { style: { width: `${(100 * count) / most}%` } }))), h("td", {}, number(count))))),
      rest.length > 0 && h("p", { class: "dim" }, `and ${number(rest.reduce((sum, [, , count]) => sum + count, 0))} in ${number(rest.length)} more pairs`));
  }

  /** Switch to one certified quarter of the set. @param {AuditState} quarter */
  #quarter({ filter: { min = 0, max = 1 } }) {
    this.filter = { ...this.filter, min, max };
    this.threshold = min;
    this.#draw();
    this.#ask();
  }

  /** @param {AuditState} audit */
  async #split(audit) {
    try {
      await this.api.quarters(audit.id);
      await this.#ask();
    } catch (error) {
      this.problem.textContent = errorText(error);
    }
  }

  async #check() {
    this.check.disabled = true;
    await this.#leave(() => this.onsample(Object.fromEntries(this.#parameters())));
    this.check.disabled = false;
  }

  /** Close once another page has been led to. @param {() => unknown} go */
  async #leave(go) {
    try {
      await go();
      this.dialog.close();
    } catch (error) {
      this.problem.textContent = errorText(error);
    }
  }

  /** Show how far the act has come whose answer is waited for. @param {BulkAct[]} acts */
  progress(acts) {
    const text = acceptingText(acts);
    if (this.accepting && text) this.button.textContent = text;
  }

  async #submit() {
    if (this.button.disabled || !this.preview) return; // a double click is one act
    const { count, known } = this.preview;
    this.button.disabled = true;
    this.button.textContent = "Accepting…";
    this.accepting = true;
    try {
      await this.accept(Object.fromEntries(this.#parameters()), count, Boolean(known.certificate));
      this.dialog.close();
    } catch (error) {
      if (error.status === CHANGED) await this.#ask();
      else Object.assign(this.button, { disabled: false, textContent: "Try again" }); // the same act, if it was stored after all
      this.problem.textContent = errorText(error);
    } finally {
      this.accepting = false;
    }
  }
}

/** Return the progress of the newest bulk act that is stored in parts, "" if there is none. @param {Pick<BulkAct, "size" | "of">[]} acts */
export function acceptingText(acts) {
  const act = acts.find(({ of }) => of);
  return act ? `Accepting… ${number(act.size)} of ${number(act.of ?? 0)}` : "";
}

/** Return the basis of a class's threshold, in words. @param {Pick<ClassThreshold, "basis" | "precision">} threshold */
export const basisOf = ({ basis, precision }) =>
  basis === "precision" && precision !== null ? `${percent(precision)} right` : "surest share";

class Ways {
  /** @param {{ info: RoundInfo, onchange: (byClass: boolean) => void }} options */
  constructor({ info, onchange }) {
    this.info = info;
    this.onchange = onchange;
    this.buttons = ["One threshold", "By class"].map((word, place) =>
      h("button", { type: "button", "aria-pressed": String(place === 0), onclick: () => this.choose(place === 1) }, word));
    this.element = h("div", { class: "segments ways", role: "group", "aria-label": "Thresholds" }, this.buttons);
    this.table = h("div", { class: "own-thresholds", hidden: true });
  }

  /** @param {boolean} byClass */
  choose(byClass) {
    this.buttons.forEach((button, place) => button.setAttribute("aria-pressed", String((place === 1) === byClass)));
    this.table.hidden = !byClass;
    if (byClass) this.#draw();
    this.onchange(byClass);
  }

  #draw() {
    const rows = (this.info.round.class_thresholds ?? []).map((own) => h("tr", {},
      h("td", { title: className(this.info.classes, own.label) }, className(this.info.classes, own.label)), h("td", {}, basisOf(own)), h("td", {}, fraction(own.percent / 100))));
    fill(this.table,
      h("table", { class: "ft" }, rows),
      h("p", { class: "dim" }, "“Right” is how often this round's predictions of a class agree with given labels. For classes with too few labels, the same share is accepted, most confident first."));
  }
}
