import assert from "node:assert/strict";
import { test } from "node:test";

import { cardInQuery, linkTo, withoutCard } from "../../app/components/review_grid/queue.js";

test("a link names round and card and nothing of the filter", () => {
  const link = linkTo({ origin: "http://here:8501", pathname: "/review" }, 3, 77);
  assert.equal(link, "http://here:8501/review?round=3&card=77");
  assert.equal(cardInQuery(new URL(link).search), 77);
});

test("a query without a card opens none", () => {
  for (const query of ["", "?card=", "?card=0", "?card=-1", "?card=1.5", "?card=abc", "?card=99999999999"]) assert.equal(cardInQuery(query), null, query);
});

test("the address is the queue's again once the card is open", () => {
  assert.equal(withoutCard({ pathname: "/review", search: "?round=3&card=7&show=agreeing", hash: "" }), "/review?round=3&show=agreeing");
  assert.equal(withoutCard({ pathname: "/review", search: "?card=7", hash: "#x" }), "/review#x");
});
