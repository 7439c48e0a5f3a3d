// The parts of the review page and what passes between them.

import { AcceptBar } from "./accept_bar.js";
import { ALWAYS, createActions, createKeyListener } from "./actions.js";
import { told } from "./api.js";
import { AuditBar, AuditTopline } from "./audit_bar.js";
import { AuditSidebar } from "./audits.js";
import { Bulk } from "./bulk.js";
import { Cursor } from "./cursor.js";
import { h } from "./dom.js";
import { OPEN } from "./face.js";
import { DEFAULT, toParams } from "./filters.js";
import { Footer } from "./footer.js";
import { drawGreys } from "./format.js";
import { Greys } from "./greys.js";
import { Grid } from "./grid.js";
import { Inspector } from "./inspector.js";
import { Judging } from "./judging.js";
import { classesByDigit } from "./keys.js";
import { Others } from "./others.js";
import { regionParts } from "./region_parts.js";
import { showsRegions } from "./regions.js";
import { Sidebar, heading } from "./sidebar.js";
import { Tally } from "./tally.js";
import { Toast } from "./toast.js";
import { Topline } from "./topline.js";
import { Zoom } from "./zoom.js";

const NARROW = 1180; // pixels; below, the details are out of the way until asked for
const AUDIT_EVERY_MS = 600; // how long a verdict may wait until the audit's numbers are asked for

/** Make every part, put it into the page and connect it. */
export function build(review) {
  review.toast = new Toast();
  review.live = h("div", { class: "live", role: "status" });
  review.face = review.audit?.face ?? OPEN;
  const own = showsRegions(review.info) ? regionParts(review) : {};
  review.digits = (review.audit ? null : own.digits) ?? classesByDigit(review.classes);
  const shared = { api: review.api, classes: review.classes, face: review.face, digits: review.digits, networks: review.info.networks, ...own.shared };
  review.zoom = new (own.Zoom ?? Zoom)({ root: review.root, keys: review.keys, ...shared, on: {
    step: (by) => review.cursor.step(by), pick: (label) => review.pick(label), act: (action) => review.actions[action](), closed: () => review.paint(), open: (item) => review.cursor.openZoom(item.id), ...own.on,
  } });
  review.cursor = new Cursor(review);
  review.judging = new Judging(review);
  review.bulk = new Bulk(review);
  review.actions = createActions(review);
  review.others = new Others({ ask: () => review.api.state(), changed: () => {
    review.tally.refresh({ soon: true });
    review.bulk.refresh();
    if (review.idle) review.reload();
    else review.refresh(review.cursor.page.map((item) => item.id));
  } });
  const act = (action) => review.ready || ALWAYS.has(action) ? review.actions[action]() : null;
  const words = review.audit ? buildAudit(review) : buildQueue(review, own);
  review.grid = new Grid({ ...own.grid, on: {
    focus: (index) => review.cursor.move(index - review.cursor.focus), zoom: (index) => review.cursor.openZoom(review.cursor.page[index]?.id),
    select: (index, { range }) => (range ? review.cursor.selectTo(index) : review.cursor.toggle(index)),
  } });
  review.footer = new Footer({ keys: review.keys, base: review.api.base, classes: review.classes, face: review.face, ...words, on: {
    act, open: (item) => (review.cursor.holds(item.id) ? review.cursor.goTo(item.id) : review.cursor.openZoom(item.id)), page: (by) => review.cursor.turn(by),
  } });
  review.inspector = new (own.Inspector ?? Inspector)({ ...shared, on: {
    pick: (label) => review.pick(label), open: (item) => review.cursor.openZoom(item.id), ...own.on,
    ...(review.audit ? {} : { alike: (set) => review.setFilter({ ...DEFAULT, ...set }) }),
  } });
  drawGreys(null);
  if (review.info.window) review.sidebar.element.append(greysOf(review).element);
  review.element.replaceChildren(review.sidebar.element,
    h("section", { class: "centre", "aria-label": "Findings" }, review.topline.element, review.bar.element, review.grid.element, review.footer.element),
    review.inspector.element, review.toast.element, review.live);
  review.inform(review.info);
  listen(review);
  review.topline.saved({ state: review.outbox.state, unsaved: review.outbox.unsaved, savedAt: null });
  review.density(review.storage.getItem("outfold.density") ?? "M", { draw: false });
  review.element.classList.toggle("inspector-off", innerWidth < NARROW);
}

const onTopline = (review) => ({ density: (letter) => review.density(letter), name: () => review.rename(), panel: (which) => review.panel(which) });
const onSamples = (review) => ({ audit: (id) => review.onaudit(id), agreeing: () => review.bulk.sample({ show: "agreeing" }).catch((error) => review.toast.say(told(error), null, { warning: true })) });
const onRounds = (review) => ({ round: (id) => review.onround(id), dataset: (id) => review.onround(id, { afresh: true }) });

/** Make what a queue has: filters, counts, accept-all; returns the footer's words. */
function buildQueue(review, own) {
  review.tally = new Tally({
    ask: () => review.api.counts(toParams(review.filter, review.roundId)), quiet: () => review.outbox.unsaved === 0, draw: (counts) => review.showCounts(counts),
  });
  review.topline = new Topline({ ...own.topline, on: onTopline(review) });
  review.sidebar = new Sidebar({ info: review.info, ...own.sidebar, on: { filter: (changes) => review.setFilter(changes), undo: (changeset) => review.judging.undo(changeset), ...onRounds(review), ...onSamples(review) } });
  review.bar = new AcceptBar({ api: review.api, roundId: review.roundId, storage: review.storage, ownThresholds: Boolean(review.info.round.class_thresholds), ...own.bar, on: { open: () => review.bulk.open() } });
  return own.footer;
}

/** Make what an audit has in their place; returns the footer's words. */
function buildAudit(review) {
  const { audit } = review;
  review.tally = new Tally({
    ask: () => review.api.audit(audit.id), quiet: () => review.outbox.unsaved === 0, draw: (now) => review.showAudit(now), move: (now) => now, every: AUDIT_EVERY_MS,
  });
  review.tally.counts = audit.now;
  review.topline = new AuditTopline({ filters: "☰ Samples", on: onTopline(review) });
  review.sidebar = new AuditSidebar({
    heading: heading(review.info, onRounds(review)), classes: review.classes, blind: audit.blind, oneClass: audit.oneClass, current: audit.id, on: onSamples(review),
  });
  review.bar = new AuditBar({ root: review.root, classes: review.classes, blind: audit.blind, on: {
    leave: () => review.onaudit(null), go: (finding) => review.lookAt(finding), accept: (one) => review.bulk.openAudit(one),
    blind: (on) => {
      audit.choose(on);
      review.onaudit(audit.id, { again: true });
    },
    open: (one) => review.onaudit(one.id),
    split: async (one) => {
      try {
        review.showAudit(await review.api.quarters(one.id));
      } catch (error) {
        review.toast.say(told(error), null, { warning: true });
      }
    },
    close: async (closed) => {
      review.showAudit(await review.api.closeAudit(audit.id, closed));
      await review.reload();
    },
  } });
  const both = audit.oneClass ? [["accept", "right"]] : audit.blind ? [] : [["accept", "accept"], ["keep", "keep"]];
  return { words: [...both, ["class", "this class is right"], ["search", "search"], ["ambiguous", "ambiguous"], ["exclude", "exclude"], ["second_opinion", "second opinion"], ["skip", "skip"], ["undo", "undo"], ["zoom", "zoom"], ["help", "all keys"]] };
}

/** Make the choice of greys for images of more than 8 bits. */
function greysOf(review) {
  const { window: own, round } = review.info;
  return new Greys({ dataset: round.dataset_id, own, storage: review.storage, onchange: () => {
    review.drawPage();
    review.paint();
    if (review.inspector.item) review.inspector.drawImage(review.inspector.item);
  } });
}

function listen(review) {
  const { signal } = review.stop;
  Object.assign(review.outbox, {
    onStatus: (status) => {
      review.topline.saved(status);
      if (status.state === "name") review.askName();
    },
    onResult: (entry, result) => review.judging.stored(entry, result),
    onRefused: (entry, error) => review.judging.refused(entry, error),
  });
  addEventListener("keydown", createKeyListener(review, review.actions), { capture: true, signal });
  review.element.addEventListener("click", (event) => {
    // a mouse click on a control must not keep Space and Enter from the cards
    if (event.detail > 0 && event.target.closest("button") && !event.target.closest("dialog")) review.grid.element.focus({ preventScroll: true });
  }, { signal });
  let pointed = false;
  review.element.addEventListener("pointerdown", () => { pointed = true; }, { capture: true, signal });
  review.element.addEventListener("keydown", () => { pointed = false; }, { capture: true, signal });
  review.element.addEventListener("change", (event) => {
    // a filter set by mouse gives the keys back to the cards; by keyboard the focus stays where it is
    if ((pointed || event.target.type === "search") && !event.target.closest("dialog")) review.grid.element.focus({ preventScroll: true });
  }, { signal });
  document.addEventListener("visibilitychange", () => review.others.look(), { signal });
  addEventListener("focus", () => review.others.look(), { signal });
  review.others.look();
  const observer = new ResizeObserver(() => review.fit());
  observer.observe(review.grid.element);
  signal.addEventListener("abort", () => observer.disconnect());
}
