// What a verdict does to a card, how it looks, and the log that undo and redo walk through.

// glyph, word on the badge, class name in the style sheet
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

/** Whether nobody is asked about a card that stands like this any more. */
export const settled = (status) => status !== "open" && status !== "second_opinion";

/** Whether the mask itself was edited: a new label that is no class. */
export const isEdit = ({ status, label }) => status === "relabel" && (label === null || label === undefined);

/** Return the decision for saying that `label` is right: accept and keep are special cases of relabel. */
export function decisionFor(item, label) {
  if (label === item.pseudo) return { finding: item.id, verdict: "accept" };
  if (label === item.given) return { finding: item.id, verdict: "keep" };
  return { finding: item.id, verdict: "relabel", label };
}

/** Return what the item's state will be once the decision is stored. */
export function outcome(item, decision, by) {
  const label = { accept: item.pseudo, keep: item.given, relabel: decision.label }[decision.verdict] ?? null;
  return { status: decision.verdict, label, by };
}

export const stateOf = (item) => ({ status: item.status, label: item.label, by: item.by });

export const sameState = (one, other) => one.status === other.status && one.label === other.label && one.by === other.by;

const MOST_ACTS = 500; // older ones are undone all the same, shown once the server has answered

/** The newest acts of this visit, newest last: what undo can show at once, before the server has answered. */
export class ActLog {
  constructor() {
    this.done = [];
    this.undone = [];
  }

  /** Remember an act; `changes` are {item, before, after}. Whatever was undone can no longer be redone. */
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

  /** Forget a bulk act wherever it stands: it is taken back by its name. */
  drop(changeset) {
    this.done = this.done.filter((act) => act.changeset !== changeset);
    return null;
  }

  redo() {
    const act = this.undone.pop() ?? null;
    if (act) this.done.push(act);
    return act;
  }

  /** Forget everything: what the server says differs from what was remembered. */
  forget() {
    this.done = [];
    this.undone = [];
  }

  /** Return the newest distinct items decided in this visit. */
  recent(count) {
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

/** Return an act's changes with before and after exchanged. */
export const reversed = (changes) => changes.map(({ item, before, after }) => ({ item, before: after, after: before }));

/** Return "accepted 3", "frog", "kept 1": what an act did, in the fewest words. */
export function summary(changes, classes) {
  const [first] = changes;
  const same = changes.every((change) => change.after.status === first.after.status);
  const word = same ? LOOKS[first.after.status]?.[1] ?? "reopened" : "decided";
  if (changes.length > 1) return `${word} ${changes.length}`;
  if (isEdit(first.after)) return LOOKS.edited[1];
  return first.after.status === "relabel" ? `relabelled to ${classes[first.after.label]}` : word;
}
