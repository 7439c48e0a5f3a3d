// The audits of a round in the sidebar, what their verdicts taught, and the sidebar an audit has in place of the filters.

import { setName } from "./audit.js";
import { fill, h } from "./dom.js";
import { number } from "./format.js";

const STATES = { open: "open", certified: "✓ certified", failed: "failed", closed: "closed" };

/** Return what the random verdicts of a round taught, as lines; none before there are any. */
export function lessons(recalibration) {
  const { verdicts = 0, agreeing_verdicts: agreeing = 0, errors, next_errors: next, next_cards: cards, warning } = recalibration ?? {};
  if (!verdicts && !agreeing) return [];
  return [
    warning,
    errors?.text,
    next && `Errors among the next ${number(cards)} cards: about ${number(next.estimate)} (90 % interval ${number(next.low)} to ${number(next.high)}).`,
    `From ${number(verdicts)} random verdicts on disagreements${agreeing ? ` and ${number(agreeing)} on agreements` : ""}.`,
  ].filter(Boolean);
}

/** Return the audits with `now` in the place of what was known of it, also where it is a quarter of another's set. */
export function withNow(audits, now) {
  return audits.map((one) => (one.id === now.id ? now : one.quarters ? { ...one, quarters: withNow(one.quarters, now) } : one));
}

export class AuditList {
  /** `on` holds audit(id) and agreeing(), which opens a sample of what the round agrees with. */
  constructor({ classes, on }) {
    Object.assign(this, { classes, on });
    this.element = h("div", { class: "audits" });
  }

  /** List the audits of the round; `current` is the one that is open on this page. */
  draw({ audits = [], recalibration = null }, current = null) {
    const state = JSON.stringify([audits, recalibration, current]);
    if (state === this.drawn) return; // drawing anew would take the keyboard's focus away
    this.drawn = state;
    const agreeing = audits.some((audit) => audit.kind === "agreeing");
    const known = lessons(recalibration);
    fill(this.element,
      audits.length > 0 && h("h2", {}, "Random samples"),
      audits.flatMap((audit) => [audit, ...(audit.quarters ?? [])]).map((audit) => this.#row(audit, audit.id === current)),
      known.length > 0 && h("p", { class: "dim" }, known.join(" ")),
      audits.length > 0 && !agreeing && h("button", { type: "button", class: "link", title: "How many labels that the round agrees with are wrong", onclick: () => this.on.agreeing() }, "Check what the round agrees with"));
  }

  #row(audit, current) {
    const name = setName(audit, this.classes);
    const wrong = audit.wrong > 0 ? `, ${number(audit.wrong)} wrong` : "";
    return h("button", { type: "button", class: `audit ${audit.state}${audit.parent ? " quarter" : ""}`, "aria-current": String(current), title: `${name}: ${audit.text}`, onclick: () => current || this.on.audit(audit.id) },
      h("span", { class: "name" }, name), h("em", {}, STATES[audit.state] ?? audit.state), h("small", {}, `${number(audit.judged)} of ${number(audit.size)} judged${wrong}`));
  }
}

/** The sidebar of an audit: no filters, since its set is fixed. */
export class AuditSidebar {
  constructor({ heading, classes, blind, oneClass, current, on }) {
    this.current = current;
    this.list = new AuditList({ classes, on });
    this.element = h("aside", { class: "left", "aria-label": "Random samples" }, heading, this.list.element, h("h2", {}, "How it works"), h("ul", { class: "rules" }, rules({ blind, oneClass })));
  }

  inform(info) {
    this.list.draw(info, this.current);
  }

  /** Nothing here depends on who judges. */
  person() {}
}

function rules({ blind, oneClass }) {
  return [
    oneClass ? "Say whether the class shown is right; another class, ambiguous and exclude count as not right." : blind
      ? "Say which class is right. The given and the suggested class are not marked."
      : "Say which class is right. Knowing which class is given can bias your verdict: switch on “blind” to hide it.",
    "Neither, ambiguous and exclude count as not right.",
    "The cards come in the set's one random order. A card that is skipped, assigned to another annotator or waiting for a second opinion stops the count: verdicts on later cards count as soon as it is judged.",
    "Verdicts in a sample are ordinary verdicts: they stay, also when the sample is closed.",
  ].map((text) => h("li", {}, text));
}
