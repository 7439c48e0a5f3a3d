// The search by name opens an image of what is typed, however late the server answers.

import assert from "node:assert/strict";
import { test } from "node:test";

import { openImageSearch } from "../../app/components/shared/search.js";
import { FakeTimers, fakeDocument, settle } from "./fakes.js";

test("an answer to what was typed before is not opened by Enter", async () => {
  const [root, timers, asked, picked] = [fakeDocument(), new FakeTimers(), [], []];
  const search = (name) => new Promise((answer) => { asked.push({ name, answer: (...ids) => answer({ items: ids.map((id) => ({ id, hash: "", name: `${id}.png`, words: "" })), next: null }) }); });
  openImageSearch({ root, base: "", search, current: null, onpick: (id) => picked.push(id), timers });
  const [input] = root.children[0].children;
  const enter = () => input.listeners.keydown({ key: "Enter", preventDefault() {}, stopPropagation() {} });

  input.value = "9";
  input.listeners.input();
  asked[0].answer(1, 2); // to the empty text that the search opened with
  await settle();
  enter();
  assert.deepEqual(picked, []);
  timers.run();
  assert.equal(asked[1].name, "9");
  asked[1].answer(9);
  await settle();
  assert.deepEqual(picked, [9]);
});
