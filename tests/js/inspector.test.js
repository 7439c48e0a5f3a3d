import assert from "node:assert/strict";
import { test } from "node:test";

import { OPEN } from "../../app/components/review_grid/card.js";
import { Inspector, networksLine } from "../../app/components/review_grid/inspector.js";
import { finding, settle } from "./fakes.js";

/** An element that keeps nothing but its texts. */
const element = () => ({
  texts: [], style: {}, dataset: {}, classList: { toggle() {} }, addEventListener() {}, setAttribute() {}, querySelector: () => null,
  append(...children) { this.texts.push(...children.flatMap((child) => child.texts ?? [String(child)])); },
  replaceChildren(...children) { this.texts = []; this.append(...children); },
});
globalThis.document = { createElement: element, createTextNode: String };

test("the history of the card shown is asked for anew once a verdict on it is stored", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const asked = [];
  const stored = [];
  const api = { base: "", finding: async (id) => { asked.push(id); return { history: [], decisions: [...stored] }; } };
  const inspector = new Inspector({ api, classes: ["cat", "dog"], face: OPEN, digits: null, on: { pick() {}, open() {} } });
  const rest = async () => { t.mock.timers.tick(300); await settle(); };
  const item = finding(1);
  inspector.show(item);
  await rest();
  assert.ok(inspector.more.texts.includes("no verdict yet"));
  inspector.forget([1]); // the verdict is seen at once
  inspector.show(item);
  await rest(); // asked for before it was stored
  stored.push({ verdict: "accept", label: 1, by: "Ann", at: "2026-11-21T12:03:07Z", live: true, bulk: false });
  inspector.forget([1]);
  await rest();
  assert.match(inspector.more.texts.join(""), /accept dog · Ann/);
  inspector.forget([2]); // another card
  await rest();
  assert.deepEqual(asked, [1, 1, 1]);
});

test("similar cards are a set that opens with a click", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const clicks = [];
  document.createElement = () => Object.assign(element(), { addEventListener(name, run) { if (name === "click") clicks.push(run); } });
  const opened = [];
  const alike = { count: 2, similar: "1-12-92" };
  const api = { base: "", finding: async () => ({ history: [], decisions: [], alike }) };
  const show = async (on) => {
    const inspector = new Inspector({ api, classes: ["cat", "dog"], face: OPEN, digits: null, on: { pick() {}, open() {}, ...on } });
    inspector.show({ ...finding(1), given: 0, pseudo: 1, kind: "suspicious" });
    t.mock.timers.tick(300);
    await settle();
    return inspector.more.texts.join("");
  };
  assert.match(await show({ alike: (set) => opened.push(set) }), /2 more like this/);
  clicks.at(-1)();
  assert.deepEqual(opened, [{ show: "suspicious", given: 0, pseudo: 1, similar: "1-12-92" }]);
  assert.doesNotMatch(await show({}), /more like this/); // in an audit
});

test("a card says how many networks contradict its label, where the round has several", () => {
  document.createElement = element;
  const said = (contradicting, networks) => networksLine({ ...finding(1), contradicting }, networks)?.texts.join("") ?? null;
  assert.equal(said(2, 3), "2 of 3 networks contradict the label");
  assert.equal(said(1, 3), "1 of 3 networks contradicts the label");
  assert.equal(said(0, 2), "none of 2 networks contradicts the label");
  assert.equal(said(1, 1), null);
  assert.equal(said(null, 3), null); // an audit does not tell
});
