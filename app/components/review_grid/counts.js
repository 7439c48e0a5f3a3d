// Counts that follow every verdict at once; the server's own replace them when nothing is on its way.

import { settled } from "./verdicts.js";

const BINS = 100;

/** Return the counts after `changes` ({item, before, after}), without touching the old ones. */
export function adjust(counts, changes) {
  const next = {
    ...counts,
    by_status: { ...counts.by_status },
    kinds: { ...counts.kinds },
    histogram: [...counts.histogram],
    pairs: counts.pairs,
  };
  if (counts.kept_out) next.kept_out = { ...counts.kept_out, histogram: [...counts.kept_out.histogram] };
  const moved = new Map();
  for (const { item, before, after } of changes) {
    add(next.by_status, before.status, -1);
    add(next.by_status, after.status, 1);
    next.second_opinion += (after.status === "second_opinion") - (before.status === "second_opinion");
    const bin = Math.min(BINS - 1, Math.floor(item.confidence * BINS + 1e-9));
    if (next.kept_out) add(next.kept_out.histogram, bin, keptOut(item, after, next) - keptOut(item, before, next));
    const step = settled(before.status) - settled(after.status); // -1: leaves the queue, 1: comes back
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

/** Return how many of the histogram lie at or above a threshold (and below `max`). */
export function above(histogram, threshold, max = 1) {
  const from = Math.round(threshold * BINS);
  const to = max >= 1 ? BINS : Math.round(max * BINS);
  return histogram.slice(from, to).reduce((sum, count) => sum + count, 0);
}

/** Return the histogram of what a bulk act may touch: without the evaluation splits and what waits for a second opinion. */
export function touchable({ histogram, kept_out: apart }) {
  return apart ? histogram.map((count, bin) => count - apart.histogram[bin]) : histogram;
}

/** Whether an item that stands like this is to do, but no bulk act touches it. */
const keptOut = (item, { status }, { kept_out: apart }) => !settled(status) && (status === "second_opinion" || apart.splits.includes(item.split));

function movePairs(pairs, moved) {
  const next = [];
  for (const [given, pseudo, count] of pairs) {
    const key = `${given},${pseudo}`;
    const now = count + (moved.get(key) ?? 0);
    moved.delete(key);
    if (now > 0) next.push([given, pseudo, now]);
  }
  for (const [key, count] of moved) if (count > 0) next.push([...key.split(",").map(Number), count]);
  return next;
}

function add(record, name, step) {
  record[name] = Math.max(0, (record[name] ?? 0) + step);
}
