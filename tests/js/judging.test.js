import assert from "node:assert/strict";
import { test } from "node:test";

import { BLIND, OPEN } from "../../app/components/review_grid/card.js";
import { Judging } from "../../app/components/review_grid/judging.js";
import { Toast } from "../../app/components/shared/dom.js";
import { isSettled } from "../../app/components/review_grid/verdicts.js";
import { finding } from "./fakes.js";

globalThis.document ??= { createElement: () => ({ append() {}, replaceChildren() {}, addEventListener() {}, setAttribute() {}, classList: { toggle() {} } }) };

/** A page without a screen: what it was told is kept in `said`, `sent` and `asked`. */
function page(...items) {
  const review = { roundId: 1, name: "Ann", classes: ["cat", "dog"], looksBack: false, said: [], sent: [], asked: [], passed: 0 };
  const unsaved = () => review.sent.flatMap((act) => (act.stored ? [] : (act.decisions ?? []).map((one) => one.finding)));
  Object.assign(review, {
    byId: new Map(items.map((item) => [item.id, item])),
    outbox: { add: (act) => review.sent.push({ seq: review.sent.length + 1, ...act }), pendingFindings: () => new Set(unsaved()), unsentDecision: () => null },
    toast: { say: (text, action) => review.said.push([text, action]), pass: () => { review.passed += 1; } },
    tally: { adjust: () => {}, refresh: () => {} },
    bulk: { refresh: () => {} },
    skips: { remove: () => {} },
    inspector: { forget: () => {} },
    live: {},
    face: OPEN,
    waits: (status) => !isSettled(status),
    cursor: { goTo: () => {}, holds: () => true, page: items },
    paint: () => {},
    refresh: (ids) => review.asked.push(...ids),
  });
  review.judging = new Judging(review);
  review.answer = (seq, result) => {
    const act = review.sent[seq - 1];
    act.stored = true;
    review.judging.stored({ act, own: true }, result);
  };
  return review;
}
const stands = (id, status, label = null, by = null) => ({ id, status, label, by });

test("a verdict that stood already is sent, but is nothing for undo to take back", () => {
  const item = finding(1);
  const review = page(item);
  review.judging.verdict([item], "accept");
  assert.equal(review.judging.verdict([item], "accept"), true);
  assert.equal(review.sent.length, 2);
  review.judging.undo();
  assert.equal(item.status, "open");
  assert.deepEqual(review.judging.recent(), []);
});

test("keep is stored as keep, also where the models agree with the given label", () => {
  const items = [finding(1), finding(2, { given: 1, pseudo: 1, kind: "agreeing" })];
  const review = page(...items);
  review.judging.verdict(items, "keep");
  assert.deepEqual(review.sent[0].decisions, [{ finding: 1, verdict: "keep" }, { finding: 2, verdict: "keep" }]);
  assert.deepEqual(items.map(({ status, label }) => [status, label]), [["keep", 0], ["keep", 1]]);
  review.judging.verdict(items, "accept");
  assert.deepEqual(review.sent[1].decisions, [{ finding: 1, verdict: "accept" }, { finding: 2, verdict: "accept" }]);
});

test("an answer to the verdict does not bring back what was undone meanwhile", () => {
  const item = finding(1);
  const review = page(item);
  review.judging.verdict([item], "accept");
  review.judging.undo();
  review.answer(1, { changeset: 1, items: [stands(1, "accept", 1, "Ann")] });
  assert.equal(item.status, "open");
  review.answer(2, { changeset: 2, items: [stands(1, "open")] });
  assert.deepEqual([item.status, review.asked.length], ["open", 0]);
});

test("a note shows on its card at once, goes with its undo and comes back with its redo", () => {
  const item = finding(1, { note: "" });
  const review = page(item);
  review.judging.note(item, "look behind");
  assert.equal(item.note, "look behind");
  assert.ok(review.judging.waiting().has(1), "an answer that was asked for before does not take it away");
  review.answer(1, { changeset: 1, items: [{ ...stands(1, "open"), note: "look behind" }] });
  assert.equal(review.judging.waiting().has(1), false);
  review.judging.undo();
  assert.equal(item.note, "");
  review.answer(2, { changeset: 2, items: [{ ...stands(1, "open"), note: "" }], undone: { act: "note", text: "wrote a note" } });
  review.judging.redo();
  assert.equal(item.note, "look behind");
  review.answer(3, { changeset: 3, items: [{ ...stands(1, "open"), note: "look behind" }] });
  assert.equal(item.note, "look behind");
  assert.deepEqual(review.asked, []);
});

test("where another act than the note was undone, the card is fetched", () => {
  const item = finding(1, { note: "" });
  const review = page(item, finding(2));
  review.judging.note(item, "look behind");
  review.answer(1, { changeset: 1, items: [{ ...stands(1, "open"), note: "look behind" }] });
  review.judging.undo();
  review.answer(2, { changeset: 3, items: [{ ...stands(2, "open"), note: "" }], undone: { act: "verdict", text: "kept 1" } });
  assert.deepEqual(review.asked, [1]);
});

test("an undo that did what was shown keeps the acts before it", () => {
  const [first, second] = [finding(1), finding(2)];
  const review = page(first, second);
  review.judging.verdict([first], "accept");
  review.judging.verdict([second], "keep");
  review.judging.undo();
  review.answer(3, { changeset: 3, items: [stands(2, "open")] });
  assert.deepEqual(review.judging.recent(), [first]);
});

test("several cards at once offer the way back, and the next act ends the offer", () => {
  const items = [1, 2, 3].map((id) => finding(id));
  const review = page(...items);
  review.judging.verdict(items, "accept");
  assert.deepEqual([review.said[0][0], review.said[0][1].label], ["accepted 3", "Undo"]);
  const { passed } = review;
  review.judging.verdict([items[0]], "exclude");
  assert.equal(review.passed, passed + 1);
  assert.equal(review.said.length, 1);
});

test("refused verdicts are fetched again and wait for a verdict", () => {
  const item = finding(1);
  const review = page(item);
  review.judging.verdict([item], "accept");
  review.judging.undo();
  review.judging.refused({ act: review.sent[1], own: true }, { error: "no such finding", cure: "reload" });
  assert.equal(review.said.at(-1)[0], "Not stored: no such finding; reload");
  assert.deepEqual(review.asked, [1]);
  assert.equal(review.judging.pending(item), true);
  assert.equal(review.judging.waiting().has(1), true); // the verdict itself is still on its way
});

test("a bulk act taken back by its name is not an act of the log any more", () => {
  const item = finding(1);
  const review = page(item);
  review.judging.pushBulk(7);
  review.judging.verdict([item], "accept");
  review.judging.undo(7);
  assert.deepEqual(review.judging.log.done.map(({ changeset }) => changeset), [undefined]);
  assert.equal(item.status, "accept");
});

test("a bulk act taken back brings its cards back, and done again takes them away, whatever the page shows", () => {
  const item = finding(1);
  const review = page(item);
  let reloads = 0;
  review.reload = () => { reloads += 1; };
  review.judging.undo(7);
  review.answer(1, { changeset: 8, items: [], undone: { act: "accept_all", size: 116, text: "accepted 116" } });
  assert.equal(reloads, 1);
  review.judging.redo();
  review.answer(2, { changeset: 9, items: [], undone: { act: "accept_all", size: 116, text: "accepted 116" } });
  assert.equal(reloads, 2);
  review.judging.undo();
  review.answer(3, { changeset: 10, items: [stands(1, "open")], undone: { act: "verdict", size: 1, text: "accepted 1" } });
  assert.equal(reloads, 2);
});

test("a message moves into the dialog that covers the page, and back when it closes", () => {
  const box = (dialog = null) => ({
    held: [], querySelector: () => dialog, addEventListener(_, run) { this.close = run; },
    append(child) { this.held.push(child); child.parentElement = this; },
  });
  const dialog = box();
  const home = box();
  const toast = new Toast();
  home.append(toast.element);
  toast.say("saved");
  assert.equal(toast.element.parentElement, home);
  home.querySelector = () => dialog;
  toast.say("There is no given label to keep here.");
  toast.say("again");
  assert.deepEqual([toast.element.parentElement === dialog, dialog.held.length], [true, 1]);
  dialog.close();
  assert.equal(toast.element.parentElement, home);
  toast.hide();
});

test("only a passing message goes with the next act", () => {
  const toast = new Toast();
  toast.say("Not stored", null, { sticky: true, warning: true });
  toast.pass();
  assert.equal(toast.element.hidden, false);
  toast.say("accepted 3", { label: "Undo", run() {} }, { passing: true });
  toast.pass();
  assert.equal(toast.element.hidden, true);
});

test("an act of an audit says so, and tells of its verdict only which class was meant", () => {
  const item = finding(1);
  const review = page(item);
  Object.assign(review, { audit: { marks: { audit: 12, blind: true } }, face: BLIND });
  review.judging.relabel([item], 1);
  assert.deepEqual([review.sent[0].audit, review.sent[0].blind, review.sent[0].decisions[0].verdict], [12, true, "accept"]);
  assert.equal(review.live.textContent, "dog");
  review.judging.undo();
  assert.equal(review.said.at(-1)[0], "Undone: dog");
  assert.equal("audit" in review.sent[1], false);
});

test("a card whose verdict is still on its way from a page that is gone is not an open card", () => {
  const item = finding(1);
  const review = page(item);
  review.outbox.unsentDecision = (id) => ({ finding: id, verdict: "keep" });
  review.judging.ahead(item);
  assert.deepEqual([item.status, item.label, item.by, review.judging.pending(item)], ["keep", 0, "Ann", false]);
});

test("an undone act on classes brings the names and what is offered with its answer", () => {
  const review = page(finding(1));
  const taken = [];
  review.takeClasses = ({ classes, offered }) => taken.push([classes, offered]);
  review.tally.refresh = () => {};
  review.judging.pushBulk(7);
  review.judging.undo();
  review.answer(1, { changeset: 8, undone: { act: "classes", text: "added the class smudge" }, items: [], classes: ["cat", "dog", "smudge"], offered: [0, 1] });
  assert.deepEqual(taken, [[["cat", "dog", "smudge"], [0, 1]]]);
  assert.deepEqual(review.said.at(-1)[0], "Undone: added the class smudge");
});
