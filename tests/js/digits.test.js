import assert from "node:assert/strict";
import { test } from "node:test";

import { renewClasses, shareClasses } from "../../app/components/shared/classes.js";
import { Digits, placeClass, readFixed } from "../../app/components/review_grid/settings.js";
import { FakeStorage, fakeDocument } from "./fakes.js";

const root = fakeDocument();
const CLASSES = Array.from({ length: 12 }, (_, id) => `class ${id}`);

test("chosen classes are read back, and those that do not fit the dataset are dropped", () => {
  assert.deepEqual(readFixed("[3,0]", CLASSES), [3, 0]);
  for (const text of [null, "", "{", "[12]", "[-2]", "[]", "[0.5]", '["a"]', JSON.stringify([...Array(11).keys()])]) assert.equal(readFixed(text, CLASSES), null, text);
});

test("a key whose class is not offered any more has none, and the other keys stay", () => {
  const classes = shareClasses({ classes: CLASSES, offered: [3, 4, 0] });
  assert.deepEqual(readFixed("[3,7,0]", classes), [3, -1, 0]);
  const storage = new FakeStorage({ "outfold.digits.4": "[3,7,0]" });
  const heard = [];
  const digits = new Digits({ root, dataset: 4, classes, storage, onchange: (ids) => heard.push(ids) });
  assert.match(digits.element.textContent, /1class 32no class3class 0/);
  renewClasses(classes, { classes: ["cat", ...CLASSES.slice(1)], offered: [0] });
  digits.renew();
  assert.deepEqual(heard, [[-1, -1, 0]]);
  assert.match(digits.element.textContent, /3cat/);
  renewClasses(classes, { classes: CLASSES, offered: [3, 4, 0] });
  digits.renew();
  assert.deepEqual(digits.fixed, [3, -1, 0], "an undo brings them back");
});

test("a class is on one key only", () => {
  assert.deepEqual(placeClass([0, 1, 2], 0, 2), [2, 1, 0]);
  assert.deepEqual(placeClass([0, 1, 2], 1, 9), [0, 9, 2]);
});

test("fixed classes are kept for the dataset, until the likeliest are wanted again", () => {
  const storage = new FakeStorage();
  const heard = [];
  const open = (dataset) => new Digits({ root, dataset, classes: CLASSES, storage, onchange: (ids) => heard.push(ids) });
  const digits = open(4);
  assert.equal(digits.fixed, null);
  digits.choose([5, 2]);
  assert.match(digits.element.textContent, /1class 52class 2/);
  assert.deepEqual([open(4).fixed, open(5).fixed, heard], [[5, 2], null, [[5, 2]]]);
  digits.choose(null);
  assert.deepEqual([open(4).fixed, storage.length], [null, 0]);
});
