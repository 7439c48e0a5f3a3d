import assert from "node:assert/strict";
import { test } from "node:test";

import { lastThreshold, proposalOf } from "../../app/components/review_grid/accept_bar.js";
import { addressWith, Audit, auditActions, auditIn, gapOf, setName, setOfAudit } from "../../app/components/review_grid/audit.js";
import { recalibrationLines, replaceAudit } from "../../app/components/review_grid/audit_parts.js";
import { advice, interval, acceptLabel, sampleButton, shortPrecision } from "../../app/components/review_grid/precision.js";
import { FakeStorage, finding } from "./fakes.js";

const PRECISION = { share: 0.931, low: 0.882, high: 0.9701, level: 0.9, verdicts: 60, of: "this set" };
const CERTIFICATE = { share: 0.953, sure: 95, judged: 88, size: 1204, open: 1116, text: "at least 95.3 % of the 1,204 then right (95 % sure; 88 random cards)" };
const known = (over = {}) => ({ precision: null, certificate: null, model: null, size: 1204, text: "Precision unknown: no random sample of this set has been judged.", ...over });

test("the address of an audit keeps its other parameters", () => {
  assert.deepEqual([auditIn("?round=3&audit=12"), auditIn("?round=3"), auditIn("?audit=-1"), auditIn("?audit=x")], [12, null, null, null]);
  const place = { pathname: "/review", search: "?round=3&given=1" };
  assert.equal(addressWith(12, place), "/review?round=3&given=1&audit=12");
  assert.equal(addressWith(null, { ...place, search: "?round=3&given=1&audit=12" }), "/review?round=3&given=1");
});

test("a set is described in words, its threshold apart from its filter", () => {
  const audit = { filter: { show: "suspicious", given: 0, pseudo: 1, min: 0.95, max: null }, threshold: 0.95 };
  assert.equal(setName(audit, ["cat", "dog"]), "suspicious, cat → dog, above 0.95");
  assert.deepEqual([setOfAudit(audit).filter.min, setOfAudit(audit).threshold, setOfAudit(audit).filter.status], [0, 0.95, "todo"]);
  assert.equal(setName({ filter: { show: "agreeing" }, threshold: null }, []), "agreeing");
  assert.equal(setName({ filter: { show: "suspicious", min: 0.5, max: 0.62 }, threshold: 0.5 }, []), "suspicious, 0.50 to 0.62");
  assert.equal(setName({ filter: { show: "unlabelled", min: 0 }, threshold: null, by_class: true }, []), "unlabelled, above each class's own threshold");
});

test("the gap in the evidence is shown only where a later card waits to count", () => {
  const person = { isSkipped: (id) => id === 7, name: "Ann" };
  const gap = (why, finding = 1, by = null) => gapOf({ gap: { place: 37, finding, why, by }, beyond: 2 }, person)?.text;
  assert.deepEqual([gap("open", 7), gap("leased", 1, "Bob"), gap("leased", 1, "Ann"), gap("second_opinion")], [
    "card 38 waits: skipped", "card 38 waits: with Bob", "card 38 waits: no verdict yet", "card 38 waits: second opinion",
  ]);
  assert.equal(gapOf({ gap: { place: 3, finding: 1, why: "open" }, beyond: 0 }, person), null);
  assert.equal(gapOf({ gap: null, beyond: 0 }, person), null);
});

test("blind is on until it is switched off, and stays off", () => {
  const storage = new FakeStorage();
  const open = () => new Audit({ now: { id: 1, kind: "suspicious" }, api: {}, client: "", classes: [], storage });
  assert.equal(open().blind, true);
  open().choose(false);
  assert.deepEqual([open().blind, open().marks], [false, { audit: 1, blind: false }]);
});

test("cards are asked for from the beginning on, behind the last place held, and never too many", async () => {
  const asked = [];
  const api = { auditCards: async (id, body) => { asked.push([id, body.after, body.limit]); return { items: [], next: null, audit: { id, kind: "suspicious", judged: 1 } }; } };
  let now = 0;
  const audit = new Audit({ now: { id: 4, kind: "suspicious" }, api, client: "here", classes: [], storage: new FakeStorage(), clock: () => now });
  await audit.cards(null, 24);
  await audit.cards(23, 500);
  assert.deepEqual(asked, [[4, -1, 24], [4, 23, 48]]);
  assert.equal(audit.now.judged, 1);
  await audit.renew(10);
  assert.equal(asked.length, 2, "the lease is young");
  now = 6 * 60_000;
  await audit.renew(10);
  assert.deepEqual(asked[2], [4, -1, 10]);
  assert.deepEqual([audit.pageSize({ columns: 8, size: 32 }), audit.pageSize({ columns: 16, size: 128 }), audit.pageSize({ columns: 3, size: 9 })], [32, 48, 9]);
});

test("while it is blind the keys of accept and keep explain themselves, and a row is never accepted unseen", () => {
  const said = [];
  const done = [];
  const selection = new Set();
  const review = (audit) => ({ audit, toast: { say: (text) => said.push(text) }, cursor: { targets: () => [finding(1)], selection, moveOn: () => {} }, judging: { verdict: (_, verdict) => done.push(verdict) } });
  const queue = { accept: () => done.push("accept"), keep: () => done.push("keep") };
  const blind = auditActions(review({ blind: true, oneClass: false }), queue);
  for (const action of ["accept", "keep", "accept_many", "edit", "view"]) blind[action]();
  assert.deepEqual([said.length, done], [5, []]);
  const seeing = auditActions(review({ blind: false, oneClass: false }), queue);
  seeing.accept();
  seeing.keep();
  seeing.accept_many();
  assert.deepEqual(done, ["accept", "keep"]);
  selection.add(1);
  seeing.accept_many();
  const agreeing = auditActions(review({ blind: true, oneClass: true }), queue);
  agreeing.accept();
  agreeing.keep();
  assert.deepEqual(done, ["accept", "keep", "accept", "accept", "accept"], "right is right, by whichever key");
});

test("nothing is promised of a set without a random sample", () => {
  const preview = { count: 1204, known: known(), audit: null, to_certify: 59 };
  assert.equal(shortPrecision(preview.known), "precision unknown");
  assert.equal(acceptLabel(preview), "Accept 1,204 (precision unknown)");
  assert.equal(sampleButton(null), "Check a random sample");
  const words = "60 verdicts on random cards answer how right it is. A certificate takes 59 flawless cards.";
  assert.equal(advice(preview), words);
  assert.equal(advice({ ...preview, to_certify: null, audit: { judged: 0, needed: 59, state: "open" } }), words, "the sample has begun");
  assert.equal(advice({ ...preview, not_drawn: "a random sample is of one kind of findings" }), "");
});

test("an estimate is shown with its interval, rounded outwards, and its number of verdicts", () => {
  const preview = { count: 1204, known: known({ precision: PRECISION }), audit: { state: "open", judged: 60, needed: 23 }, to_certify: 59 };
  assert.equal(interval(PRECISION), "88 to 98 %");
  assert.equal(shortPrecision(preview.known), "93 % right (88 to 98 %, 60 random)");
  assert.equal(acceptLabel(preview), "Accept 1,204 (93 % right: 88 to 98 %, 60 random verdicts)");
  assert.equal(advice(preview), "23 more flawless cards to a certificate.");
  assert.equal(sampleButton(preview.audit), "Continue the random sample (60 judged)");
  assert.match(advice({ ...preview, audit: { state: "failed", judged: 60, needed: null } }), /out of reach/);
});

test("the share of a set that is judged to its last card is a count, not an estimate", () => {
  const counted = known({ precision: { ...PRECISION, low: 0.93, high: 0.93, counted: true } });
  assert.equal(shortPrecision(counted), "93 % right (counted, all 60 judged)");
  assert.equal(acceptLabel({ count: 4, known: counted }), "Accept 4 (93 % right: counted, all 60 judged)");
});

test("a certificate says what it is of, how sure, and from how many cards", () => {
  const preview = { count: 1116, known: known({ certificate: CERTIFICATE }), audit: { state: "certified", judged: 88 } };
  assert.equal(acceptLabel(preview), "Accept the 1,116 open of 1,204: at least 95.3 % of the 1,204 then right (95 % sure; 88 random cards)");
  assert.equal(shortPrecision(preview.known), "✓ certified: at least 95.3 % of the 1,204 then right");
  assert.equal(advice(preview), "");
  assert.equal(sampleButton(preview.audit), "Look at the random sample");
});

test("the threshold stays where it was left, and no proposal moves it", () => {
  const storage = new FakeStorage();
  assert.equal(lastThreshold(storage), 0.95);
  storage.setItem("outfold.threshold", "0.4");
  assert.equal(lastThreshold(storage), 0.4);
  storage.setItem("outfold.threshold", "nonsense");
  assert.equal(lastThreshold(storage), 0.95);
  assert.deepEqual([proposalOf(null), proposalOf({ verdicts: 0, proposed_threshold: null, reason: "no sample" })], [null, null]);
  assert.deepEqual(proposalOf({ verdicts: 60, proposed_threshold: 0.91, reason: "" }), ["Proposed: 0.91", 0.91]);
  assert.deepEqual(proposalOf({ verdicts: 60, proposed_threshold: null, reason: "too few are right" }), ["No threshold is proposed: too few are right", null]);
});

test("a newer state of an audit replaces the older one, also among quarters", () => {
  const audits = [{ id: 1, judged: 3, quarters: [{ id: 2, judged: 0 }] }, { id: 4, judged: 5, quarters: null }];
  assert.equal(replaceAudit(audits, { id: 2, judged: 7 })[0].quarters[0].judged, 7);
  assert.deepEqual(replaceAudit(audits, { id: 4, judged: 6 })[1], { id: 4, judged: 6 });
});

test("results of random verdicts on the whole dataset are shown with their interval", () => {
  const recalibration = { verdicts: 60, agreeing_verdicts: 60, errors: { estimate: 4505.4, text: "Wrong labels: about 4,505." }, next_errors: { estimate: 41, low: 30, high: 52, level: 0.9 }, next_cards: 100 };
  assert.deepEqual(recalibrationLines(recalibration), [
    "Wrong labels: about 4,505.", "Errors among the next 100 cards: about 41 (90 % interval 30 to 52).", "From 60 random verdicts on disagreements and 60 on agreements.",
  ]);
  assert.equal(recalibrationLines({ ...recalibration, warning: "Confidence misleads." })[0], "Confidence misleads.");
  assert.deepEqual(recalibrationLines({ verdicts: 0, agreeing_verdicts: 0, errors: null, next_errors: null, next_cards: 0 }), []);
  assert.deepEqual(recalibrationLines(null), []);
});
