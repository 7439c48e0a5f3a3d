// Above the cards of an audit: how far it is, what stops it, what is known, and what to do next.

import { told } from "./api.js";
import { gapOf, setName } from "./audit.js";
import { fill, h, openDialog } from "./dom.js";
import { number, percent } from "./format.js";
import { basis, quarterTable } from "./precision.js";
import { Topline } from "./topline.js";

/** The line above, with the audit's numbers in place of the queue's. */
export class AuditTopline extends Topline {
  counts({ judged, right, wrong, beyond, size, state, needed: flawless }) {
    const needed = state === "open" ? flawless : null;
    const goal = Math.max(1, needed === null ? size : judged + needed);
    fill(this.title, h("b", {}, number(judged)), ` of ${number(size)} judged`, h("span", { class: "left-over" }, needed ? ` · ${number(needed)} more flawless to a certificate` : ""));
    const mix = [`right ${number(right)}`, `wrong ${number(wrong)}`, beyond > 0 && `${number(beyond)} further on do not count yet`].filter(Boolean).join(" · ");
    this.bar.setAttribute("aria-label", mix);
    fill(this.bar, [["ok", right], ["exc", wrong]].map(([look, count]) => count > 0 && h("i", { class: look, style: { width: `${(100 * count) / goal}%` } })));
    this.mix.textContent = mix;
    this.mix.title = mix;
  }
}

export class AuditBar {
  /** `on` holds leave(), blind(on), go(finding), accept(audit), split(audit), open(audit) and close(closed), which is a promise. */
  constructor({ root, classes, blind, on }) {
    Object.assign(this, { root, classes, on });
    this.set = h("b", { class: "set" });
    this.standing = h("span", { class: "standing" });
    this.gap = h("button", { type: "button", class: "link gap", hidden: true, onclick: () => on.go(this.waits) });
    this.estimate = h("span", { class: "q estimate" });
    this.result = h("div", { class: "result", hidden: true });
    this.quarters = h("div", { hidden: true });
    this.switch = h("input", { type: "checkbox", checked: blind, onchange: () => on.blind(this.switch.checked) });
    this.close = h("button", { type: "button", class: "ghost", onclick: () => (this.audit.closed ? on.close(false) : this.#confirm()) });
    this.element = h("div", { class: "all audit-bar", role: "region", "aria-label": "Audit" },
      h("div", { class: "row" },
        h("button", { type: "button", class: "ghost leave", onclick: () => on.leave() }, "← Back to the queue"), this.set,
        h("label", { class: "check", title: "Hides which class is given and which is suggested" }, this.switch, " blind"), this.close),
      h("div", { class: "row" }, this.standing, this.gap, this.estimate), this.result, this.quarters);
  }

  /** Draw where the audit stands; `person` is whose skips and leases these are. */
  draw(audit, person) {
    this.audit = audit;
    this.set.textContent = `Random sample of ${number(audit.size)}: ${setName(audit, this.classes)}`;
    this.set.title = this.set.textContent;
    this.standing.textContent = audit.certificate ? `${number(audit.right)} of ${number(audit.judged)} right` : audit.text; // the certificate follows below
    const gap = gapOf(audit, person);
    this.waits = gap?.finding;
    this.gap.hidden = !gap;
    this.gap.textContent = gap?.text ?? "";
    const { estimate } = audit;
    this.estimate.textContent = estimate ? `${estimate.counted ? "" : "Estimate: "}${percent(estimate.share)} right (${basis(estimate, "verdicts")})` : "";
    this.close.textContent = audit.closed ? "Open it again" : "Close the audit…";
    this.#drawResult(audit);
  }

  #drawResult(audit) {
    const { certificate } = audit;
    const result = JSON.stringify([certificate, audit.state, audit.quarters]);
    if (result === this.drawn) return; // drawing anew would take the keyboard's focus away
    this.drawn = result;
    const quarters = quarterTable(audit, this.on);
    this.quarters.hidden = !quarters;
    fill(this.quarters, quarters);
    this.result.hidden = !certificate;
    if (certificate) fill(this.result, h("span", {}, h("b", {}, "✓ Certified: "), certificate.text),
      certificate.open > 0 && h("button", { type: "button", class: "primary", onclick: () => this.on.accept(audit) }, `Accept the ${number(certificate.open)} open…`));
  }

  #confirm() {
    const problem = h("p", { class: "problem", role: "alert" });
    const button = h("button", { type: "button", class: "primary", onclick: run }, "Close the audit");
    const dialog = openDialog(this.root, { label: "Close the audit", className: "close-audit" },
      h("h1", {}, "Close the audit?"),
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
        problem.textContent = told(error);
      }
    }
  }
}
