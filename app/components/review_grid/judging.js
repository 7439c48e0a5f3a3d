// Verdicts, skips, notes, undo and redo: shown at once, stored by the outbox.

import { errorText } from "../shared/api.js";
import { TO_DATASETS } from "../shared/dom.js";
import { heldText, namesText } from "../shared/format.js";
import { ActLog, canTake, decisionFor, stateAfter, refusal, reverseChanges, sameState, stateOf } from "./verdicts.js";
/** @import { Act, ActResult, Change, ClassActResult, ClassId, Decision, Failure, Finding, LoggedAct, OutboxEntry, Verdict } from "../shared/types.d.ts" */
/** @import { Review } from "./review.js" */

const RECENT = 10;

/**
 * Fields of the page that verdicts use and change.
 *
 * @typedef {Pick<Review, "roundId" | "name" | "classes" | "audit" | "labelling" | "looksBack" | "waits" | "face" | "queue" | "skips" | "byId" | "outbox">
 *   & Pick<Review, "cursor" | "inspector" | "tally" | "bulk" | "toast" | "live" | "paint" | "refresh" | "reload" | "takeClasses">} JudgedPage
 */

export class Judging {
  /** @param {JudgedPage} review */
  constructor(review) {
    this.review = review;
    this.log = new ActLog();
    /** @type {Set<number>} */
    this.touched = new Set(); // ids judged or skipped since the queue began
    /** @type {Map<number, string>} */
    this.notes = new Map(); // finding -> unsaved text
    /** @type {Map<number | undefined, LoggedAct | null>} */
    this.sent = new Map(); // seq of an undo or redo -> the act it was believed to take back
  }

  recent() {
    return this.log.recent(RECENT);
  }

  /** Return whether a card still waits for a verdict in this pass through the queue. @param {Finding} item */
  pending(item) {
    return !this.touched.has(item.id) && (this.review.looksBack || this.review.waits(item.status));
  }

  /**
   * Give every item its decision as one act, with the `marks` of the audit it belongs to; returns false when there was nothing to do.
   *
   * @param {Finding[]} items
   * @param {(item: Finding) => Decision} decisionOf
   * @param {Pick<Act, "audit" | "blind">} [marks]
   */
  decide(items, decisionOf, marks = this.review.audit?.marks) {
    const { review } = this;
    if (!items.length) return false;
    const decisions = items.map(decisionOf);
    const effects = items.map((item, index) => ({ item, before: stateOf(item), after: stateAfter(item, decisions[index], review.name) }));
    const changes = effects.filter(({ before, after }) => !sameState(before, after)); // undo skips unchanged items
    review.outbox.add({ round: review.roundId, op: "decide", decisions, ...marks });
    if (changes.length) this.log.push({ changes });
    this.#apply(effects);
    review.live.textContent = this.#summary(effects); // for screen readers
    review.toast.pass();
    if (changes.length > 1) this.#offer(this.#summary(changes), "Undo", () => this.undo());
    for (const item of items) review.skips.remove(item.id);
    return true;
  }

  /** Store one verdict for each item that can take it. @param {Finding[]} items @param {Verdict} verdict */
  verdict(items, verdict) {
    const chosen = items.filter((item) => canTake(item, verdict));
    if (!chosen.length && items.length) this.review.toast.say(refusal(verdict));
    return this.decide(chosen, (item) => ({ finding: item.id, verdict }));
  }

  /** Give items this label. @param {Finding[]} items @param {ClassId} label */
  relabel(items, label) {
    return this.decide(items, (item) => decisionFor(item, label));
  }

  /** Write a note on a card; an empty text removes the present one. @param {Finding} item @param {string} text */
  note(item, text) {
    const { review } = this;
    this.notes.set(item.id, text);
    review.outbox.add({ round: review.roundId, op: "note", finding: item.id, text });
    this.log.push({ changes: [], noted: { item, before: item.note ?? "", after: text } });
    this.#showNote(item, text);
    review.toast.say(text ? "Note written." : "Note removed.", { label: "Undo", run: () => this.undo() }, { passing: true });
  }

  /** @param {Finding[]} items */
  skip(items) {
    for (const item of items) {
      item.skipped = true;
      this.touched.add(item.id);
      this.review.skips.add(item.id);
      this.review.queue.putOff(item);
    }
    this.review.paint(new Set(items.map((item) => item.id)));
    return items.length > 0;
  }

  /** Let skipped cards wait for a verdict again when their turn has come. @param {Finding[]} items */
  wake(items) {
    for (const item of items) {
      item.skipped = false;
      this.touched.delete(item.id);
    }
  }

  /** Log a bulk act for undo. @param {number} changeset */
  pushBulk(changeset) {
    this.log.push({ changes: [], changeset });
  }

  /** Take back the newest act; with `changeset` that one, whatever came after it. @param {number | null} [changeset] */
  undo(changeset = null) {
    const act = changeset === null || this.log.done.at(-1)?.changeset === changeset ? this.log.undo() : this.log.drop(changeset);
    const seq = this.review.outbox.add({ round: this.review.roundId, op: "undo", ...(changeset === null ? {} : { changeset }) });
    this.sent.set(seq, act);
    if (act?.noted) this.#showNote(act.noted.item, act.noted.before);
    if (act?.changes.length) {
      this.#apply(reverseChanges(act.changes));
      this.#reveal(act.changes);
      this.#offer(`Undone: ${this.#summary(act.changes)}`, "Redo", () => this.redo());
    }
  }

  redo() {
    const act = this.log.redo();
    const seq = this.review.outbox.add({ round: this.review.roundId, op: "redo" });
    this.sent.set(seq, act);
    if (act?.noted) this.#showNote(act.noted.item, act.noted.after);
    if (act?.changes.length) {
      this.#apply(act.changes);
      this.#reveal(act.changes);
      this.#offer(`Done again: ${this.#summary(act.changes)}`, "Undo", () => this.undo());
    }
  }

  /** Apply the server's answer to an act, which overrides what was shown. @param {OutboxEntry} entry @param {ActResult} result */
  stored(entry, result) {
    const { review } = this;
    if (result.taken) { // back before it was stored
      this.sent.delete(entry.act.seq);
      return;
    }
    if (entry.held) review.toast.say("The round is back: the verdicts that waited for it are stored.");
    const { op, finding } = entry.act;
    if (op === "note" && finding !== undefined && this.notes.get(finding) === entry.act.text) this.notes.delete(finding);
    if (["decide", "note"].includes(entry.act.op) || !entry.own) {
      this.#settle(result.items ?? []);
      return;
    }
    const act = this.sent.get(entry.act.seq) ?? null;
    this.sent.delete(entry.act.seq);
    const items = result.items ?? [];
    const changes = act?.changes ?? [];
    const known = changes.length > 0;
    const same = known && changes.length === items.length && items.every(({ id }) => changes.some(({ item }) => item.id === id));
    const word = entry.act.op === "undo" ? "undo" : "redo";
    if (result.changeset === null) review.toast.say(`Nothing left to ${word}.`);
    else if (!same) {
      const what = review.face.blind ? null : result.undone?.text; // the text distinguishes accept from keep
      review.toast.say(`${word === "undo" ? "Undone" : "Done again"}: ${what ?? `${items.length} findings`}`, this.#showAction(items));
    }
    if (result.classes) review.takeClasses(/** @type {ClassActResult} */ (result));
    const noted = act?.noted?.item.id;
    if (noted !== undefined && !items.some(({ id }) => id === noted)) review.refresh([noted]); // another act was the newest
    if (known && !same) {
      this.log.forget(); // another tab acted in between: the shown effect was wrong
      review.refresh(changes.map(({ item }) => item.id));
    }
    this.#settle(items);
    if (same && review.labelling && !items.some(({ id }) => review.queue.items.some((item) => item.id === id))) review.reload(); // they wait again
    if (!same) {
      review.tally.refresh({ soon: true });
      review.bulk.refresh();
      const beyond = result.undone?.act === "accept_all" || !review.cursor.page.length; // more than the page can show
      if (result.changeset !== null && beyond) review.reload(); // cards have joined or left the queue
    }
  }

  /** Revert what was shown of an act that the server refused. @param {OutboxEntry} entry @param {Failure} error */
  refused(entry, error) {
    const on = namesText(this.#imagesOf(entry.act));
    this.review.toast.say(`Not stored${on && `, on ${on}`}: ${errorText(error)}`, null, { warning: true, sticky: true });
    const { op, finding, decisions = [] } = entry.act;
    if (finding !== undefined) this.notes.delete(finding);
    const meant = this.sent.get(entry.act.seq)?.changes ?? [];
    this.sent.delete(entry.act.seq);
    const noted = op === "note" && finding !== undefined ? [finding] : [];
    const ids = [...decisions.map((decision) => decision.finding), ...noted, ...meant.map(({ item }) => item.id)];
    for (const id of ids) this.touched.delete(id); // they wait for a verdict again
    this.log.forget();
    this.review.refresh(ids);
    this.review.tally.refresh({ soon: true });
  }

  /** Report acts that the browser keeps since their round was deleted. @param {OutboxEntry[]} entries @param {Failure} error */
  held(entries, error) {
    const [verdicts, notes] = [entries.filter(({ act }) => act.op !== "note"), entries.filter(({ act }) => act.op === "note")];
    const count = verdicts.reduce((sum, { act }) => sum + (act.decisions ?? []).length, 0);
    const what = [count && `${count} ${count === 1 ? "verdict" : "verdicts"}`, notes.length && `${notes.length} ${notes.length === 1 ? "note" : "notes"}`].filter(Boolean).join(" and ");
    const text = heldText(what, entries.flatMap(({ act }) => this.#imagesOf(act)), errorText(error));
    this.review.toast.say(text, TO_DATASETS, { warning: true, sticky: true });
  }

  /** Return the known names of the images of an act. @param {Act} act @returns {string[]} */
  #imagesOf({ images, decisions = [], finding }) {
    if (images?.length) return images;
    const ids = finding === undefined ? decisions.map((decision) => decision.finding) : [finding];
    return ids.flatMap((id) => this.review.byId.get(id)?.name || []);
  }

  /** Return the ids of findings with unsaved acts: their shown state is newer than any answer. */
  waiting() {
    const turned = [...this.sent.values()].flatMap((act) => [...(act?.changes ?? []), ...(act?.noted ? [act.noted] : [])]);
    return new Set([...this.review.outbox.pendingFindings(), ...this.notes.keys(), ...turned.map(({ item }) => item.id)]);
  }

  /** Show the annotator's unsaved verdict on an item, given on a page that was left. @param {Finding} item */
  ahead(item) {
    const decision = this.review.outbox.unsentDecision(item.id);
    if (!decision) return item;
    this.touched.add(item.id);
    return Object.assign(item, stateAfter(item, decision, this.review.name));
  }

  /** @param {Change[]} changes */
  #summary(changes) {
    return this.review.face.summary(changes, this.review.classes);
  }

  /** @param {NonNullable<ActResult["items"]>} states */
  #settle(states) {
    const { review } = this;
    const waiting = this.waiting();
    /** @type {Change[]} */
    const changes = [];
    for (const { id, note, ...after } of states) {
      const item = review.byId.get(id);
      if (!item || waiting.has(id)) continue;
      if (note !== undefined) this.#showNote(item, note);
      if (!sameState(item, after)) changes.push({ item, before: stateOf(item), after });
    }
    if (changes.length) this.#apply(changes);
    review.inspector.forget(states.map(({ id }) => id));
  }

  /** @param {Finding} item @param {string} note */
  #showNote(item, note) {
    item.note = note;
    this.review.inspector.forget([item.id]);
    this.review.paint(new Set([item.id]));
  }

  /** @param {Change[]} changes */
  #apply(changes) {
    for (const { item, after } of changes) {
      Object.assign(item, after);
      item.skipped = false;
      if (after.status === "open") this.touched.delete(item.id);
      else this.touched.add(item.id);
    }
    const ids = changes.map(({ item }) => item.id);
    this.review.inspector.forget(ids);
    this.review.tally.adjust(changes);
    this.review.paint(new Set(ids));
  }

  /**
   * Show an act with a button that reverts it; the next act hides the button, which would mean another act then.
   *
   * @param {string} text
   * @param {string} label
   * @param {() => void} run
   */
  #offer(text, label, run) {
    this.review.toast.say(text, { label, run }, { passing: true });
  }

  /** @param {Change[]} changes */
  #reveal(changes) {
    this.review.cursor.goTo(changes[0].item.id);
  }

  /** @param {NonNullable<ActResult["items"]>} items */
  #showAction(items) {
    const [first] = items;
    return items.length === 1 && !this.review.cursor.holds(first.id) ? { label: "Show", run: () => this.review.cursor.openZoom(first.id) } : null;
  }
}
