// Live counts: adjusted by every verdict at once, replaced by the server's when nothing is unsaved.

import { isSettled } from "./verdicts.js";
/** @import { Change, Counts, Finding, FindingState } from "../shared/types.d.ts" */

const BINS = 100;
const EVERY_MS = 2000;
const DRAW_EVERY_MS = 400;

/**
 * Return the counts after changes; the old ones stay as they are.
 *
 * @param {Counts} counts
 * @param {Change[]} changes
 * @returns {Counts}
 */
export function adjust(counts, changes) {
  const next = {
    ...counts,
    by_status: { ...counts.by_status },
    kinds: { ...counts.kinds },
    histogram: [...counts.histogram],
    pairs: counts.pairs,
  };
  if (counts.kept_out) next.kept_out = { ...counts.kept_out, histogram: [...counts.kept_out.histogram] };
  /** @type {Map<string, number>} */
  const moved = new Map();
  for (const { item, before, after } of changes) {
    add(next.by_status, before.status, -1);
    add(next.by_status, after.status, 1);
    next.second_opinion += Number(after.status === "second_opinion") - Number(before.status === "second_opinion");
    const bin = Math.min(BINS - 1, Math.floor((item.confidence ?? 0) * BINS + 1e-9));
    if (next.kept_out) add(next.kept_out.histogram, bin, Number(isKeptFromBulk(item, after, next)) - Number(isKeptFromBulk(item, before, next)));
    const step = Number(isSettled(before.status)) - Number(isSettled(after.status)); // -1: leaves the queue, 1: comes back
    if (!step) continue;
    next.todo += step;
    next.decided -= step;
    add(next.kinds, item.kind, step);
    add(next.histogram, bin, step);
    const pair = `${item.given},${item.pseudo}`;
    moved.set(pair, (moved.get(pair) ?? 0) + step);
  }
  if (moved.size) next.pairs = movePairs(counts.pairs, moved);
  return next;
}

/** Return the number of findings at or above a threshold and below `max`. @param {number[]} histogram @param {number} threshold */
export function countAbove(histogram, threshold, max = 1) {
  const from = Math.round(threshold * BINS);
  const to = max >= 1 ? BINS : Math.round(max * BINS);
  return histogram.slice(from, to).reduce((sum, count) => sum + count, 0);
}

/** Return the histogram of what a bulk act may touch: without evaluation splits and second opinions. @param {Counts} counts */
export function bulkHistogram({ histogram, kept_out: apart }) {
  return apart ? histogram.map((count, bin) => count - apart.histogram[bin]) : histogram;
}

/** Return whether an item is undecided and no bulk act changes it. @param {Finding} item @param {FindingState} state @param {Counts} counts */
const isKeptFromBulk = (item, { status }, { kept_out: apart }) => !isSettled(status) && (status === "second_opinion" || Boolean(apart?.splits.includes(item.split)));

/** @param {string} key @returns {[number, number]} */
function pairOf(key) {
  const [given, pseudo] = key.split(",").map(Number);
  return [given, pseudo];
}

/** @param {Counts["pairs"]} pairs @param {Map<string, number>} moved @returns {Counts["pairs"]} */
function movePairs(pairs, moved) {
  /** @type {Counts["pairs"]} */
  const next = [];
  for (const [given, pseudo, count] of pairs) {
    const key = `${given},${pseudo}`;
    const now = count + (moved.get(key) ?? 0);
    moved.delete(key);
    if (now > 0) next.push([given, pseudo, now]);
  }
  for (const [key, count] of moved) if (count > 0) next.push([...pairOf(key), count]);
  return next;
}

/** @template {string | number} Name @param {{ [name in Name]?: number }} record @param {Name} name @param {number} step */
function add(record, name, step) {
  record[name] = Math.max(0, (record[name] ?? 0) + step);
}

/**
 * Options of a tally: `quiet()` returns whether nothing is unsaved, `every` is the delay of the request after a verdict.
 *
 * @template Numbers
 * @typedef {object} TallyOptions
 * @property {() => Promise<Numbers>} ask
 * @property {() => boolean} quiet
 * @property {(counts: Numbers) => void} draw
 * @property {(counts: Numbers, changes: Change[]) => Numbers} move Returns the numbers after changes.
 * @property {number} [every]
 */

/** Numbers of a page: the counts of a queue, or the state of an audit. @template Numbers */
export class Tally {
  /** @param {TallyOptions<Numbers>} options */
  constructor({ ask, quiet, draw, move, every = EVERY_MS }) {
    this.ask = ask;
    this.quiet = quiet;
    this.draw = draw;
    this.move = move;
    this.every = every;
    /** @type {Numbers | null} */
    this.counts = null;
    this.changes = 0;
    this.stopped = false;
    this.drawing = false;
    /** @type {ReturnType<typeof setTimeout> | null} */
    this.timer = null;
    this.drawnAt = 0;
    this.turn = 0; // number of the last request; answers to older ones, of another filter perhaps, are dropped
  }

  /** @param {Change[]} changes */
  adjust(changes) {
    this.changes += 1;
    if (this.counts) {
      this.counts = this.move(this.counts, changes);
      this.#drawLater();
    }
    this.refresh();
  }

  /** Ask again now (`soon`), else in a while. */
  refresh({ soon = false } = {}) {
    if (this.timer && !soon) return;
    clearTimeout(this.timer ?? undefined);
    this.timer = setTimeout(() => this.#load(), soon ? 0 : this.every);
  }

  /** Resolve to counts that are the server's, to the last ones known where it does not answer. */
  async fresh() {
    this.turn += 1;
    const { turn } = this;
    const counts = await this.ask().catch((error) => this.counts ?? Promise.reject(error));
    if (!this.stopped && turn === this.turn) this.#show(counts);
    return counts;
  }

  stop() {
    clearTimeout(this.timer ?? undefined);
    this.stopped = true;
  }

  async #load() {
    this.timer = null;
    const before = this.changes;
    this.turn += 1;
    const { turn } = this;
    const counts = this.quiet() || !this.counts ? await this.ask().catch(() => null) : null;
    if (this.stopped || turn !== this.turn) return;
    if (counts && (before === this.changes || !this.counts)) this.#show(counts);
    else this.refresh(); // unsaved, offline, or overtaken by a verdict: the shown counts are newer
  }

  /** Draw after the frame that shows the card, and not for every key: a count is read after the badge. */
  #drawLater() {
    if (this.drawing) return;
    this.drawing = true;
    const rest = Math.max(0, this.drawnAt + DRAW_EVERY_MS - performance.now());
    requestAnimationFrame(() => setTimeout(() => {
      this.drawing = false;
      if (!this.stopped && this.counts) this.#show(this.counts);
    }, rest));
  }

  /** @param {Numbers} counts */
  #show(counts) {
    this.counts = counts;
    this.drawnAt = performance.now();
    this.draw(counts);
  }
}
