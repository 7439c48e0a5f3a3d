// Order of the classes while it is changed: shown at once, stored as one act after a pause.

/** @import { ClassId, Classes, Timers } from "../shared/types.d.ts" */

const REST_MS = 700; // without a move until the order is stored

/**
 * Return the ids with one at another place, counted from 0; places beyond the ends are the ends.
 *
 * @param {ClassId[]} ids
 * @param {ClassId} id
 * @param {number} place
 */
export function moveTo(ids, id, place) {
  const others = ids.filter((other) => other !== id);
  const at = Math.max(0, Math.min(place, others.length));
  return [...others.slice(0, at), id, ...others.slice(at)];
}

/**
 * Return the index among the others of a class dropped at height `y`; `shown` are [id, height of the row's middle], from the top.
 *
 * @param {ClassId[]} ids
 * @param {ClassId} id
 * @param {[ClassId, number][]} shown
 * @param {number} y
 */
export function placeAtHeight(ids, id, shown, y) {
  const others = ids.filter((other) => other !== id);
  const rows = shown.filter(([other]) => other !== id);
  const below = rows.find(([, middle]) => middle > y);
  if (below) return others.indexOf(below[0]);
  return rows.length ? others.indexOf(rows[rows.length - 1][0]) + 1 : 0;
}

/** Return the ids by their names, "class 2" before "class 10". @param {ClassId[]} ids @param {Classes} classes */
export function sortByName(ids, classes) {
  const { compare } = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  return [...ids].sort((a, b) => compare(classes[a], classes[b]) || a - b);
}

export class Order {
  /** `store(ids)` is called with the order after a pause. @param {{ store: (ids: ClassId[]) => unknown, timers?: Timers }} options */
  constructor({ store, timers = globalThis }) {
    this.store = store;
    this.timers = timers;
    /** @type {ClassId[] | null} Order that is not stored yet. */
    this.wanted = null;
    /** @type {ClassId[]} */
    this.stored = [];
    /** @type {any} */
    this.timer = null;
  }

  /** The ids as they are listed now. */
  get ids() {
    return this.wanted ?? this.stored;
  }

  /** Take over the stored order; a newer order that is not stored yet stays. @param {ClassId[]} ids */
  know(ids) {
    this.stored = [...ids];
    if (this.wanted && !same([...this.wanted].sort(), [...ids].sort())) this.wanted = null; // of other classes
  }

  /** List the classes in this order; returns whether anything moved. @param {ClassId[]} ids */
  set(ids) {
    if (same(ids, this.ids)) return false;
    this.wanted = [...ids];
    this.timers.clearTimeout(this.timer);
    this.timer = this.timers.setTimeout(() => this.flush(), REST_MS);
    return true;
  }

  /** Store the present order now. */
  flush() {
    this.timers.clearTimeout(this.timer);
    const { wanted } = this;
    this.wanted = null;
    if (!wanted || same(wanted, this.stored)) return null;
    this.stored = wanted; // shown until the server has answered
    return this.store(wanted);
  }
}

/** @param {ClassId[]} first @param {ClassId[]} second */
const same = (first, second) => first.length === second.length && first.every((id, place) => id === second[place]);
