import assert from "node:assert/strict";
import { test } from "node:test";

import { expectedText } from "../../app/components/review_grid/accept_all.js";
import { percent } from "../../app/components/review_grid/format.js";

test("a share is rounded down to whole percents, as the command line does", () => {
  assert.deepEqual([0.948, 0.29, 0.999, 1, 0].map(percent), ["94 %", "29 %", "99 %", "100 %", "0 %"]);
  assert.equal(expectedText(0.948), "The round expects 94 % of them to be right.");
});
