import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { cardUrls, setGreyRange, imageUrl } from "../../app/components/shared/format.js";
import { Greys, readRange } from "../../app/components/review_grid/settings.js";
import { FakeStorage, finding } from "./fakes.js";

const element = () => ({
  style: {}, dataset: {}, classList: { toggle() {} }, addEventListener() {}, setAttribute() {}, append() {}, replaceChildren() {},
});
globalThis.document = { createElement: element, createTextNode: String };
afterEach(() => setGreyRange(null));

test("a range is two whole numbers of 16 bits, the smaller one first", () => {
  assert.deepEqual(readRange("0-4095"), [0, 4095]);
  for (const text of [null, "", "7", "9-3", "5-5", "0-65536", "a-b", "1-2-3", "0.5-9"]) assert.equal(readRange(text), null, text);
});

test("images are asked for by the greys that are drawn, and outlines are not", () => {
  const region = finding(7, { region: { version: "f00", crop: [0, 10, 160, 120] } });
  assert.equal(imageUrl("/o", finding(7), 90), "/o/image/7/96.webp");
  setGreyRange([0, 4095]);
  assert.equal(imageUrl("/o", finding(7), 90), "/o/image/7/96.webp?window=0-4095");
  assert.deepEqual(cardUrls("/o", region, 185), [
    "/o/regions/7/image/192.webp?v=f00&window=0-4095", "/o/regions/7/contour/192.webp?v=f00",
  ]);
});

test("a choice is kept for its dataset, drawn at once, and taken back by the dataset's own", () => {
  const storage = new FakeStorage();
  let drawn = 0;
  const options = { dataset: 3, own: [0, 4095], storage, onchange: () => { drawn += 1; } };
  const greys = new Greys(options);
  assert.equal(imageUrl("/o", finding(7), 90), "/o/image/7/96.webp?window=0-4095");
  greys.choose("100-900");
  assert.equal(imageUrl("/o", finding(7), 90), "/o/image/7/96.webp?window=100-900");
  assert.deepEqual([drawn, new Greys(options).range, new Greys({ ...options, dataset: 4 }).range], [1, [100, 900], [0, 4095]]);
  greys.choose("900-100");
  assert.deepEqual(greys.range, [100, 900]);
  greys.choose("0-4095");
  assert.equal(storage.length, 0);
});
