// Effect and look of a verdict, and the log for undo and redo.

/** @import { Change, ClassId, Classes, Decision, Finding, FindingState, LoggedAct, Status, Verdict } from "../shared/types.d.ts" */

/** @typedef {[glyph: string, word: string, className: string]} Look Badge of a verdict; the last is a class name of the style sheet. */

/** @type {{ open: null } & Record<Exclude<Status, "open"> | "skipped" | "edited", Look>} */
export const LOOKS = {
  open: null,
  accept: ["✓", "accepted", "ok"],
  keep: ["=", "kept", "keep"],
  relabel: ["✎", "relabelled", "rel"],
  ambiguous: ["≈", "ambiguous", "amb"],
  exclude: ["✕", "excluded", "exc"],
  bulk: ["⇉", "accepted in bulk", "ok"],
  painted: ["✎", "painted over", "rel"],
  second_opinion: ["?", "2nd opinion", "second"],
  skipped: ["↷", "skipped", "skip"],
  edited: ["✎", "edited", "rel"],
};

/** Return whether a card with this status needs no verdict. @param {Status} status */
export const isSettled = (status) => status !== "open" && status !== "second_opinion";

/** Return whether the mask itself was edited: relabelled, without a class. @param {Pick<FindingState, "status" | "label">} state */
export const isEdit = ({ status, label }) => status === "relabel" && (label === null || label === undefined);

/**
 * Return the decision that `label` is right: accept and keep are special cases of relabel.
 *
 * @param {Finding} item
 * @param {ClassId} label
 * @returns {Decision}
 */
export function decisionFor(item, label) {
  if (label === item.pseudo) return { finding: item.id, verdict: "accept" };
  if (label === item.given) return { finding: item.id, verdict: "keep" };
  return { finding: item.id, verdict: "relabel", label };
}

/**
 * Return the item's state after a decision.
 *
 * @param {Finding} item
 * @param {Decision} decision
 * @param {string | null} by
 * @returns {FindingState}
 */
export function stateAfter(item, decision, by) {
  const { verdict, label = null } = decision;
  return { status: verdict, label: verdict === "accept" ? item.pseudo : verdict === "keep" ? item.given : verdict === "relabel" ? label : null, by };
}

/**
 * Whether an item has the class that a verdict names: "keep" needs a given label, "accept" a suggested one.
 *
 * @param {Finding} item
 * @param {Verdict} verdict
 */
export const canTake = (item, verdict) => !((verdict === "keep" && item.given === -1) || (verdict === "accept" && item.pseudo === -1));

/** Return the reason why no item can take a verdict. @param {Verdict} verdict */
export const refusal = (verdict) => (verdict === "keep" ? "There is no given label to keep here." : "Nothing is suggested yet: choose a class.");

/** @param {FindingState} item @returns {FindingState} */
export const stateOf = (item) => ({ status: item.status, label: item.label, by: item.by });

/** @param {FindingState} first @param {FindingState} second */
export const sameState = (first, second) => first.status === second.status && first.label === second.label && first.by === second.by;

const MOST_ACTS = 500; // older ones are undone all the same, shown once the server has answered

/** The newest acts of this visit, newest last, which undo shows at once, before the server has answered. */
export class ActLog {
  constructor() {
    /** @type {LoggedAct[]} */
    this.done = [];
    /** @type {LoggedAct[]} */
    this.undone = [];
  }

  /** Remember an act. Undone acts can no longer be redone then. @param {LoggedAct} act */
  push(act) {
    this.done.push(act);
    if (this.done.length > MOST_ACTS) this.done.shift();
    this.undone = [];
  }

  /** Return the items of all acts that are remembered. */
  items() {
    return [...this.done, ...this.undone].flatMap((act) => act.changes.map(({ item }) => item));
  }

  /** Return the act that undo takes back, or null when only the server knows. */
  undo() {
    const act = this.done.pop() ?? null;
    if (act) this.undone.push(act);
    return act;
  }

  /** Drop a bulk act from the log, which is undone by its changeset. @param {number} changeset */
  drop(changeset) {
    this.done = this.done.filter((act) => act.changeset !== changeset);
    return null;
  }

  redo() {
    const act = this.undone.pop() ?? null;
    if (act) this.done.push(act);
    return act;
  }

  /** Clear the log when the server disagrees with it. */
  forget() {
    this.done = [];
    this.undone = [];
  }

  /** Return the newest distinct items decided in this visit. @param {number} count */
  recent(count) {
    /** @type {Finding[]} */
    const items = [];
    for (const act of this.done.toReversed()) {
      for (const { item } of act.changes.toReversed()) {
        if (!items.includes(item)) items.push(item);
        if (items.length === count) return items;
      }
    }
    return items;
  }
}

/** Return an act's changes with before and after exchanged. @param {Change[]} changes @returns {Change[]} */
export const reverseChanges = (changes) => changes.map(({ item, before, after }) => ({ item, before: after, after: before }));

/** Return an act in the fewest words: "accepted 3", "frog", "kept 1". @param {Change[]} changes @param {Classes} classes */
export function summary(changes, classes) {
  const [first] = changes;
  const same = changes.every((change) => change.after.status === first.after.status);
  const word = same ? LOOKS[first.after.status]?.[1] ?? "reopened" : "decided";
  if (changes.length > 1) return `${word} ${changes.length}`;
  if (isEdit(first.after)) return LOOKS.edited[1];
  return first.after.status === "relabel" ? `relabelled to ${classes[first.after.label ?? -1]}` : word;
}
