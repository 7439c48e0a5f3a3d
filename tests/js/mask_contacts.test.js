import assert from "node:assert/strict";
import { test } from "node:test";

import { Contacts, Stroke } from "../../app/components/mask_editor/pointer.js";
import { Painting } from "../../app/components/mask_editor/painting.js";
import { View } from "../../app/components/mask_editor/view.js";

const at = (pointerType, pointerId, clientX = 0, clientY = 0) => ({ pointerType, pointerId, clientX, clientY });

test("one finger draws, a second one makes both move the image until the last is lifted", () => {
  const contacts = new Contacts();
  assert.equal(contacts.down(at("touch", 1, 10, 10)), "draw");
  assert.equal(contacts.move(at("touch", 1, 12, 10)), "draw");
  assert.equal(contacts.grasp, null);
  assert.equal(contacts.down(at("touch", 2, 42, 50)), "move");
  assert.deepEqual(contacts.grasp, { x: 27, y: 30, distance: 50 });
  assert.equal(contacts.move(at("touch", 1, 12, 10)), "move");
  assert.equal(contacts.up(at("touch", 1)), "move");
  assert.deepEqual(contacts.grasp, { x: 42, y: 50, distance: 0 });
  assert.equal(contacts.move(at("touch", 2, 40, 50)), "move");
  assert.equal(contacts.down(at("touch", 3, 0, 0)), "move");
  contacts.up(at("touch", 2));
  contacts.up(at("touch", 3));
  assert.equal(contacts.grasp, null);
  assert.equal(contacts.down(at("touch", 4)), "draw");
});

test("a pen draws, takes over from a palm, and leaves moving the image to the fingers", () => {
  const contacts = new Contacts();
  assert.equal(contacts.down(at("touch", 1)), "draw"); // the palm came first
  assert.equal(contacts.down(at("pen", 2)), "draw");
  assert.equal(contacts.move(at("touch", 1)), "ignore");
  assert.equal(contacts.down(at("touch", 3)), "ignore");
  assert.equal(contacts.up(at("touch", 1)), "ignore");
  assert.equal(contacts.move(at("pen", 2)), "draw");
  assert.equal(contacts.up(at("pen", 2)), "draw");
  assert.equal(contacts.up(at("touch", 3)), "ignore");
  assert.equal(contacts.down(at("touch", 4)), "move");
  assert.equal(contacts.down(at("mouse", 9)), "ignore");
});

test("a pen that only hovers already keeps fingers from painting", () => {
  const contacts = new Contacts();
  assert.equal(contacts.move(at("pen", 1)), "hover");
  assert.equal(contacts.down(at("touch", 2)), "move");
});

test("a mouse draws alone, and other pointers beside it do nothing", () => {
  const contacts = new Contacts();
  assert.equal(contacts.move(at("mouse", 1)), "hover");
  assert.equal(contacts.down(at("mouse", 1)), "draw");
  assert.equal(contacts.down(at("touch", 2)), "ignore");
  assert.equal(contacts.down(at("pen", 3)), "ignore");
  assert.equal(contacts.move(at("touch", 2)), "ignore");
  assert.equal(contacts.up(at("touch", 2)), "ignore");
  assert.equal(contacts.up(at("mouse", 1)), "draw");
});

test("a cancelled stroke leaves every pixel and both histories as they were", () => {
  const labels = Uint8Array.from({ length: 200 * 150 }, (_, place) => place % 7);
  const painting = new Painting({ labels, given: labels.slice(), predicted: labels.slice(), width: 200, height: 150, ignore: 255 });
  const paint = (to) => {
    const stroke = new Stroke(painting, { source: 3, size: 9 });
    stroke.move([[5, 5], to]);
    return stroke;
  };
  paint([60, 60]).end();
  paint([90, 20]).end();
  painting.undo();
  const before = labels.slice();
  const cancelled = paint([190, 140]);
  assert.notDeepEqual(labels, before);
  assert.ok(cancelled.cancel());
  assert.deepEqual(labels, before);
  assert.deepEqual([painting.history.undos.length, painting.history.redos.length], [1, 1]);
});

test("the position that fingers hold stays between them at any scale, which is held within bounds", () => {
  const view = new View(480, 360);
  view.resize(1000, 800, 2);
  const held = view.toImage(400, 300);
  for (const scale of [0.9, 2.37, 17.1]) {
    view.lay(held, 430, 310, scale);
    assert.equal(view.scale, scale);
    const [x, y] = view.toStage(...held);
    assert.ok(Math.hypot(x - 430, y - 310) <= 0.5);
  }
  view.lay(held, 430, 310, 1e6);
  assert.equal(view.scale, 64);
  view.lay(held, 430, 310, 0);
  assert.equal(view.scale, 1 / 16);
});
