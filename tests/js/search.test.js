import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { cleanName, foldName, newName, offeredOf, renewClasses, shareClasses, sharedBeginning } from "../../app/components/shared/classes.js";
import { matches } from "../../app/components/shared/search.js";

const TABLE = JSON.parse(readFileSync(new URL("../class_names.json", import.meta.url), "utf8")); // read by tests/core/judge/test_class_acts.py too
const CLASSES = ["Cat", "dog", "caf\u00e9", "Stra\u00dfe"];

test("names are compared as the server compares them", () => {
  for (const [one, other] of TABLE.same) assert.equal(foldName(one), foldName(other), `${one} ${other}`);
  for (const [one, other] of TABLE.different) assert.notEqual(foldName(one), foldName(other), `${one} ${other}`);
});

test("valid names are those that the server takes", () => {
  for (const [typed, name] of TABLE.names) assert.equal(cleanName(typed), name);
  for (const typed of TABLE.refused) assert.equal(cleanName(typed), null, JSON.stringify(typed));
});

test("a name that no class has can be added, one that a class has in whatever case or form of letters is found", () => {
  assert.equal(newName("  Ferret ", CLASSES), "Ferret");
  assert.equal(newName("ca", CLASSES), "ca");
  for (const [typed, id] of [["CAT", 0], ["cafe\u0301", 2], ["STRASSE", 3]]) {
    assert.equal(newName(typed, CLASSES), null);
    assert.deepEqual(matches(typed, CLASSES, []), [id]);
  }
});

test("a class that is not offered is not found and can be added again; the others come in their order", () => {
  const shared = shareClasses({ classes: ["cat", "dog", "fox"], offered: [2, 0] });
  assert.deepEqual(matches("", shared, []), [2, 0]);
  assert.deepEqual(matches("o", shared, []), [2]);
  assert.equal(newName("dog", shared), "dog");
  assert.equal(newName("fox", shared), null);
});

test("shared classes change where they stand, and what follows from their names with them", () => {
  const shared = shareClasses({ classes: ["road: wet", "road: dry"], offered: [0, 1] });
  assert.equal(sharedBeginning(shared), 6);
  assert.equal(renewClasses(shared, { classes: ["road: wet", "road: dry"], offered: [0, 1] }), false);
  assert.equal(renewClasses(shared, { classes: ["road: wet", "sky", "sea"], offered: [2, 0] }), true);
  assert.deepEqual([[...shared], offeredOf(shared), sharedBeginning(shared)], [["road: wet", "sky", "sea"], [2, 0], 0]);
});
