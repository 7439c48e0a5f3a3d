// What people do to cards: verdicts, skips, undo and redo. Seen at once, stored by the outbox.

import { told } from "./api.js";
import { ActLog, decisionFor, outcome, reversed, sameState, stateOf } from "./verdicts.js";

const RECENT = 10;

export class Judging {
  /** `review` is the page: its queue, outbox, skips, classes and its ways to paint. */
  constructor(review) {
    this.review = review;
    this.log = new ActLog();
    this.touched = new Set(); // ids judged or skipped since the queue began
    this.sent = new Map(); // seq of an undo or redo -> the act it was believed to take back
  }

  recent() {
    return this.log.recent(RECENT);
  }

  /** Whether a card still waits for a word in this pass through the queue. */
  pending(item) {
    return !this.touched.has(item.id) && (this.review.looksBack || this.review.waits(item.status));
  }

  /** Give every item its decision as one act; returns false when there was nothing to do. */
  decide(items, decisionOf) {
    const { review } = this;
    if (!items.length) return false;
    const decisions = items.map(decisionOf);
    const said = items.map((item, index) => ({ item, before: stateOf(item), after: outcome(item, decisions[index], review.name) }));
    const changes = said.filter(({ before, after }) => !sameState(before, after)); // what stood already is nothing to take back
    review.outbox.add({ round: review.roundId, op: "decide", decisions, ...review.audit?.marks });
    if (changes.length) this.log.push({ changes });
    this.#apply(said);
    review.live.textContent = this.#summary(said); // for those who hear the page
    review.toast.pass();
    if (changes.length > 1) this.#offer(this.#summary(changes), "Undo", () => this.undo());
    for (const item of items) review.skips.remove(item.id);
    return true;
  }

  /** Say one verdict of every item; "keep" is refused where nobody gave a label. */
  verdict(items, verdict) {
    const able = verdict === "keep" ? items.filter((item) => item.given !== -1) : items;
    if (!able.length && items.length) this.review.toast.say("There is no given label to keep here.");
    return this.decide(able, (item) => ({ finding: item.id, verdict }));
  }

  /** Say which class is right. */
  relabel(items, label) {
    return this.decide(items, (item) => decisionFor(item, label));
  }

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

  /** Let skipped cards wait for a word again: their turn has come. */
  wake(items) {
    for (const item of items) {
      item.skipped = false;
      this.touched.delete(item.id);
    }
  }

  /** Remember a bulk act, so that undo knows what comes next. */
  pushBulk(changeset) {
    this.log.push({ changes: [], changeset });
  }

  /** Take back the newest act; with `changeset` that one, whatever came after it. */
  undo(changeset = null) {
    const act = changeset === null || this.log.done.at(-1)?.changeset === changeset ? this.log.undo() : this.log.drop(changeset);
    const seq = this.review.outbox.add({ round: this.review.roundId, op: "undo", ...(changeset === null ? {} : { changeset }) });
    this.sent.set(seq, act);
    if (act?.changes.length) {
      this.#apply(reversed(act.changes));
      this.#reveal(act.changes);
      this.#offer(`Undone: ${this.#summary(act.changes)}`, "Redo", () => this.redo());
    }
  }

  redo() {
    const act = this.log.redo();
    const seq = this.review.outbox.add({ round: this.review.roundId, op: "redo" });
    this.sent.set(seq, act);
    if (act?.changes.length) {
      this.#apply(act.changes);
      this.#reveal(act.changes);
      this.#offer(`Done again: ${this.#summary(act.changes)}`, "Undo", () => this.undo());
    }
  }

  /** Take in the server's answer to an act: its word is final. */
  stored(entry, result) {
    const { review } = this;
    if (entry.act.op === "decide" || !entry.own) {
      this.#settle(result.items ?? []);
      return;
    }
    const act = this.sent.get(entry.act.seq) ?? null;
    this.sent.delete(entry.act.seq);
    const items = result.items ?? [];
    const known = act?.changes.length > 0;
    const same = known && act.changes.length === items.length && items.every(({ id }) => act.changes.some(({ item }) => item.id === id));
    const word = entry.act.op === "undo" ? "undo" : "redo";
    if (result.changeset === null) review.toast.say(`Nothing left to ${word}.`);
    else if (!same) {
      const what = review.face.blind ? null : result.undone?.text; // it tells accepting from keeping
      review.toast.say(`${word === "undo" ? "Undone" : "Done again"}: ${what ?? `${items.length} findings`}`, this.#showAction(items));
    }
    if (known && !same) {
      this.log.forget(); // another tab worked in between: what was shown at once was not what happened
      review.refresh(act.changes.map(({ item }) => item.id));
    }
    this.#settle(items);
    if (!same) {
      review.tally.refresh({ soon: true });
      review.bulk.refresh();
      const beyond = result.undone?.act === "accept_all" || !review.cursor.page.length; // more than the page can show
      if (result.changeset !== null && beyond) review.reload(); // something waits again, or no more
    }
  }

  /** Take back what was shown of an act that the server refused. */
  refused(entry, error) {
    this.review.toast.say(`Not stored: ${told(error)}`, null, { warning: true, sticky: true });
    const meant = this.sent.get(entry.act.seq)?.changes ?? [];
    this.sent.delete(entry.act.seq);
    const ids = [...(entry.act.decisions ?? []).map(({ finding }) => finding), ...meant.map(({ item }) => item.id)];
    for (const id of ids) this.touched.delete(id); // they wait for a word again
    this.log.forget();
    this.review.refresh(ids);
    this.review.tally.refresh({ soon: true });
  }

  /** Return the ids of findings of which something is still on its way: what is shown is newer than any answer. */
  waiting() {
    const turned = [...this.sent.values()].flatMap((act) => act?.changes ?? []);
    return new Set([...this.review.outbox.pendingFindings(), ...turned.map(({ item }) => item.id)]);
  }

  /** Show an item as somebody stands by it who judged it a moment ago, on a page that is gone: the verdict is still on its way. */
  ahead(item) {
    const decision = this.review.outbox.unsentDecision(item.id);
    if (!decision) return item;
    this.touched.add(item.id);
    return Object.assign(item, outcome(item, decision, this.review.name));
  }

  #summary(changes) {
    return this.review.face.summary(changes, this.review.classes);
  }

  #settle(states) {
    const { review } = this;
    const waiting = this.waiting();
    const changes = [];
    for (const { id, ...after } of states) {
      const item = review.byId.get(id);
      if (!item || waiting.has(id)) continue;
      if (!sameState(item, after)) changes.push({ item, before: stateOf(item), after });
    }
    if (changes.length) this.#apply(changes);
    review.inspector.forget(states.map(({ id }) => id));
  }

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

  /** Say what was done, with its way back; the next act ends the offer, which would mean another act by then. */
  #offer(text, label, run) {
    this.review.toast.say(text, { label, run }, { passing: true });
  }

  #reveal(changes) {
    this.review.cursor.goTo(changes[0].item.id);
  }

  #showAction(items) {
    const [first] = items;
    return items.length === 1 && !this.review.cursor.holds(first.id) ? { label: "Show", run: () => this.review.cursor.openZoom(first.id) } : null;
  }
}
