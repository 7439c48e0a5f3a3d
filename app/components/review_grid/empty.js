// What stands where the cards would be when there are none: why, and what to do next.

import { h } from "./dom.js";
import { DEFAULT, narrowed } from "./filters.js";
import { number, RECIPES } from "./format.js";

function state(title, text, ...actions) {
  return h("div", { class: "empty-state" }, h("h2", {}, title), text && h("p", {}, text), h("div", { class: "btns" }, actions));
}

const button = (label, run, kind = "ghost") => h("button", { type: "button", class: kind, onclick: run }, label);
const link = (label, href, kind = "ghost") => h("a", { class: `as-button ${kind}`, href }, label);

/** Return the state for an empty queue. */
export function emptyState({ counts, filter, info, skipped, again, setFilter }) {
  const { round } = info;
  if (skipped > 0 && counts.todo > 0) {
    return state(`${number(skipped)} skipped ${skipped === 1 ? "card is" : "cards are"} left`, "Everything else in this queue is judged.", button("Show the skipped ones", again, "primary"));
  }
  if (counts.todo > 0 && filter.status === "todo") return state(`${number(counts.todo)} more to judge`, "They came back to the queue meanwhile.", button("Show them", again, "primary"));
  if (filter.status !== "todo" || (narrowed(filter) && !counts.total)) {
    return state("No findings under this filter", "Nothing matches all of its settings at once.", button("Clear the filter", () => setFilter({ ...DEFAULT, show: filter.show }), "primary"));
  }
  if (!counts.total) {
    const { unlabelled } = counts.kinds;
    const nothing = round.recipe in RECIPES ? "does not check existing labels: it only proposes labels for unlabelled data." : "contradicts none of these labels.";
    return state(`No ${filter.show.replaceAll(",", " or ")} findings`, `Round ${round.number} ${nothing}`,
      !filter.show.includes("unlabelled") && unlabelled > 0 && button(`Review the ${number(unlabelled)} proposals for unlabelled data`, () => setFilter({ show: "unlabelled" }), "primary"),
      filter.show !== "agreeing" && counts.kinds.agreeing > 0 && button(`Look at the ${number(counts.kinds.agreeing)} it agrees with`, () => setFilter({ show: "agreeing" })));
  }
  const { agreeing } = counts.kinds;
  const agreed = narrowed(filter) > 0 && !filter.show.includes("agreeing") && agreeing > 0 && button(`Go on with the ${number(agreeing)} it agrees with`, () => setFilter({ show: "agreeing" }));
  const next = narrowed(filter)
    ? [button("Clear the filter", () => setFilter({ ...DEFAULT, show: filter.show }), "primary")]
    : [link("Start the next round", `rounds?dataset=${round.dataset_id}`, "primary"), link("Export the labels", `exports?dataset=${round.dataset_id}`)];
  return state(`All ${number(counts.total)} judged`, narrowed(filter) ? "Nothing is left under this filter." : "Train again on the cleaned labels, or export them now.",
    next, agreed, button("Show the decided ones", () => setFilter({ status: "decided" })));
}

/** Return the state for an audit without a card for this person. */
export function auditState({ audit, skipped, name, again, leave, accept }) {
  const back = button("Back to the queue", leave);
  const { certificate, gap } = audit;
  const acceptOpen = certificate?.open > 0 && button(`Accept the ${number(certificate.open)} open…`, accept, "primary");
  if (audit.closed) return state("This audit is closed", audit.text, acceptOpen, back);
  if (skipped > 0) return state(`${number(skipped)} skipped ${skipped === 1 ? "card is" : "cards are"} left`, "Every other card of the sample that is free is judged.", button("Show the skipped ones", again, "primary"), back);
  const left = audit.size - audit.judged - audit.beyond;
  if (left <= 0) return state(`All ${number(audit.size)} judged`, audit.text, acceptOpen, back);
  const cards = left === 1 ? "The remaining card" : `The remaining ${number(left)} cards`;
  if (gap?.why === "second_opinion") return state("No free card is left", `${cards} wait${left === 1 ? "s" : ""} for another annotator, card ${number(gap.place + 1)} for a second opinion.`, acceptOpen, button("Look again", again), back);
  if (gap?.why === "leased" && gap.by !== name) return state("No free card is left", `${cards} ${left === 1 ? "is" : "are"} with ${gap.by}. Cards without a verdict are free again after 15 minutes.`, acceptOpen, button("Look again", again), back);
  return state(`${number(left)} more to judge`, "They came back to the sample meanwhile.", button("Show them", again, "primary"), back);
}

/** Return the state for a round without findings yet. */
export function runningState(info) {
  const waiting = { queued: "is waiting for the worker", running: "is running", failed: "failed", cancelled: "was cancelled" }[info.round.status];
  const going = ["queued", "running"].includes(info.round.status);
  return state(`Round ${info.round.number} ${waiting}`, going ? "Its findings appear here by themselves when it is done." : "It has no findings.",
    link("Watch the round", `rounds?dataset=${info.round.dataset_id}`, "primary"));
}

/** Return the state for something that could not be loaded. */
export function troubleState(error, again, label = "Try again") {
  return h("div", { class: "empty-state trouble", role: "alert" }, h("h2", {}, error.message), h("p", {}, error.cure ?? ""), button(label, again, "primary"));
}
