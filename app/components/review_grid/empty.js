// States in place of the cards when there are none: the reason and the next step.

import { h } from "../shared/dom.js";
import { number, RECIPES } from "../shared/format.js";
import { countNarrowing, DEFAULT, filterOfPath } from "./filters.js";
import { suggestsNothing } from "./labelling.js";
/** @import { AuditState, Child, Counts, Filter, RoundInfo } from "../shared/types.d.ts" */

/**
 * @typedef {object} EmptyQueue
 * @property {Counts} counts
 * @property {Filter} filter
 * @property {RoundInfo} info
 * @property {number} skipped
 * @property {() => unknown} again
 * @property {(changes: Partial<Filter>) => unknown} setFilter
 */

/**
 * @typedef {object} EmptyAudit
 * @property {AuditState} audit
 * @property {number} skipped
 * @property {string | null} name
 * @property {() => unknown} again
 * @property {() => unknown} leave
 * @property {() => unknown} accept
 */

/** @param {string} title @param {Child} text @param {...Child} actions */
function state(title, text, ...actions) {
  return h("div", { class: "empty-state" }, h("h2", {}, title), text && h("p", {}, text), h("div", { class: "btns" }, actions));
}

/** @param {string} label @param {() => unknown} run */
const button = (label, run, kind = "ghost") => h("button", { type: "button", class: kind, onclick: run }, label);
/** @param {string} label @param {string} href */
const link = (label, href, kind = "ghost") => h("a", { class: `as-button ${kind}`, href }, label);

/** Return the state for an empty queue. @param {EmptyQueue} queue */
export function emptyState({ counts, filter, info, skipped, again, setFilter }) {
  const { round } = info;
  if (skipped > 0 && counts.todo > 0) {
    return state(`${number(skipped)} skipped ${skipped === 1 ? "card is" : "cards are"} left`, "Everything else in this queue is judged.", button("Show the skipped ones", again, "primary"));
  }
  if (counts.todo > 0 && filter.status === "todo") return state(`${number(counts.todo)} more to judge`, "They came back to the queue meanwhile.", button("Show them", again, "primary"));
  if (filter.status !== "todo" || (countNarrowing(filter) && !counts.total)) {
    return state("No findings under this filter", "Nothing matches all of its settings at once.", button("Clear the filter", () => setFilter({ ...DEFAULT, show: filter.show }), "primary"),
      filter.path && button(`Show all with “${filter.path}” in their path`, () => setFilter(filterOfPath(filter.path))));
  }
  if (!counts.total) {
    const { unlabelled = 0, agreeing: agreed = 0 } = counts.kinds;
    const nothing = round.recipe in RECIPES ? "does not check existing labels: it only proposes labels for unlabelled data." : "contradicts none of these labels.";
    return state(`No ${filter.show.replaceAll(",", " or ")} findings`, `Round ${round.number} ${nothing}`,
      !filter.show.includes("unlabelled") && unlabelled > 0 && button(`Review the ${number(unlabelled)} proposals for unlabelled data`, () => setFilter({ show: "unlabelled" }), "primary"),
      filter.show !== "agreeing" && agreed > 0 && button(`Look at the ${number(agreed)} it agrees with`, () => setFilter({ show: "agreeing" })));
  }
  if (suggestsNothing(info) && !countNarrowing(filter)) {
    return state(`All ${number(counts.total)} judged`, "A round trained on these labels finds the wrong ones among them.",
      link("Start the first round", `rounds?dataset=${round.dataset_id}`, "primary"), button("Show the decided ones", () => setFilter({ status: "decided" })));
  }
  const { agreeing = 0 } = counts.kinds;
  const agreed = countNarrowing(filter) > 0 && !filter.show.includes("agreeing") && agreeing > 0 && button(`Continue with the ${number(agreeing)} it agrees with`, () => setFilter({ show: "agreeing" }));
  const next = countNarrowing(filter)
    ? [button("Clear the filter", () => setFilter({ ...DEFAULT, show: filter.show }), "primary")]
    : [link("Start the next round", `rounds?dataset=${round.dataset_id}`, "primary"), link("Export the labels", `exports?dataset=${round.dataset_id}`)];
  return state(`All ${number(counts.total)} judged`, countNarrowing(filter) ? "Nothing is left under this filter." : "Train again on the cleaned labels, or export them now.",
    next, agreed, button("Show the decided ones", () => setFilter({ status: "decided" })));
}

/** Return the state for an audit without a card for this person. @param {EmptyAudit} state */
export function auditState({ audit, skipped, name, again, leave, accept }) {
  const back = button("Back to the queue", leave);
  const { certificate, gap } = audit;
  const acceptOpen = certificate !== null && certificate.open > 0 && button(`Accept the ${number(certificate.open)} open…`, accept, "primary lead");
  if (audit.closed) return state("This sample is closed", audit.text, acceptOpen, back);
  if (skipped > 0) return state(`${number(skipped)} skipped ${skipped === 1 ? "card is" : "cards are"} left`, "All other available cards of the sample are judged.", button("Show the skipped ones", again, "primary"), back);
  const left = audit.size - audit.judged - audit.beyond;
  if (left <= 0) return state(`All ${number(audit.size)} judged`, audit.text, acceptOpen, back);
  const cards = left === 1 ? "The remaining card" : `The remaining ${number(left)} cards`;
  if (gap?.why === "second_opinion") return state("No free card is left", `${cards} wait${left === 1 ? "s" : ""} for another annotator, card ${number(gap.place + 1)} for a second opinion.`, acceptOpen, button("Look again", again), back);
  if (gap?.why === "leased" && gap.by !== name) return state("No free card is left", `${cards} ${left === 1 ? "is" : "are"} with ${gap.by}. Cards without a verdict are free again after 15 minutes.`, acceptOpen, button("Look again", again), back);
  return state(`${number(left)} more to judge`, "They have returned to the sample.", button("Show them", again, "primary"), back);
}

/** Return the state for a round without findings yet. @param {RoundInfo} info */
export function runningState(info) {
  /** @type {Record<string, string>} */
  const words = { queued: "is waiting for the worker", running: "is running", failed: "failed", cancelled: "was cancelled" };
  const going = ["queued", "running"].includes(info.round.status);
  return state(`Round ${info.round.number} ${words[info.round.status]}`, going ? "Its findings appear here as soon as it is done." : "It has no findings.",
    link("Watch the round", `rounds?dataset=${info.round.dataset_id}`, "primary"));
}
