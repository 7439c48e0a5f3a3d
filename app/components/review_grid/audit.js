// An audit: a random sample of a fixed set, its cards in the set's one random order, without confidence, blind by choice.

import { offeredOf } from "../shared/classes.js";
import { fraction, number } from "../shared/format.js";
import { BLIND, OPEN } from "./card.js";
import { DEFAULT, describe, parse } from "./filters.js";
/** @import { AuditState, Classes, Finding, Status } from "../shared/types.d.ts" */
/** @import { Api } from "../shared/api.js" */
/** @import { PageEnd } from "../shared/search.js" */
/** @import { Review } from "./review.js" */

/** @typedef {{ isSkipped: (id: number) => boolean, name: string | null }} AuditPerson Annotator and skipped cards. */

const STORE = "outfold.audit.blind";
const DIGITS = 20; // places that number keys reach
const MOST = 48; // cards leased at once: the more one holds, the longer another waits for them
const RENEW_MS = 5 * 60_000; // a lease is a quarter of an hour

/** Return the audit an address asks for, null if it asks for none. @param {string} query */
export function auditIn(query) {
  const text = new URLSearchParams(query).get("audit");
  return /^[1-9]\d{0,9}$/.test(text ?? "") ? Number(text) : null;
}

/** Return the address with an audit in it, or with none. @param {number | null} audit @param {Pick<Location, "pathname" | "search">} location */
export function addressWith(audit, { pathname, search }) {
  const query = new URLSearchParams(search);
  if (audit === null) query.delete("audit");
  else query.set("audit", String(audit));
  return `${pathname}?${query}`;
}

/** Return the filter of an audit's set as the page writes filters, its threshold apart. @param {Pick<AuditState, "filter" | "threshold">} audit */
export function setOfAudit({ filter, threshold = null }) {
  const parts = Object.entries(filter).filter(([name, value]) => name in DEFAULT && value !== null && value !== undefined);
  const read = { ...parse(new URLSearchParams(parts.map(([name, value]) => [name, String(value)]))), status: DEFAULT.status, order: DEFAULT.order };
  return threshold === null ? { filter: read, threshold: read.min } : { filter: { ...read, min: read.min <= threshold ? 0 : read.min }, threshold };
}

/**
 * Return an audit's set in words: "suspicious, cat → dog, above 0.95", of a quarter "suspicious, 0.50 to 0.62".
 *
 * @param {Pick<AuditState, "filter" | "threshold" | "by_class">} audit
 * @param {Classes} classes
 */
export function setName(audit, classes) {
  const { filter, threshold } = setOfAudit(audit);
  const least = filter.max < 1 ? `${fraction(threshold)} to ${fraction(filter.max)}` : threshold > 0 && `above ${fraction(threshold)}`;
  return [describe({ ...filter, max: 1 }, classes), audit.by_class ? "above each class's own threshold" : least].filter(Boolean).join(", ");
}

/**
 * Return the card that ends the evidence, in words and by its finding; null if no later card waits to count.
 *
 * @param {Pick<AuditState, "gap" | "beyond">} audit
 * @param {AuditPerson} person
 */
export function gapOf({ gap, beyond }, { isSkipped, name }) {
  if (!gap || !beyond) return null;
  const why = isSkipped(gap.finding) ? "skipped"
    : gap.why === "second_opinion" ? "second opinion"
    : gap.why === "leased" && gap.by && gap.by !== name ? `with ${gap.by}`
    : "no verdict yet";
  return { finding: gap.finding, text: `card ${number(gap.place + 1)} waits: ${why}` };
}

export class Audit {
  /** @param {{ now: AuditState, api: Api, client: string, classes: Classes, storage: Storage, clock?: () => number }} options `client` holds the leases of this page. */
  constructor({ now, api, client, classes, storage, clock = () => Date.now() }) {
    this.now = now;
    this.api = api;
    this.client = client;
    this.classes = classes;
    this.storage = storage;
    this.clock = clock;
    this.leasedAt = clock();
    this.blind = storage.getItem(STORE) !== "false";
    this.face = this.blind ? BLIND : OPEN;
  }

  get id() {
    return this.now.id;
  }

  /** Fields of every act in this audit. */
  get marks() {
    return { audit: this.id, blind: this.blind };
  }

  /** Return whether a card asks about one class ("is it cat?") rather than two. */
  get oneClass() {
    return this.now.kind !== "suspicious";
  }

  /** Return whether a card of this status asks for a person's verdict; one accepted in bulk does. @param {Status} status */
  waits(status) {
    return ["open", "second_opinion", "bulk", "painted"].includes(status);
  }

  /** Remember whether the audit hides given and suggested class. @param {boolean} blind */
  choose(blind) {
    this.storage.setItem(STORE, String(blind));
  }

  /**
   * Return a card as an audit shows it: the classes in question first, by id, then the others; no confidence, no likelihood.
   *
   * @param {Finding} item
   * @returns {Finding}
   */
  veil(item) {
    const choices = this.oneClass ? [item.pseudo] : [...new Set([item.given, item.pseudo])].filter((id) => id >= 0).sort((a, b) => a - b);
    const order = [...choices];
    for (const id of offeredOf(this.classes)) if (order.length < DIGITS && !choices.includes(id)) order.push(id);
    return { ...item, choices, confidence: null, self_confidence: null, contradicting: null, rank: null, likely: order.map((id) => [id, null]) };
  }

  /** Resolve to the next cards, leased for this person. @param {PageEnd} after @param {number} limit */
  async cards(after, limit) {
    if (this.now.closed) return { items: [], next: null };
    const { items, next, audit } = await this.api.auditCards(this.id, { client: this.client, after: after ?? -1, limit: Math.min(limit, MOST) });
    this.now = audit;
    this.leasedAt = this.clock();
    return { items, next };
  }

  /** Renew the leases of this many cards when due; resolves to cards that have become free. @param {number} held */
  async renew(held) {
    if (!held || this.clock() - this.leasedAt < RENEW_MS) return [];
    return (await this.cards(null, held)).items;
  }

  /** Return the number of cards of a page with these columns and rows. @param {{ columns: number, size: number }} measured */
  pageSize({ columns, size }) {
    return Math.min(size, Math.max(1, Math.floor(MOST / columns)) * columns);
  }
}

/** Return the actions of the review page as an audit has them. @param {Review} review @param {Review["actions"]} actions @returns {Review["actions"]} */
export function auditActions(review, actions) {
  const { cursor, judging, toast } = review;
  const audit = /** @type {Audit} */ (review.audit);
  /** @param {string} text */
  const explain = (text) => () => toast.say(text);
  const byNumber = explain("This sample is blind: the number keys say which class is right. Without “blind” above, a and k work.");
  const right = () => judging.verdict(cursor.targets(), "accept") && cursor.moveOn();
  const hidden = audit.blind && !audit.oneClass; // which class is given and which suggested
  return {
    ...actions,
    accept: hidden ? byNumber : right,
    keep: audit.oneClass ? right : hidden ? byNumber : actions.keep,
    accept_many: () => {
      if (!cursor.selection.size) toast.say("In a sample every card must be looked at: select cards by hand, or judge them one by one.");
      else if (hidden) byNumber();
      else right();
    },
    find: explain("A sample shows its own cards in their random order. Find images on the review page."),
    edit: explain("Masks are edited outside of a sample: say which class is right, ambiguous or exclude."),
    ...(audit.blind ? { view: explain("This sample is blind: the masks would show which class is given and which suggested.") } : {}),
  };
}
