import assert from "node:assert/strict";
import { test } from "node:test";

import { DEFAULT, filterOfPath, toParams } from "../../app/components/review_grid/filters.js";
import { findingsElsewhere, countInQueue } from "../../app/components/review_grid/sidebar.js";

const counts = (over) => ({ todo: 0, decided: 0, total: 0, by_status: {}, kinds: {}, ...over });
const filter = (over) => ({ ...DEFAULT, path: "cat", ...over });

test("everything of a path is asked for, whatever the queue shows", () => {
  const params = toParams(filterOfPath("cat"), 3);
  assert.deepEqual([params.get("show"), params.get("status"), params.get("path")], ["suspicious,agreeing,unlabelled", "any", "cat"]);
});

test("a queue holds what its status says", () => {
  const some = counts({ todo: 3, decided: 4, total: 7, by_status: { keep: 2, relabel: 1 } });
  assert.equal(countInQueue(some, filter({})), 3);
  assert.equal(countInQueue(some, filter({ status: "decided" })), 4);
  assert.equal(countInQueue(some, filter({ status: "any" })), 7);
  assert.equal(countInQueue(some, filter({ status: "keep,relabel" })), 3);
});

test("matches outside of the queue are listed by their filters", () => {
  const found = counts({ todo: 6, decided: 10, total: 16, kinds: { suspicious: 4, agreeing: 2 } });
  assert.deepEqual(findingsElsewhere(found, counts({ todo: 4 }), filter({})), { other: 12, parts: ["10 decided", "2 agreeing"] });
  assert.deepEqual(findingsElsewhere(found, counts({}), filter({ split: "train" })), { other: 16, parts: ["10 decided", "2 agreeing", "4 under other filters"] });
  assert.deepEqual(findingsElsewhere(found, counts({ decided: 10, total: 14 }), filter({ status: "decided" })), { other: 6, parts: ["6 under other filters"] });
});

test("where the queue holds all matches nothing is listed", () => {
  assert.equal(findingsElsewhere(counts({ total: 2 }), counts({ todo: 2 }), filter({})), null);
  assert.equal(findingsElsewhere(counts({}), counts({}), filter({})), null);
});
