import assert from "node:assert/strict";
import { test } from "node:test";

import { shortLeftOut, setParams } from "../../app/components/review_grid/accept_bar.js";
import { acceptingText, basisOf } from "../../app/components/review_grid/accept_all.js";
import { DEFAULT, describe, countNarrowing, parse, serialise, toParams } from "../../app/components/review_grid/filters.js";

const FULL = {
  show: "unlabelled,agreeing", status: "keep,relabel", given: 3, pseudo: 5, min: 0.4, max: 0.95, split: "träin & co", fold: 0, by: "Ann", path: "a b/ü", min_area: 400, sample: 7, similar: "12-92-1000403", order: "pair",
};

test("an empty address is the default filter, and the default filter an empty address", () => {
  assert.deepEqual(parse(""), { ...DEFAULT });
  assert.equal(serialise(DEFAULT, ""), "");
});

test("a written filter is read back equal", () => {
  assert.deepEqual(parse(`?${serialise(FULL, "")}`), FULL);
});

test("other parameters of the address stay", () => {
  const query = serialise({ ...DEFAULT, given: 3 }, "?dataset=4&round=2&given=1&pseudo=2");
  assert.equal(query, "dataset=4&round=2&given=3");
});

test("nonsense in the address falls back to the defaults", () => {
  const filter = parse("?show=lies&status=maybe&given=cat&pseudo=-4&min=2&max=x&fold=1.5&order=random");
  assert.deepEqual(filter, { ...DEFAULT });
  assert.deepEqual([parse("?min=0.9&max=0.2").min, parse("?min=0.9&max=0.2").max], [0, 1]);
});

test("a link may ask for findings of every kind", () => {
  assert.equal(parse("?show=any&split=test").show, "suspicious,agreeing,unlabelled");
});

test("the bar says shortly what a bulk act leaves out", () => {
  assert.equal(shortLeftOut("14 of the evaluation split are left out: judge them one by one"), "14 of the evaluation split are left out");
  assert.equal(shortLeftOut(""), "");
});

test("given may be no label at all", () => {
  assert.equal(parse("?given=-1").given, -1);
});

test("the server always receives round, kind, status and order", () => {
  assert.equal(toParams(DEFAULT, 7, { limit: "50" }).toString(), "round=7&show=suspicious&status=todo&order=suspicion&limit=50");
});

test("order and kind do not count as narrowing", () => {
  assert.equal(countNarrowing({ ...DEFAULT, order: "pair", show: "agreeing" }), 0);
  assert.equal(countNarrowing({ ...DEFAULT, given: 0, min: 0.5 }), 2);
});

test("a filter is described in words", () => {
  const words = describe({ ...DEFAULT, given: 0, pseudo: 1, split: "train", fold: 1 }, ["cat", "dog"]);
  assert.equal(words, "suspicious, cat → dog, train, fold 2");
  assert.equal(describe({ ...DEFAULT, given: -1 }, ["cat"]), "suspicious, given no label");
});

test("a bulk act asks for one threshold, or for each class's own", () => {
  const filter = { ...DEFAULT, show: "unlabelled", min: 0.2 };
  assert.equal(setParams(filter, 0.9, false, 4).toString(), "round=4&show=unlabelled&status=open&order=suspicion&min=0.9");
  assert.equal(setParams(filter, 0.9, true, 4).toString(), "round=4&show=unlabelled&status=open&order=suspicion&min=0.2&by_class=1");
  assert.equal(basisOf({ basis: "precision", precision: 0.961 }), "96 % right");
  assert.equal(basisOf({ basis: "balanced", precision: null }), "surest share");
});

test("a large act says how far it has come, a small one or a whole one nothing", () => {
  const whole = { size: 1_000_000, of: null };
  assert.equal(acceptingText([{ size: 340_000, of: 1_000_000 }, whole]), "Accepting… 340,000 of 1,000,000");
  assert.equal(acceptingText([whole]), "");
  assert.equal(acceptingText([]), "");
});
