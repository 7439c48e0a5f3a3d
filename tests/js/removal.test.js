import assert from "node:assert/strict";
import test from "node:test";

import { DEFAULT } from "../../app/components/review_grid/filters.js";
import { parametersOf } from "../../app/components/review_grid/removal.js";

test("a removal sends the filter in effect, without its round and order", () => {
  const chosen = parametersOf({ ...DEFAULT, given: 3, path: "street", order: "pair" }, 7);
  assert.deepEqual(chosen, { show: "suspicious", status: "todo", given: "3", path: "street" });
});
