// Parts of the page that an audit has in place of the queue's: progress, bar with certificate and gap, sidebar.

import { errorText } from "../shared/api.js";
import { fill, h, openDialog } from "../shared/dom.js";
import { number, percent } from "../shared/format.js";
import { gapOf, setName } from "./audit.js";
import { Topline } from "./masthead.js";
import { basisText, quarterTable } from "./precision.js";
/** @import { AuditState, Classes, Recalibration, Root, RoundInfo } from "../shared/types.d.ts" */
/** @import { AuditPerson } from "./audit.js" */
/** @import { QuarterActs } from "./precision.js" */

/** @typedef {{ audit: (id: number) => void, agreeing: () => void }} SampleActs `agreeing` opens a sample of the agreeing findings. */

/**
 * Acts on the audit of a page.
 *
 * @typedef {object} AuditActs
 * @property {() => void} leave
 * @property {(on: boolean) => void} blind
 * @property {(finding: number) => void} go
 * @property {(closed: boolean) => Promise<void>} close
 */

/** @typedef {{ root: Root, classes: Classes, blind: boolean, on: AuditActs & QuarterActs }} AuditBarOptions */
/** @typedef {{ heading: HTMLElement, classes: Classes, blind: boolean, oneClass: boolean, current: number, on: SampleActs }} AuditSidebarOptions */

const STATES = { open: "open", certified: "✓ certified", failed: "failed", closed: "closed" };

/** The line above, with the audit's numbers in place of the queue's. */
export class AuditTopline extends Topline {
  /** @param {AuditState} audit */
  audit({ judged, right, wrong, beyond, size, state, needed: flawless }) {
    const needed = state === "open" ? flawless : null;
    const goal = Math.max(1, needed === null ? size : judged + needed);
    fill(this.title, h("b", {}, number(judged)), ` of ${number(size)} judged`, h("span", { class: "left-over" }, needed ? ` · ${number(needed)} more flawless to a certificate` : ""));
    const mix = [`right ${number(right)}`, `wrong ${number(wrong)}`, beyond > 0 && `${number(beyond)} further on do not count yet`].filter(Boolean).join(" · ");
    this.bar.setAttribute("aria-label", mix);
    fill(this.bar, Object.entries({ ok: right, exc: wrong }).map(([look, count]) => count > 0 && h("i", { class: look, style: { width: `${(100 * count) / goal}%` } })));
    this.mix.textContent = mix;
    this.mix.title = mix;
  }
}

export class AuditBar {
  /** @type {AuditState} */ audit;

  /** @param {AuditBarOptions} options */
  constructor({ root, classes, blind, on }) {
    this.root = root;
    this.classes = classes;
    this.on = on;
    /** @type {number | null} Finding that ends the evidence. */
    this.waits = null;
    this.drawn = ""; // result that is drawn
    this.set = h("b", { class: "set" });
    this.standing = h("span", { class: "standing" });
    this.gap = h("button", { type: "button", class: "link gap", hidden: true, onclick: () => this.waits !== null && on.go(this.waits) });
    this.estimate = h("span", { class: "q estimate" });
    this.result = h("div", { class: "result", hidden: true });
    this.quarters = h("div", { hidden: true });
    /** @type {HTMLInputElement} */
    this.switch = h("input", { type: "checkbox", checked: blind, onchange: () => on.blind(this.switch.checked) });
    this.close = h("button", { type: "button", class: "ghost lead", onclick: () => (this.audit.closed ? on.close(false) : this.#confirm()) });
    this.element = h("div", { class: "all audit-bar", role: "region", "aria-label": "Audit" },
      h("div", { class: "row" },
        h("button", { type: "button", class: "ghost leave", onclick: () => on.leave() }, "← Back to the queue"), this.set,
        h("label", { class: "check", title: "Hides which class is given and which is suggested" }, this.switch, " blind"), this.close),
      h("div", { class: "row" }, this.standing, this.gap, this.estimate), this.result, this.quarters);
  }

  /** Draw the audit's progress; `person` holds the annotator's name and skips. @param {AuditState} audit @param {AuditPerson} person */
  draw(audit, person) {
    this.audit = audit;
    this.set.textContent = `Random sample of ${number(audit.size)}: ${setName(audit, this.classes)}`;
    this.set.title = this.set.textContent;
    this.standing.textContent = audit.certificate ? `${number(audit.right)} of ${number(audit.judged)} right` : audit.text; // the certificate follows below
    const gap = gapOf(audit, person);
    this.waits = gap?.finding ?? null;
    this.gap.hidden = !gap;
    this.gap.textContent = gap?.text ?? "";
    const { estimate } = audit;
    this.estimate.textContent = estimate ? `${estimate.counted ? "" : "Estimate: "}${percent(estimate.share)} right (${basisText(estimate, "verdicts")})` : "";
    this.close.textContent = audit.closed ? "Open it again" : "Close the sample…";
    this.#drawResult(audit);
  }

  /** @param {AuditState} audit */
  #drawResult(audit) {
    const { certificate } = audit;
    const result = JSON.stringify([certificate, audit.state, audit.quarters]);
    if (result === this.drawn) return; // redrawing would lose the keyboard focus
    this.drawn = result;
    const quarters = quarterTable(audit, this.on);
    this.quarters.hidden = !quarters;
    fill(this.quarters, quarters);
    this.result.hidden = !certificate;
    if (certificate) fill(this.result, h("span", {}, h("b", {}, "✓ Certified: "), certificate.text),
      certificate.open > 0 && h("button", { type: "button", class: "primary lead", onclick: () => this.on.accept(audit) }, `Accept the ${number(certificate.open)} open…`));
  }

  #confirm() {
    const problem = h("p", { class: "problem", role: "alert" });
    const button = h("button", { type: "button", class: "primary", onclick: run }, "Close the sample");
    const dialog = openDialog(this.root, { label: "Close the sample", className: "close-audit" },
      h("h1", {}, "Close the sample?"),
      h("p", { class: "sub" }, "No more cards are handed out. Cards before the last judged one that have no verdict (skipped, assigned to another annotator, or waiting for a second opinion) count as wrong until they have one. It can be opened again."),
      problem,
      h("div", { class: "btns" }, h("span", {}), h("button", { type: "button", class: "ghost", onclick: () => dialog.close() }, "Cancel"), button));
    button.focus();
    const { on } = this;

    async function run() {
      button.disabled = true;
      try {
        await on.close(true);
        dialog.close();
      } catch (error) {
        button.disabled = false;
        problem.textContent = errorText(error);
      }
    }
  }
}

/**
 * Return the results of a round's random verdicts, as lines; none before there are any.
 *
 * @param {Recalibration | null | undefined} recalibration
 * @returns {string[]}
 */
export function recalibrationLines(recalibration) {
  const { verdicts = 0, agreeing_verdicts: agreeing = 0, errors, next_errors: next, next_cards: cards = 0, warning } = recalibration ?? {};
  if (!verdicts && !agreeing) return [];
  return [
    warning,
    errors?.text,
    next && `Errors among the next ${number(cards)} cards: about ${number(next.estimate)} (90 % interval ${number(next.low)} to ${number(next.high)}).`,
    `From ${number(verdicts)} random verdicts on disagreements${agreeing ? ` and ${number(agreeing)} on agreements` : ""}.`,
  ].flatMap((line) => line || []);
}

/** Return the audits with `now` in place of the older state of its id, also among quarters. @param {AuditState[]} audits @param {AuditState} now @returns {AuditState[]} */
export function replaceAudit(audits, now) {
  return audits.map((audit) => {
    if (audit.id === now.id) return now;
    return audit.quarters ? { ...audit, quarters: replaceAudit(audit.quarters, now) } : audit;
  });
}

export class AuditList {
  /** @param {{ classes: Classes, on: SampleActs }} options */
  constructor({ classes, on }) {
    this.classes = classes;
    this.on = on;
    /** @type {string | null} State that is drawn. */
    this.drawn = null;
    this.element = h("div", { class: "audits" });
  }

  /** Classes were renamed: the next drawing updates the names of the sets. */
  renew() {
    this.drawn = null;
  }

  /**
   * List the audits of the round; `current` is the one that is open on this page.
   *
   * @param {Pick<RoundInfo, "audits" | "recalibration">} info
   * @param {number | null} [current]
   */
  draw({ audits = [], recalibration = null }, current = null) {
    const state = JSON.stringify([audits, recalibration, current]);
    if (state === this.drawn) return; // redrawing would lose the keyboard focus
    this.drawn = state;
    const agreeing = audits.some((audit) => audit.kind === "agreeing");
    const known = recalibrationLines(recalibration);
    fill(this.element,
      audits.length > 0 && h("h2", {}, "Random samples"),
      audits.flatMap((audit) => [audit, ...(audit.quarters ?? [])]).map((audit) => this.#row(audit, audit.id === current)),
      known.length > 0 && h("p", { class: "dim" }, known.join(" ")),
      audits.length > 0 && !agreeing && h("button", { type: "button", class: "link lead", title: "Estimates how many labels that the round agrees with are wrong", onclick: () => this.on.agreeing() }, "Check what the round agrees with"));
  }

  /** @param {AuditState} audit @param {boolean} current */
  #row(audit, current) {
    const name = setName(audit, this.classes);
    const wrong = audit.wrong > 0 ? `, ${number(audit.wrong)} wrong` : "";
    return h("button", { type: "button", class: `audit ${audit.state}${audit.parent ? " quarter" : ""}`, "aria-current": String(current), title: `${name}: ${audit.text}`, onclick: () => current || this.on.audit(audit.id) },
      h("span", { class: "name" }, name), h("em", {}, STATES[audit.state] ?? audit.state), h("small", {}, `${number(audit.judged)} of ${number(audit.size)} judged${wrong}`));
  }
}

/** The sidebar of an audit: no filters, since its set is fixed. */
export class AuditSidebar {
  /** @param {AuditSidebarOptions} options */
  constructor({ heading, classes, blind, oneClass, current, on }) {
    this.current = current;
    this.regions = null; // no filters
    this.list = new AuditList({ classes, on });
    this.element = h("aside", { class: "left", "aria-label": "Random samples" }, heading, this.list.element, h("h2", {}, "How it works"), h("ul", { class: "rules" }, rules({ blind, oneClass })));
  }

  /** @param {RoundInfo} info */
  inform(info) {
    this.list.draw(info, this.current);
  }

  renew() {
    this.list.renew();
  }

  /** Nothing here depends on the annotator. */
  person() {}
}

/** @param {{ blind: boolean, oneClass: boolean }} audit */
function rules({ blind, oneClass }) {
  return [
    oneClass ? "Say whether the class shown is right; another class, ambiguous and exclude count as not right." : blind
      ? "Say which class is right. The given and the suggested class are not marked."
      : "Say which class is right. Knowing which class is given can bias your verdict: switch on “blind” to hide it.",
    "Neither, ambiguous and exclude count as not right.",
    "The cards are in the set's fixed random order. A card that is skipped, assigned to another annotator or waiting for a second opinion stops the count: verdicts on later cards count as soon as it is judged.",
    "Verdicts in a sample are ordinary verdicts: they stay, even when the sample is closed.",
  ].map((text) => h("li", {}, text));
}
