import assert from "node:assert/strict";
import { test } from "node:test";

import { renewClasses } from "../../app/components/shared/classes.js";
import { ClassList } from "../../app/components/mask_editor/side_panel.js";
import { Picture } from "../../app/components/mask_editor/picture.js";
import { fakeDocument } from "./fakes.js";

fakeDocument();

/** A picture of 2 x 2 pixels whose acts are answered by `answer(act)`. */
function opened(answer) {
  const told = { posted: [], classes: [], refused: [], flushed: 0 };
  const about = { sample: 1, dataset: 7, given: null, width: 2, height: 2, ignore: 255, classes: ["sky"], colours: ["#000000"], regions: [] };
  const on = { saved() {}, repaint() {}, classes: (fresh) => told.classes.push(fresh), refused: (error) => told.refused.push(error.message) };
  const post = async (act) => {
    told.posted.push(act);
    return answer(act);
  };
  const theirs = new Uint8Array(4);
  const picture = new Picture({ api: null, round: null, about, theirs, given: theirs, predicted: null, post, on });
  picture.saver = { flush: async () => { told.flushed += 1; }, touch() {} };
  return { picture, told };
}

test("a class is added as an act of the image: undo takes it back, redo adds it again, each after the strokes before it", async () => {
  let changeset = 4;
  const { picture, told } = opened(() => ({ changeset: (changeset += 1), class: 1 }));
  assert.equal(await picture.addClass("sea"), 1);
  assert.ok(picture.undo());
  await picture.acts;
  assert.ok(picture.redo());
  await picture.acts;
  assert.ok(picture.undo());
  await picture.acts;
  assert.deepEqual(told.posted, [
    { op: "add_class", name: "sea", dataset: 7 }, { op: "undo", changeset: 5, dataset: 7 },
    { op: "add_class", name: "sea", dataset: 7 }, { op: "undo", changeset: 7, dataset: 7 },
  ]);
  assert.deepEqual([told.classes.length, told.flushed, picture.judging], [4, 4, 0]);
});

test("a class that the server refuses is not there, and undoing it does nothing", async () => {
  const { picture, told } = opened(() => { throw new Error("no"); });
  assert.equal(await picture.addClass("sea"), null);
  assert.ok(picture.undo());
  await picture.acts;
  assert.deepEqual([told.posted.length, told.refused, told.classes], [1, ["no"], []]);
});

test("the list has the offered classes in their order, each under its key", () => {
  const about = { classes: Object.assign(["sky", "sea", "sand"], { offered: [2, 0] }), colours: ["#111111", "#222222", "#333333"], ignore: 255 };
  const list = new ClassList({ on: {} });
  const rows = () => list.entries.map(({ row }) => row.textContent);
  list.open(about);
  assert.deepEqual(rows(), ["1sand", "2sky", "unlabelled"]);
  renewClasses(about.classes, { classes: ["air", "sea", "sand"], offered: [0, 1, 2] });
  list.open(about);
  assert.deepEqual(rows(), ["1air", "2sea", "3sand", "unlabelled"]);
});
