import assert from "node:assert/strict";
import { test } from "node:test";

import { ACTIONS, Keys, classAt, classesByDigit, comboOf, isTyping, keyFor, placeOf, keyLabel } from "../../app/components/shared/keys.js";
import { ACTIONS as EDITOR_ACTIONS } from "../../app/components/mask_editor/actions.js";
import { FakeStorage } from "./fakes.js";

const press = (key, over = {}) => ({ key, code: /^\d$/.test(key) ? `Digit${key}` : "", ...over });
const on = (keys, key, over) => keys.lookup(press(key, over))?.action ?? null;

test("the default keys do what the interface says", () => {
  const keys = new Keys(new FakeStorage());
  const expected = {
    a: "accept", k: "keep", q: "keep", "/": "search", b: "ambiguous", x: "exclude", n: "second_opinion", s: "skip", u: "undo",
    " ": "select", z: "zoom", Enter: "zoom", "?": "help", PageDown: "next_page", ArrowLeft: "left", Escape: "clear",
  };
  for (const [key, action] of Object.entries(expected)) assert.equal(on(keys, key), action, key);
});

test("a letter of the review means the same in the mask editor", () => {
  const grid = new Keys(new FakeStorage());
  const editor = new Keys(new FakeStorage(), EDITOR_ACTIONS, "outfold.keys.masks");
  for (const key of ["a", "k", "q", "b", "x", "s", "n", "u", "g", "?"]) {
    const [inGrid, inEditor] = [on(grid, key), on(editor, key)];
    assert.equal(inEditor, key === "g" ? "images" : inGrid, key);
  }
  assert.equal(on(editor, "e"), "brush"); // edits the mask, which the editor has open already
  const combos = EDITOR_ACTIONS.flatMap(([, , list]) => list);
  assert.equal(new Set(combos).size, combos.length, "no key twice");
});

test("a key that a person has rebound stays theirs where a newer default wants it", () => {
  const storage = new FakeStorage();
  storage.setItem("outfold.keys.masks", JSON.stringify({ on: true, changed: { eraser: ["p"], next_region: ["n"] } }));
  const keys = new Keys(storage, EDITOR_ACTIONS, "outfold.keys.masks");
  assert.equal(on(keys, "p"), "eraser");
  assert.equal(on(keys, "n"), "next_region");
  assert.deepEqual(keys.combos("brush"), ["e"]);
  assert.deepEqual(keys.combos("second_opinion"), []);
  keys.reset();
  assert.equal(on(keys, "n"), "second_opinion");
});

test("shift and control make other keys", () => {
  const keys = new Keys(new FakeStorage());
  assert.equal(on(keys, "A", { shiftKey: true }), "accept_many");
  assert.equal(on(keys, "z", { ctrlKey: true }), "undo");
  assert.equal(on(keys, "z", { metaKey: true }), "undo");
  assert.equal(on(keys, "Z", { ctrlKey: true, shiftKey: true }), "redo");
  assert.equal(on(keys, "ArrowRight", { shiftKey: true }), "extend_right");
  assert.equal(on(keys, "a", { ctrlKey: true }), null);
});

test("digits stand for places, with shift for the second ten", () => {
  const places = ["1", "9", "0"].map((key) => placeOf(press(key)));
  assert.deepEqual(places, [0, 8, 9]);
  assert.equal(placeOf({ key: "!", code: "Digit1", shiftKey: true }), 10);
  assert.equal(placeOf({ key: ")", code: "Digit0", shiftKey: true }), 19);
  assert.equal(placeOf({ key: "1", code: "Digit1", ctrlKey: true }), null);
  assert.deepEqual(new Keys(new FakeStorage()).lookup({ key: "3", code: "Numpad3" }), { action: "class", place: 2 });
});

test("a digit means the n-th likeliest class, or the class of that name where classes are digits", () => {
  const item = { likely: [[2, 0.9], [0, 0.1]] };
  assert.equal(classesByDigit(["cat", "dog"]), null);
  assert.deepEqual([classAt(0, item, null), classAt(1, item, null), classAt(2, item, null)], [2, 0, undefined]);
  assert.deepEqual([keyFor(2, item, null), keyFor(0, item, null), keyFor(5, item, null)], ["1", "2", ""]);
  const digits = classesByDigit(["0", "1", "2", "3"]);
  assert.deepEqual([classAt(2, item, digits), classAt(9, item, digits), classAt(6, item, digits)], [3, 0, undefined]);
  assert.deepEqual([keyFor(3, item, digits), keyFor(0, item, digits)], ["3", "0"]);
});

test("on a keyboard without Latin letters a key counts by its place", () => {
  const keys = new Keys(new FakeStorage());
  const places = [["ф", "KeyA", "accept"], ["λ", "KeyL", null], ["κ", "KeyK", "keep"], ["и", "KeyB", "ambiguous"], ["ש", "KeyA", "accept"]];
  for (const [key, code, action] of places) assert.equal(on(keys, key, { code }), action, key);
  assert.equal(on(keys, "Ф", { code: "KeyA", shiftKey: true }), "accept_many");
  assert.equal(on(keys, "я", { code: "KeyZ", ctrlKey: true }), "undo");
  assert.equal(comboOf({ key: "х", code: "BracketLeft" }), "[");
  assert.equal(comboOf({ key: "a", code: "KeyQ" }), "a", "a Latin letter is itself wherever it lies");
  assert.equal(comboOf({ key: "é", code: "Digit2" }), "é");
  assert.equal(comboOf({ key: "日", code: "" }), "日");
});

test("a key bound to a letter that is not Latin keeps its meaning", () => {
  const keys = new Keys(new FakeStorage({ "outfold.keys": JSON.stringify({ changed: { skip: ["ф"] } }) }));
  assert.equal(on(keys, "ф", { code: "KeyA" }), "skip");
});

test("a slash that needs shift is still a slash", () => {
  const keys = new Keys(new FakeStorage());
  assert.deepEqual(keys.lookup({ key: "/", code: "Digit7", shiftKey: true }), { action: "search" });
});

test("a rebound key works, is taken from its old action, and is remembered", () => {
  const storage = new FakeStorage();
  new Keys(storage).bind("accept", "k");
  const keys = new Keys(storage);
  assert.equal(on(keys, "k"), "accept");
  assert.equal(on(keys, "a"), null);
  assert.deepEqual(keys.combos("keep"), ["q"]);
  keys.reset();
  assert.equal(on(new Keys(storage), "k"), "keep");
});

test("switched off, single characters do nothing; arrows and control keys stay", () => {
  const storage = new FakeStorage();
  new Keys(storage).switch(false);
  const keys = new Keys(storage);
  for (const key of ["a", "/", "?", "3"]) assert.equal(on(keys, key), null, key);
  assert.equal(on(keys, "A", { shiftKey: true }), null);
  assert.equal(on(keys, "ArrowDown"), "down");
  assert.equal(on(keys, "z", { ctrlKey: true }), "undo");
});

test("no two actions share a key", () => {
  const combos = ACTIONS.flatMap(([, , defaults]) => defaults);
  assert.equal(new Set(combos).size, combos.length);
});

test("typing into a field is left alone", () => {
  const inside = (target) => isTyping({ composedPath: () => [target] });
  assert.ok(inside({ tagName: "INPUT", type: "search" }) && inside({ tagName: "TEXTAREA" }) && inside({ tagName: "SELECT" }));
  assert.ok(!inside({ tagName: "INPUT", type: "range" }) && !inside({ tagName: "BUTTON" }) && !inside({ tagName: "INPUT", type: "checkbox" }));
});

test("combinations are read and shown the same way everywhere", () => {
  assert.equal(comboOf(press("A", { shiftKey: true })), "Shift+a");
  assert.equal(comboOf(press("?", { shiftKey: true })), "?");
  assert.equal(keyLabel("Ctrl+Shift+z"), "Ctrl+Shift+Z");
  assert.equal(keyLabel("ArrowLeft"), "←");
});

test("a half-written character of an input method is not a key", () => {
  assert.equal(new Keys(new FakeStorage()).lookup({ ...press("a"), isComposing: true }), null);
});
