// An audit: a random sample of a fixed set, its cards in the set's one random order, without confidence, blind by choice.

import { BLIND, OPEN } from "./face.js";
import { DEFAULT, describe, parse } from "./filters.js";
import { fraction, number } from "./format.js";

const STORE = "outfold.audit.blind";
const DIGITS = 20; // places that number keys reach
const MOST = 48; // cards leased at once: the more one holds, the longer another waits for them
const RENEW_MS = 5 * 60_000; // a lease is a quarter of an hour

/** Return the audit an address asks for, null where it asks for none. */
export function auditIn(query) {
  const text = new URLSearchParams(query).get("audit");
  return /^[1-9]\d{0,9}$/.test(text ?? "") ? Number(text) : null;
}

/** Return the address with an audit in it, or with none. */
export function addressWith(audit, { pathname, search }) {
  const query = new URLSearchParams(search);
  if (audit === null) query.delete("audit");
  else query.set("audit", String(audit));
  return `${pathname}?${query}`;
}

/** Return the filter of an audit's set as the page writes filters, its threshold apart. */
export function setOfAudit({ filter, threshold = null }) {
  const named = Object.entries(filter).filter(([name, value]) => name in DEFAULT && value !== null && value !== undefined);
  const read = { ...parse(new URLSearchParams(named.map(([name, value]) => [name, String(value)]))), status: DEFAULT.status, order: DEFAULT.order };
  return threshold === null ? { filter: read, threshold: read.min } : { filter: { ...read, min: read.min <= threshold ? 0 : read.min }, threshold };
}

/** Return an audit's set in words: "suspicious, cat → dog, above 0.95", of a quarter "suspicious, 0.50 to 0.62". */
export function setName(audit, classes) {
  const { filter, threshold } = setOfAudit(audit);
  const least = filter.max < 1 ? `${fraction(threshold)} to ${fraction(filter.max)}` : threshold > 0 && `above ${fraction(threshold)}`;
  return [describe({ ...filter, max: 1 }, classes), audit.by_class ? "above each class's own threshold" : least].filter(Boolean).join(", ");
}

/** Return what ends the evidence in words, with the finding to go to; null where nothing behind it waits to count. */
export function gapOf({ gap, beyond }, { isSkipped, name }) {
  if (!gap || !beyond) return null;
  const why = isSkipped(gap.finding) ? "skipped"
    : gap.why === "second_opinion" ? "second opinion"
    : gap.why === "leased" && gap.by && gap.by !== name ? `with ${gap.by}`
    : "no verdict yet";
  return { finding: gap.finding, text: `card ${number(gap.place + 1)} waits: ${why}` };
}

export class Audit {
  /** `now` is the audit as the server told it last; `client` names this page, whose leases hold. */
  constructor({ now, api, client, classes, storage, clock = () => Date.now() }) {
    Object.assign(this, { now, api, client, classes, storage, clock, leasedAt: clock() });
    this.blind = storage.getItem(STORE) !== "false";
    this.face = this.blind ? BLIND : OPEN;
  }

  get id() {
    return this.now.id;
  }

  /** What every act in it carries. */
  get marks() {
    return { audit: this.id, blind: this.blind };
  }

  /** Whether a card asks for one class ("is it cat?"), not for one of two. */
  get oneClass() {
    return this.now.kind !== "suspicious";
  }

  /** Whether a card that stands like this asks for a person's verdict: what was accepted in bulk has none. */
  waits(status) {
    return ["open", "second_opinion", "bulk", "painted"].includes(status);
  }

  /** Remember whether it is told which class is given and which suggested. */
  choose(blind) {
    this.storage.setItem(STORE, String(blind));
  }

  /** Return a card as an audit shows it: the classes in question first, by id, then the others; no confidence, no likelihood. */
  veil(item) {
    const choices = this.oneClass ? [item.pseudo] : [...new Set([item.given, item.pseudo])].filter((id) => id >= 0).sort((a, b) => a - b);
    const order = [...choices];
    for (let id = 0; id < this.classes.length && order.length < DIGITS; id += 1) if (!choices.includes(id)) order.push(id);
    return { ...item, choices, confidence: null, self_confidence: null, contradicting: null, rank: null, likely: order.map((id) => [id, null]) };
  }

  /** Resolve to the next cards, leased for this person. */
  async cards(after, limit) {
    if (this.now.closed) return { items: [], next: null };
    const { items, next, audit } = await this.api.auditCards(this.id, { client: this.client, after: after ?? -1, limit: Math.min(limit, MOST) });
    this.now = audit;
    this.leasedAt = this.clock();
    return { items, next };
  }

  /** Keep what is held for another quarter of an hour, when it is time; resolves to cards that have become free meanwhile. */
  async renew(held) {
    if (!held || this.clock() - this.leasedAt < RENEW_MS) return [];
    return (await this.cards(null, held)).items;
  }

  /** Return how many cards a page has where so many columns and rows fit. */
  pageSize({ columns, size }) {
    return Math.min(size, Math.max(1, Math.floor(MOST / columns)) * columns);
  }
}

/** Return the actions of the review page as an audit has them. */
export function auditActions(review, actions) {
  const { audit, cursor, judging, toast } = review;
  const explain = (text) => () => toast.say(text);
  const byNumber = explain("This sample is blind: the number keys say which class is right. Without “blind” above, a and k work.");
  const right = () => judging.verdict(cursor.targets(), "accept") && cursor.moveOn();
  const named = audit.blind && !audit.oneClass;
  return {
    ...actions,
    accept: named ? byNumber : right,
    keep: audit.oneClass ? right : named ? byNumber : actions.keep,
    accept_many: () => {
      if (!cursor.selection.size) toast.say("In a sample every card is looked at: select cards by hand, or judge them one by one.");
      else if (named) byNumber();
      else right();
    },
    edit: explain("Masks are edited outside of a sample: say which class is right, ambiguous or exclude."),
    ...(audit.blind ? { view: explain("This sample is blind: the masks would tell which class is given and which suggested.") } : {}),
  };
}
