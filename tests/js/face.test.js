import assert from "node:assert/strict";
import { test } from "node:test";

import { Audit } from "../../app/components/review_grid/audit.js";
import { paintCard, BLIND, OPEN } from "../../app/components/review_grid/card.js";
import { Inspector } from "../../app/components/review_grid/inspector.js";
import { Footer } from "../../app/components/review_grid/masthead.js";
import { RegionInspector } from "../../app/components/review_grid/region_inspector.js";
import { RegionZoom } from "../../app/components/review_grid/region_zoom.js";
import { stateAfter } from "../../app/components/review_grid/verdicts.js";
import { Zoom } from "../../app/components/review_grid/zoom.js";
import { classAt, classesByDigit, Keys } from "../../app/components/shared/keys.js";
import { fakeDocument, FakeStorage, finding } from "./fakes.js";

const root = fakeDocument();
const CLASSES = ["cat", "dog", "bird", "frog"];
const REGION = { x: 10, y: 20, width: 30, height: 40, area: 938, version: "f00", crop: [0, 10, 160, 120] };
const audit = (over = {}) => new Audit({ now: { id: 12, kind: "suspicious", ...over }, api: {}, client: "here", classes: CLASSES, storage: new FakeStorage() });

/** The same picture twice: given and suggested exchanged, and everything else that could tell them apart different. */
function twins(over = {}) {
  const one = audit().veil({ ...finding(7), place: 3, name: "train/dog/7.png", given: 1, pseudo: 2, contradicting: 2, confidence: 0.97, likely: [[2, 0.97], [1, 0.02]], ...over });
  const other = audit().veil({ ...finding(7), place: 3, name: "train/bird/7.png", given: 2, pseudo: 1, contradicting: 1, confidence: 0.31, likely: [[1, 0.31], [0, 0.3]], ...over });
  return [one, other];
}

/** Return everything the parts of the page show of an item. */
function shown(item, face) {
  const keys = new Keys(new FakeStorage());
  const context = { classes: CLASSES, colours: ["#111111", "#222222", "#333333", "#444444"], base: "/o", pixels: 185, aspect: 1, digits: null };
  const card = face.card(item, context);
  paintCard(card, item, { face, classes: CLASSES, focused: true, selected: false });
  const on = { pick() {}, open() {}, act() {}, step() {}, closed() {} };
  const parts = { api: { base: "/o" }, classes: CLASSES, face, digits: null, networks: 3, keys, on, colours: context.colours, overlay: { view: "both", single: "given" }, siblings: async () => [item], shapes: async () => ({}) };
  const inspector = new (item.region ? RegionInspector : Inspector)(parts);
  clearTimeout(inspector.show(item));
  clearTimeout(inspector.timer);
  const zoom = new (item.region ? RegionZoom : Zoom)({ root, ...parts });
  root.querySelector = () => root;
  zoom.show(item, { follows: true });
  const footer = new Footer({ keys, base: "/o", classes: CLASSES, face, on, words: [] });
  footer.draw({ number: 1, first: true, atEnd: true, selected: 0, recent: [item] });
  return [card, inspector.element, zoom.dialog, footer.last].map((element) => element.dump());
}

const judged = (item, label) => Object.assign(item, stateAfter(item, { verdict: label === item.pseudo ? "accept" : label === item.given ? "keep" : "relabel", label }, "Ann"));

test("nothing of a blind card tells which class is given and which suggested, nor how sure the model is", () => {
  for (const region of [null, REGION]) {
    const [one, other] = twins({ region });
    assert.deepEqual(shown(one, BLIND), shown(other, BLIND));
    assert.notDeepEqual(shown(one, OPEN), shown(other, OPEN), "the comparison can see a difference");
  }
});

test("a verdict on a blind card shows as its class, given or suggested alike", () => {
  for (const label of [1, 2, 3]) {
    const [one, other] = twins();
    assert.deepEqual(shown(judged(one, label), BLIND), shown(judged(other, label), BLIND));
    assert.deepEqual(BLIND.badge(one, CLASSES), ["✓", CLASSES[label], "said"]);
    const before = { status: "open", label: null };
    assert.equal(BLIND.summary([{ item: one, before, after: one }], CLASSES), CLASSES[label]);
  }
});

test("a card accepted in bulk looks open to a blind audit", () => {
  const [plain] = twins();
  const [bulk] = twins({ status: "bulk", label: 2 });
  assert.deepEqual([BLIND.badge(bulk, CLASSES), BLIND.status(bulk), BLIND.settled(bulk)], [null, "open", false]);
  assert.equal(audit().waits("bulk") && !audit().waits("keep"), true);
  assert.equal(shown({ ...bulk, label: null }, BLIND)[0], shown(plain, BLIND)[0]);
});

test("keys 1 and 2 are the classes in question in their order, the others follow in theirs", () => {
  const [one, other] = twins();
  for (const item of [one, other]) assert.deepEqual([0, 1, 2, 3, 4].map((place) => classAt(place, item, null)), [1, 2, 0, 3, undefined]);
  const digits = new Audit({ now: { id: 1, kind: "suspicious" }, api: {}, client: "", classes: [..."0123456789"], storage: new FakeStorage() });
  const seven = digits.veil({ ...finding(1), given: 7, pseudo: 1 });
  assert.equal(classAt(6, seven, classesByDigit([..."0123456789"])), 7, "whoever sees a seven presses 7");
});

test("an agreeing or unlabelled card asks about one class", () => {
  const agreeing = audit({ kind: "agreeing" }).veil({ ...finding(1), given: 1, pseudo: 1 });
  const unlabelled = audit({ kind: "unlabelled" }).veil({ ...finding(1), given: -1, pseudo: 3 });
  assert.deepEqual([agreeing.choices, unlabelled.choices], [[1], [3]]);
  assert.match(BLIND.words(agreeing, CLASSES)[1], /is it dog\?/);
});

test("an audit that is not blind shows both classes, but no confidence", () => {
  const [item] = twins();
  const seen = shown(item, OPEN).join("");
  assert.match(seen, /suggested/);
  assert.doesNotMatch(seen, /97|percent|"conf"/);
});
