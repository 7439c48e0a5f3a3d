import assert from "node:assert/strict";
import test from "node:test";

import { currentNote } from "../../app/components/review_grid/card.js";

test("the newest note that was not undone counts", () => {
  assert.equal(currentNote([{ text: "a cat", live: true }, { text: "a fox", live: true }, { text: "a dog", live: false }]), "a fox");
});

test("an empty note takes the one before back", () => {
  assert.equal(currentNote([{ text: "a cat", live: true }, { text: "", live: true }]), "");
  assert.equal(currentNote(), "");
});
