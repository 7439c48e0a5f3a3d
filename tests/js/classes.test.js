import assert from "node:assert/strict";
import { test } from "node:test";

import { className, lettersOf, nameElement, sharedBeginning } from "../../app/components/shared/classes.js";
import { fakeDocument } from "./fakes.js";

fakeDocument();

test("the common beginning of class names is counted in whole words", () => {
  assert.equal(sharedBeginning(["bird_north", "bird_south", "bird_nest"]), 5);
  assert.equal(sharedBeginning(["cat", "car"]), 0);
  assert.equal(sharedBeginning(["only one"]), 0);
  assert.equal(sharedBeginning(["a b", "a b"]), 2);
});

test("a short name is written whole, of a long one the end can always be seen", () => {
  const classes = ["cat", "a very long name that has no room", "another"];
  assert.equal(nameElement(classes, 0).textContent, "cat");
  const long = nameElement(classes, 1, "b", { class: "suggested" });
  assert.deepEqual([long.className, long.children.map((part) => part.textContent)], ["suggested long", ["a very long name that has ", "no room"]]);
  assert.equal(long.title, classes[1]);
  assert.equal(className(classes, -1), "no label");
});

test("the beginning that all names share gives way to what tells them apart", () => {
  const classes = ["european_bird_robin", "european_bird_wren", "european_bird_golden_eagle_female"];
  assert.equal(nameElement(classes, 0).textContent, "…robin");
  assert.equal(nameElement(classes, 2).textContent, "…golden_eagle_female");
  assert.equal(nameElement(classes, -1).textContent, "no label");
});

test("the letters of the matrix tell classes apart", () => {
  assert.deepEqual(lettersOf(["airplane", "automobile"]), ["airp", "auto"]);
  assert.deepEqual(lettersOf(["species_1_north", "species_1_south", "species_2_north"]), ["1_no", "1_so", "2_no"]);
  const alike = lettersOf(["warbler_a", "warbler_b", "warblers"]);
  assert.equal(new Set(alike).size, 3, alike.join(" "));
  assert.deepEqual(lettersOf(["same", "same"]), ["same", "same"]);
});
