// What is known of a set's precision, in words: nothing without a random sample, then an interval, then a certificate.

import { fill, h } from "./dom.js";
import { fraction, number, percent } from "./format.js";

const FIRST_ANSWER = 60; // random verdicts that answer how right a set is

/** Return "88 to 97 %": rounded outwards, so that the interval is never narrower than it is. */
export function interval({ low, high }) {
  return `${Math.floor(low * 100 + 1e-9)} to ${Math.ceil(high * 100 - 1e-9)} %`;
}

/** Return what a share rests on: "88 to 97 %, 60 random verdicts", or that all cards are judged. */
export function basis(share, verdicts = "random verdicts") {
  return share.counted ? `counted, all ${number(share.verdicts)} judged` : `${interval(share)}, ${number(share.verdicts)} ${verdicts}`;
}

/** Return what the bar has room for. */
export function shortly({ precision, certificate }) {
  if (certificate) return `✓ certified: ${certificate.text.split(" (")[0]}`;
  if (precision) return `${percent(precision.share)} right (${basis(precision, "random")})`;
  return "precision unknown";
}

/** Return what the button promises of accepting `count` cards. */
export function promise({ count, known }) {
  const { certificate, precision } = known;
  if (certificate) return `Accept the ${number(count)} open of ${number(certificate.size)}: ${certificate.text}`;
  if (precision) return `Accept ${number(count)} (${percent(precision.share)} right: ${basis(precision)})`;
  return `Accept ${number(count)} (precision unknown)`;
}

/** Return what the button that leads to the sample says. */
export function sampleButton(audit) {
  if (!audit) return "Check a random sample";
  if (audit.state === "open") return audit.judged ? `Go on with the random sample (${number(audit.judged)} judged)` : "Check a random sample";
  return "Look at the random sample";
}

/** Return what to do to know more, in a sentence or two; nothing where a certificate stands or no sample can be drawn. */
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

/** Draw into `box` what is known of the set a preview is of. */
export function drawPrecision(box, preview) {
  const { known, audit } = preview;
  const { certificate, precision, model } = known;
  box.className = `worth${certificate ? " certified" : precision ? "" : " unknown"}`;
  fill(box,
    certificate && h("p", {}, h("b", {}, capital(certificate.text))),
    precision ? h("p", {}, h("b", {}, `${percent(precision.share)} right`), grounds(precision))
      : !certificate && h("p", {}, h("b", {}, "Precision unknown. "), capital(known.text.replace(/^Precision unknown:?\s*/, ""))),
    audit?.judged > 0 && h("p", {}, `The sample: ${number(audit.right)} of ${number(audit.judged)} right${audit.state === "open" ? "" : `, ${audit.state}`}.`),
    h("p", {}, advice(preview)),
    model !== null && h("p", { class: "model" }, `Model's own estimate, unverified: ${percent(model)}`));
}

function grounds(share) {
  if (share.counted) return `, a count: all ${number(share.verdicts)} cards of ${share.of} are judged.`;
  return ` (${interval(share)}, ${Math.round(share.level * 100)} % sure), from ${number(share.verdicts)} random verdicts of ${share.of}.`;
}

/**
 * Return the quarters by confidence that follow an audit without a certificate, each with what is known of it, or the
 * offer to make them; null where the set has none. `on` holds split(audit), accept(quarter) and open(quarter).
 */
export function quarterTable(audit, on) {
  if (!audit) return null;
  if (!audit.quarters) {
    const offered = (audit.state === "failed" || audit.state === "closed") && !audit.parent;
    return offered ? h("p", { class: "quarters" }, "A part of it may still be certified. ", h("button", { type: "button", class: "link", onclick: () => on.split(audit) }, "Check its quarters by confidence")) : null;
  }
  const lead = (one) => (one.certificate
    ? h("button", { type: "button", class: "link", title: one.certificate.text, onclick: () => on.accept(one) }, "✓ accept…")
    : h("button", { type: "button", class: "link", title: one.text, onclick: () => on.open(one) }, one.state === "open" ? "check…" : one.state));
  return h("div", { class: "quarters" }, h("p", {}, "Its quarters by confidence, in the same random order:"),
    h("table", { class: "ft" }, audit.quarters.map((one) => h("tr", {},
      h("td", {}, `${fraction(one.filter.min)} to ${fraction(one.filter.max)}`),
      h("td", {}, `${number(one.judged)} of ${number(one.size)} judged, ${number(one.wrong)} wrong`),
      h("td", {}, lead(one))))));
}

/** Return the hints of a round: none is a verdict, each says why and what to do. */
export function hintList(hints) {
  if (!hints?.length) return null;
  return h("div", { class: "round-hints" }, h("h2", {}, hints.length > 1 ? "Hints, not verdicts" : "Hint, not a verdict"),
    h("ul", {}, hints.map(({ text, advice: what }) => h("li", {}, text, " ", h("span", { class: "dim" }, what)))));
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
