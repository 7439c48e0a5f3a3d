import assert from "node:assert/strict";
import { test } from "node:test";

import { Overlay } from "../../app/components/review_grid/overlay.js";
import { FakeStorage } from "./fakes.js";

function page() {
  const properties = {};
  return { dataset: {}, style: { setProperty: (name, value) => { properties[name] = Number(value); } }, properties };
}

function made(storage = new FakeStorage(), element = page()) {
  const heard = [];
  return { overlay: new Overlay({ element, storage, onchange: (changes) => heard.push(changes) }), element, heard, storage };
}

test("one key goes from contour to fill to none and back", () => {
  const { overlay, element } = made();
  const seen = Array.from({ length: 4 }, () => { const { overlay: mode } = element.dataset; overlay.cycle(); return mode; });
  assert.deepEqual(seen, ["contour", "fill", "none", "contour"]);
});

test("opacity goes in steps and stays between 0 and 1", () => {
  const { overlay, element } = made();
  overlay.fade(0.95);
  overlay.stronger();
  assert.equal(element.properties["--opacity"], 1);
  for (let step = 0; step < 20; step += 1) overlay.weaker();
  assert.equal(element.properties["--opacity"], 0);
});

test("the overlay hides while the key is held, whatever other keys come up meanwhile", () => {
  const { overlay, element, heard } = made();
  overlay.hold("KeyV");
  assert.equal(element.dataset.hidden, "true");
  overlay.release("ArrowRight");
  assert.equal(element.dataset.hidden, "true");
  overlay.release("KeyV");
  assert.equal(element.dataset.hidden, "false");
  assert.deepEqual(heard, [], "nothing was chosen");
});

test("it comes back when the window loses the keyboard", () => {
  const { overlay, element } = made();
  overlay.hold("KeyV");
  overlay.release();
  assert.equal(element.dataset.hidden, "false");
});

test("the masks turn in order, and without both where only one fits", () => {
  const { overlay } = made();
  assert.equal(overlay.single, "suggested");
  const turned = (options) => { overlay.turn(options); return overlay.view; };
  assert.deepEqual([turned(), turned(), turned(), turned()], ["given", "suggested", "difference", "both"]);
  assert.deepEqual([turned({ single: true }), turned({ single: true }), turned({ single: true })], ["difference", "given", "suggested"]);
});

test("a choice is kept for the next visit, and invalid values in the storage are ignored", () => {
  const { overlay, storage } = made();
  overlay.choose("fill");
  overlay.fade(0.3);
  overlay.look("difference");
  const again = made(storage).overlay;
  assert.deepEqual([again.mode, again.opacity, again.view], ["fill", 0.3, "difference"]);
  for (const text of ["{", "null", '{"mode": "loud", "opacity": 7, "view": 3}']) {
    const fresh = made(new FakeStorage({ "outfold.overlay": text })).overlay;
    assert.deepEqual([fresh.mode, fresh.opacity, fresh.view], ["contour", 0.5, "both"], text);
  }
});

test("a listener receives the changes", () => {
  const { overlay, heard } = made();
  overlay.cycle();
  overlay.look("given");
  assert.deepEqual(heard, [{ mode: "fill" }, { view: "given" }]);
});
