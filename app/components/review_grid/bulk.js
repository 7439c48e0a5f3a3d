// Accept-all as an act of this page: the dialog, the one request, its toast, and the acts that still stand.

import { AcceptDialog } from "./accept_dialog.js";
import { ApiError, told } from "./api.js";
import { setOfAudit } from "./audit.js";
import { DEFAULT, toParams } from "./filters.js";
import { number } from "./format.js";

const LAST_ACT_MS = 1500; // how long the verdicts before it may take to be stored
const NOT_OF_A_SET = ["round", "order", "status"]; // of a request's parameters: a set is told by the others

export class Bulk {
  constructor(review) {
    this.review = review;
    this.tried = null; // {key, seq} of a request without an answer: a second try is the same act
  }

  /** Show what accepting everything above the bar's threshold would do. */
  open() {
    const { review } = this;
    if (!review.tally.counts) return;
    this.#dialog({ filter: review.filter, counts: review.tally.counts, threshold: review.bar.threshold, onthreshold: (value) => review.bar.set(value) });
  }

  /** Show the same of an audit's own set. */
  async openAudit(audit) {
    const { review } = this;
    const { filter, threshold } = setOfAudit(audit);
    const extra = Object.fromEntries(Object.entries(audit.filter).filter(([name, value]) => !(name in DEFAULT) && value !== null));
    try {
      const counts = await review.api.counts(toParams(filter, review.roundId));
      this.#dialog({ filter, counts, threshold, extra, byClass: audit.by_class, onthreshold: () => {} });
    } catch (error) {
      review.toast.say(told(error), { label: "Try again", run: () => this.openAudit(audit) }, { warning: true });
    }
  }

  #dialog(parts) {
    const { review } = this;
    this.dialog = new AcceptDialog({
      root: review.root, api: review.api, info: review.info, ...parts,
      accept: (parameters, count, certified) => this.#accept(parameters, count, certified), onsample: (parameters) => this.sample(parameters), onaudit: (id) => review.onaudit(id),
    });
  }

  /** Open the random sample of a set: the one there is, else a new one. */
  async sample(parameters) {
    const { review } = this;
    const filter = Object.fromEntries(Object.entries(parameters).filter(([name]) => !NOT_OF_A_SET.includes(name)));
    const audit = await review.api.createAudit({ round: review.roundId, filter });
    review.onaudit(audit.id);
  }

  /** Ask which bulk acts stand, which audits there are and what they taught. */
  async refresh() {
    const info = await this.review.api.round(this.review.roundId).catch(() => null);
    if (info) this.review.inform(info);
  }

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
    await review.reload();
  }
}
