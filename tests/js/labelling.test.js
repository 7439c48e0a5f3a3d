import assert from "node:assert/strict";
import { test } from "node:test";

import { shareClasses } from "../../app/components/shared/classes.js";
import { digitsOfClasses, moveLabels, suggestsNothing, progressToRound, withClasses } from "../../app/components/review_grid/labelling.js";

test("a round for labelling suggests nothing", () => {
  assert.equal(suggestsNothing({ round: { suggests: false } }), true);
  assert.equal(suggestsNothing({ round: { suggests: true } }), false);
});

test("sixty labels of two classes are enough for a first round, and fewer where there are fewer images", () => {
  const towards = (labels, images) => progressToRound({ labels, images, enough: 60 }, ["cat", "dog", "fox"].slice(0, labels.length));
  assert.deepEqual(towards([30, 29, 0], 500), { total: 59, goal: 60, few: [2], ready: false });
  assert.deepEqual(towards([30, 30, 4], 500), { total: 64, goal: 60, few: [2], ready: true });
  assert.equal(towards([60, 0], 500).ready, false);
  assert.equal(towards([6, 6], 12).ready, true);
  assert.equal(towards([], 12).ready, false);
});

test("a class that was added a moment ago has few labels, one that is not offered is not asked for", () => {
  const classes = shareClasses({ classes: ["cat", "dog", "fox"], offered: [0, 2] });
  assert.deepEqual(progressToRound({ labels: [30, 0], images: 500, enough: 60 }, classes).few, [2]);
});

test("labels follow every verdict and every undo", () => {
  const given = { before: { label: null }, after: { label: 1 } };
  const moved = moveLabels({ todo: 3, labels: [2, 0] }, [given, given]);
  assert.deepEqual(moved, { todo: 3, labels: [2, 2] });
  assert.deepEqual(moveLabels(moved, [{ before: { label: 1 }, after: { label: 0 } }]).labels, [3, 1]);
  assert.deepEqual(moveLabels(moved, [{ before: { label: null }, after: { label: null } }]).labels, [2, 2]);
});

test("digits stand for classes in their order, and for themselves where classes are digits", () => {
  assert.deepEqual(digitsOfClasses(["cat", "dog"]), [0, 1]);
  assert.equal(digitsOfClasses(["0", "1"])[9], 0);
  assert.equal(digitsOfClasses(Array.from({ length: 40 }, (_, id) => `class ${id}`)).length, 20);
});

test("a card offers every class that has a key, none likelier than another", () => {
  assert.deepEqual(withClasses({ id: 4, likely: [] }, ["cat", "dog"]), { id: 4, likely: [[0, null], [1, null]] });
});
