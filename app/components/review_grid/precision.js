// Known precision of a set in words: none without a random sample, then an interval, then a certificate.

import { fill, h } from "../shared/dom.js";
import { fraction, number, percent } from "../shared/format.js";
/** @import { AuditState, BulkPreview, Known, RoundInfo, Share } from "../shared/types.d.ts" */

/** @typedef {Record<"split" | "accept" | "open", (audit: AuditState) => unknown>} QuarterActs `split` is of the whole, others of a quarter. */

const FIRST_ANSWER = 60; // random verdicts that answer how right a set is

/** Return "88 to 97 %": rounded outwards, so that the interval is never narrower than it is. @param {Pick<Share, "low" | "high">} share */
export function interval({ low, high }) {
  return `${Math.floor(low * 100 + 1e-9)} to ${Math.ceil(high * 100 - 1e-9)} %`;
}

/** Return the basis of a share: "88 to 97 %, 60 random verdicts", or that all cards are judged. @param {Share} share */
export function basisText(share, verdicts = "random verdicts") {
  return share.counted ? `counted, all ${number(share.verdicts)} judged` : `${interval(share)}, ${number(share.verdicts)} ${verdicts}`;
}

/** Return the known precision in the few words that fit the bar. @param {Pick<Known, "precision" | "certificate">} known */
export function shortPrecision({ precision, certificate }) {
  if (certificate) return `✓ certified: ${certificate.text.split(" (")[0]}`;
  if (precision) return `${percent(precision.share)} right (${basisText(precision, "random")})`;
  return "precision unknown";
}

/** Return the label of the button that accepts `count` cards, with their known precision. @param {Pick<BulkPreview, "count" | "known">} preview */
export function acceptLabel({ count, known }) {
  const { certificate, precision } = known;
  if (certificate) return `Accept the ${number(count)} open of ${number(certificate.size)}: ${certificate.text}`;
  if (precision) return `Accept ${number(count)} (${percent(precision.share)} right: ${basisText(precision)})`;
  return `Accept ${number(count)} (precision unknown)`;
}

/** Return the label of the button that leads to the sample. @param {AuditState | null} audit */
export function sampleButton(audit) {
  if (!audit) return "Check a random sample";
  if (audit.state === "open") return audit.judged ? `Continue the random sample (${number(audit.judged)} judged)` : "Check a random sample";
  return "Look at the random sample";
}

/**
 * Return the next step to better evidence, in a sentence or two; nothing with a certificate, or where no sample can be drawn.
 *
 * @param {BulkPreview} preview
 */
export function advice({ known, audit, to_certify: fromStart, not_drawn: why }) {
  if (known.certificate || why) return "";
  if (audit?.state === "failed") return "A certificate of this set is out of reach.";
  if (audit?.judged) return audit.needed === null ? "" : `${number(audit.needed)} more flawless cards to a certificate.`;
  const flawless = audit ? audit.needed : fromStart;
  const certificate = flawless === null ? "This set is too small for a certificate." : `A certificate takes ${number(flawless)} flawless cards.`;
  if (known.precision) return certificate;
  const enough = known.size > FIRST_ANSWER ? `${FIRST_ANSWER} verdicts on random cards answer` : `Verdicts on all ${number(known.size)} answer`;
  return `${enough} how right it is. ${certificate}`;
}

/** Draw into `box` the known precision of a preview's set. @param {HTMLElement} box @param {BulkPreview} preview */
export function drawPrecision(box, preview) {
  const { known, audit } = preview;
  const { certificate, precision, model } = known;
  box.className = `worth${certificate ? " certified" : precision ? "" : " unknown"}`;
  fill(box,
    certificate && h("p", {}, h("b", {}, capital(certificate.text))),
    precision ? h("p", {}, h("b", {}, `${percent(precision.share)} right`), groundsText(precision))
      : !certificate && h("p", {}, h("b", {}, "Precision unknown. "), capital(known.text.replace(/^Precision unknown:?\s*/, ""))),
    audit !== null && audit.judged > 0 && h("p", {}, `The sample: ${number(audit.right)} of ${number(audit.judged)} right${audit.state === "open" ? "" : `, ${audit.state}`}.`),
    h("p", {}, advice(preview)),
    model !== null && h("p", { class: "model" }, `Model's own estimate, unverified: ${percent(model)}`));
}

/** @param {Share} share */
function groundsText(share) {
  if (share.counted) return `, a count: all ${number(share.verdicts)} cards of ${share.of} are judged.`;
  return ` (${interval(share)}, ${Math.round(share.level * 100)} % sure), from ${number(share.verdicts)} random verdicts of ${share.of}.`;
}

/**
 * Return the quarters by confidence that follow an audit without a certificate, each with its evidence, or the offer to make them; null
 * where the set has none. `on` holds split(audit), accept(quarter) and open(quarter).
 *
 * @param {AuditState | null} audit
 * @param {QuarterActs} on
 */
export function quarterTable(audit, on) {
  if (!audit) return null;
  if (!audit.quarters) {
    const offered = (audit.state === "failed" || audit.state === "closed") && !audit.parent;
    return offered ? h("p", { class: "quarters lead" }, "A part of it may still be certified. ", h("button", { type: "button", class: "link", onclick: () => on.split(audit) }, "Check its quarters by confidence")) : null;
  }
  /** @param {AuditState} quarter */
  const lead = (quarter) => (quarter.certificate
    ? h("button", { type: "button", class: "link lead", title: quarter.certificate.text, onclick: () => on.accept(quarter) }, "✓ accept…")
    : h("button", { type: "button", class: "link", title: quarter.text, onclick: () => on.open(quarter) }, quarter.state === "open" ? "check…" : quarter.state));
  return h("div", { class: "quarters" }, h("p", {}, "Its quarters by confidence, in the same random order:"),
    h("table", { class: "ft" }, audit.quarters.map((quarter) => h("tr", {},
      h("td", {}, `${fraction(quarter.filter.min ?? 0)} to ${fraction(quarter.filter.max ?? 1)}`),
      h("td", {}, `${number(quarter.judged)} of ${number(quarter.size)} judged, ${number(quarter.wrong)} wrong`),
      h("td", {}, lead(quarter))))));
}

/**
 * Return the hints of a dataset's round, each with reason and advice; two classes that may be one link to their merge.
 *
 * @param {RoundInfo["hints"] | undefined} hints
 * @param {number} dataset
 */
export function hintList(hints, dataset) {
  if (!hints?.length) return null;
  return h("div", { class: "round-hints" }, h("h2", {}, hints.length > 1 ? "Hints, not verdicts" : "Hint, not a verdict"),
    h("ul", {}, hints.map(({ text, advice: what, classes }) => h("li", {}, text, " ", h("span", { class: "dim" }, what),
      classes && [" ", h("a", { class: "link", href: `classes?dataset=${dataset}&merge=${classes[0]}&into=${classes[1]}` }, "Merge them")]))));
}

/** @param {string} text */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
