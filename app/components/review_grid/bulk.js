// Accept-all as an act of this page: the dialog, the one request, its toast, and bulk acts in force.

import { AcceptDialog } from "./accept_dialog.js";
import { ApiError, errorText } from "../shared/api.js";
import { setOfAudit } from "./audit.js";
import { DEFAULT, toParams } from "./filters.js";
import { number } from "../shared/format.js";
/** @import { AuditState, Counts } from "../shared/types.d.ts" */
/** @import { AcceptBar } from "./accept_bar.js" */
/** @import { AcceptDialogOptions } from "./accept_dialog.js" */
/** @import { Tally } from "./counts.js" */
/** @import { Review } from "./review.js" */

/** @typedef {Pick<AcceptDialogOptions, "filter" | "counts" | "threshold" | "onthreshold" | "extra" | "byClass">} BulkDialogParts */

const LAST_ACT_MS = 1500; // how long the verdicts before it may take to be stored
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
    if (info) this.review.inform(info);
  }

  /** @param {Record<string, string>} parameters @param {number} count @param {boolean} certified */
  async #accept(parameters, count, certified) {
    const { review } = this;
    if (!(await review.outbox.settled(LAST_ACT_MS))) throw new ApiError(0, { error: "Some verdicts are not saved yet.", cure: "Try again when they are." });
    const key = JSON.stringify([parameters, count, certified]);
    if (this.tried?.key !== key) this.tried = { key, seq: review.outbox.nextSeq() };
    const { size, changeset } = await review.api.acceptAll({ client: review.outbox.client, seq: this.tried.seq, expected: count, ...parameters, ...(certified ? { certified } : {}) });
    this.tried = null;
    review.judging.pushBulk(changeset);
    review.toast.say(`accepted ${number(size)}${certified ? ", certified" : ""}`, { label: "Undo", run: () => review.judging.undo(changeset) }, { sticky: true });
    this.refresh();
    review.reload(); // not waited for: the dialog closes at once, and its undo is heard
  }
}
