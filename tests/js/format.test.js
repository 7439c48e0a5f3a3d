import assert from "node:assert/strict";
import { test } from "node:test";

import { percent } from "../../app/components/shared/format.js";

test("a share is rounded down to whole percents, as the command line does", () => {
  assert.deepEqual([0.948, 0.29, 0.999, 1, 0].map(percent), ["94 %", "29 %", "99 %", "100 %", "0 %"]);
});
