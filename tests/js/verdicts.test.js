import assert from "node:assert/strict";
import { test } from "node:test";

import { countAbove, adjust, bulkHistogram } from "../../app/components/review_grid/counts.js";
import { ActLog, decisionFor, stateAfter, reverseChanges, stateOf, summary } from "../../app/components/review_grid/verdicts.js";
import { finding } from "./fakes.js";

const change = (item, decision) => ({ item, before: stateOf(item), after: stateAfter(item, decision, "Ann") });
const act = (...changes) => ({ changes });

test("a class is accepted, kept or relabelled according to what it is", () => {
  const item = finding(1, { given: 0, pseudo: 1 });
  assert.deepEqual(decisionFor(item, 1), { finding: 1, verdict: "accept" });
  assert.deepEqual(decisionFor(item, 0), { finding: 1, verdict: "keep" });
  assert.deepEqual(decisionFor(item, 4), { finding: 1, verdict: "relabel", label: 4 });
});

test("a verdict's label is known before the server answers", () => {
  const item = finding(1, { given: 0, pseudo: 1 });
  assert.deepEqual(stateAfter(item, { verdict: "accept" }, "Ann"), { status: "accept", label: 1, by: "Ann" });
  assert.deepEqual(stateAfter(item, { verdict: "relabel", label: 7 }, "Ann"), { status: "relabel", label: 7, by: "Ann" });
  assert.equal(stateAfter(item, { verdict: "exclude" }, "Ann").label, null);
});

test("undo goes back act by act, redo forward, and a new act ends the redo", () => {
  const log = new ActLog();
  const [first, second, third] = [1, 2, 3].map((id) => act(change(finding(id), { verdict: "accept" })));
  log.push(first);
  log.push(second);
  assert.equal(log.undo(), second);
  assert.equal(log.undo(), first);
  assert.equal(log.undo(), null);
  assert.equal(log.redo(), first);
  log.push(third);
  assert.equal(log.redo(), null);
  assert.equal(log.undo(), third);
});

test("undoing and redoing an act gives back exactly the states", () => {
  const item = finding(1);
  const before = stateOf(item);
  const { changes } = act(change(item, { verdict: "relabel", label: 3 }));
  for (const one of changes) Object.assign(item, one.after);
  const after = stateOf(item);
  for (const one of reverseChanges(changes)) Object.assign(item, one.after);
  assert.deepEqual(stateOf(item), before);
  for (const one of reverseChanges(reverseChanges(changes))) Object.assign(item, one.after);
  assert.deepEqual(stateOf(item), after);
});

test("the last decisions are the newest distinct items that still stand", () => {
  const log = new ActLog();
  const items = [1, 2, 3].map((id) => finding(id));
  for (const item of [...items, items[0]]) log.push(act(change(item, { verdict: "keep" })));
  assert.deepEqual(log.recent(2).map(({ id }) => id), [1, 3]);
  log.undo();
  assert.deepEqual(log.recent(9).map(({ id }) => id), [3, 2, 1]);
});

test("an act is summed up in few words", () => {
  const items = [finding(1), finding(2)];
  assert.equal(summary(items.map((item) => change(item, { verdict: "accept" })), []), "accepted 2");
  assert.equal(summary([change(items[0], { verdict: "relabel", label: 1 })], ["cat", "dog"]), "relabelled to dog");
});

const COUNTS = {
  total: 10, todo: 8, decided: 2, second_opinion: 0, by_status: { open: 8, accept: 2 }, kinds: { suspicious: 8 },
  pairs: [[0, 1, 5], [2, 3, 3]], histogram: Array.from({ length: 100 }, (_, bin) => (bin === 90 ? 8 : 0)),
};

test("a verdict moves every count it touches, and undoing moves them back", () => {
  const changes = [change(finding(1), { verdict: "accept" })];
  const after = adjust(COUNTS, changes);
  assert.deepEqual([after.todo, after.decided, after.by_status.accept, after.kinds.suspicious, after.histogram[90]], [7, 3, 3, 7, 7]);
  assert.deepEqual(after.pairs, [[0, 1, 4], [2, 3, 3]]);
  assert.deepEqual(adjust(after, reverseChanges(changes)), COUNTS);
});

test("findings that no bulk act touches are counted apart, before and after a verdict", () => {
  const kept = { ...COUNTS, kept_out: { splits: ["test"], histogram: COUNTS.histogram.map((count) => count && 3) } };
  const touched = (counts) => bulkHistogram(counts)[90];
  assert.equal(bulkHistogram(COUNTS)[90], 8);
  assert.equal(touched(kept), 5);
  const changes = [change({ ...finding(1), split: "test" }, { verdict: "accept" })];
  const after = adjust(kept, changes);
  assert.deepEqual([after.histogram[90], touched(after)], [7, 5]);
  assert.equal(touched(adjust(kept, [change({ ...finding(1), split: "train" }, { verdict: "accept" })])), 4);
  assert.deepEqual(adjust(after, reverseChanges(changes)), kept);
});

test("a second opinion stays to be done", () => {
  const after = adjust(COUNTS, [change(finding(1), { verdict: "second_opinion" })]);
  assert.deepEqual([after.todo, after.second_opinion, after.by_status.open], [8, 1, 7]);
});

test("second opinions are not part of a bulk act", () => {
  const none = { ...COUNTS, kept_out: { splits: ["test"], histogram: COUNTS.histogram.map(() => 0) } };
  const touched = (counts) => bulkHistogram(counts)[90];
  const asked = [change(finding(1), { verdict: "second_opinion" })];
  const after = adjust(none, asked);
  assert.deepEqual([after.histogram[90], touched(after)], [8, 7]);
  assert.deepEqual(adjust(after, reverseChanges(asked)).kept_out, none.kept_out);
  const waits = { ...finding(1), status: "second_opinion" };
  const answered = adjust(after, [change(waits, { verdict: "keep" })]);
  assert.deepEqual([answered.histogram[90], touched(answered)], [7, 7]);
  const both = [change({ ...finding(2), split: "test" }, { verdict: "second_opinion" })]; // kept out already
  const kept = { ...none, kept_out: { splits: ["test"], histogram: none.histogram.map((count) => count && 3) } };
  assert.deepEqual(touched(adjust(kept, both)), 5);
});

test("a pair that is through disappears and comes back", () => {
  const counts = { ...COUNTS, pairs: [[0, 1, 1]] };
  const changes = [change(finding(1), { verdict: "keep" })];
  const after = adjust(counts, changes);
  assert.deepEqual(after.pairs, []);
  assert.deepEqual(adjust(after, reverseChanges(changes)).pairs, [[0, 1, 1]]);
});

test("findings above a threshold are counted from the histogram", () => {
  const histogram = Array.from({ length: 100 }, () => 1);
  assert.equal(countAbove(histogram, 0.93), 7);
  assert.equal(countAbove(histogram, 0.29), 71);
  assert.equal(countAbove(histogram, 0.5, 0.75), 25);
});
