// Accept-all as an act of this page: the dialog, the one request, its toast, and the acts that still stand.

import { openAcceptDialog } from "./accept_all.js";
import { ApiError } from "./api.js";
import { number } from "./format.js";

const LAST_ACT_MS = 1500; // how long the verdicts before it may take to be stored

export class Bulk {
  constructor(review) {
    this.review = review;
    this.tried = null; // {key, seq} of a request without an answer: a second try is the same act
  }

  open() {
    const { review } = this;
    if (!review.tally.counts) return;
    openAcceptDialog({
      root: review.root, api: review.api, info: review.info, filter: review.filter, counts: review.tally.counts, threshold: review.bar.threshold,
      onthreshold: (value) => review.bar.set(value), accept: (parameters, count) => this.#accept(parameters, count),
    });
  }

  /** Ask which bulk acts stand. */
  async refresh() {
    const info = await this.review.api.round(this.review.roundId).catch(() => null);
    if (info) this.review.sidebar.drawBulk(info.bulk_acts ?? []);
  }

  async #accept(parameters, count) {
    const { review } = this;
    if (!(await review.outbox.settled(LAST_ACT_MS))) throw new ApiError(0, { error: "Some verdicts are not saved yet.", cure: "Try again when they are." });
    const key = JSON.stringify([parameters, count]);
    if (this.tried?.key !== key) this.tried = { key, seq: review.outbox.nextSeq() };
    const { size, changeset } = await review.api.acceptAll({ client: review.outbox.client, seq: this.tried.seq, expected: count, ...parameters });
    this.tried = null;
    review.judging.pushBulk(changeset);
    review.toast.say(`accepted ${number(size)}`, { label: "Undo", run: () => review.judging.undo(changeset) }, { sticky: true });
    this.refresh();
    await review.reload();
  }
}
