// The parts of the review page and what passes between them.

import { AcceptBar } from "./accept_all.js";
import { ALWAYS, createActions, createKeyListener } from "./actions.js";
import { Bulk } from "./bulk.js";
import { Cursor } from "./cursor.js";
import { h } from "./dom.js";
import { toParams } from "./filters.js";
import { Footer } from "./footer.js";
import { Grid } from "./grid.js";
import { Inspector } from "./inspector.js";
import { Judging } from "./judging.js";
import { classesByDigit } from "./keys.js";
import { Others } from "./others.js";
import { regionParts } from "./region_parts.js";
import { showsRegions } from "./regions.js";
import { Sidebar } from "./sidebar.js";
import { Tally } from "./tally.js";
import { Toast } from "./toast.js";
import { Topline } from "./topline.js";
import { Zoom } from "./zoom.js";

const PROPOSED = 0.9; // where the round proposes no threshold
const NARROW = 1180; // pixels; below, the details are out of the way until asked for

/** Make every part, put it into the page and connect it. */
export function build(review) {
  review.toast = new Toast();
  review.live = h("div", { class: "live", role: "status" });
  const own = showsRegions(review.info) ? regionParts(review) : {};
  review.digits = own.digits ?? classesByDigit(review.classes);
  review.zoom = new (own.Zoom ?? Zoom)({ root: review.root, api: review.api, classes: review.classes, keys: review.keys, ...own.shared, on: {
    step: (by) => review.cursor.step(by), pick: (label) => review.pick(label), act: (action) => review.actions[action](), closed: () => review.paint(), open: (item) => review.cursor.openZoom(item.id), ...own.on,
  } });
  review.cursor = new Cursor(review);
  review.judging = new Judging(review);
  review.bulk = new Bulk(review);
  review.actions = createActions(review);
  review.tally = new Tally({
    ask: () => review.api.counts(toParams(review.filter, review.roundId)), quiet: () => review.outbox.unsaved === 0, draw: (counts) => review.showCounts(counts),
  });
  review.others = new Others({ ask: () => review.api.state(), changed: () => {
    review.tally.refresh({ soon: true });
    review.bulk.refresh();
    review.refresh(review.cursor.page.map((item) => item.id));
  } });
  const act = (action) => review.ready || ALWAYS.has(action) ? review.actions[action]() : null;
  review.topline = new Topline({ ...own.topline, on: { density: (letter) => review.density(letter), name: () => review.rename(), panel: (which) => review.panel(which) } });
  review.sidebar = new Sidebar({ info: review.info, ...own.sidebar, on: { filter: (changes) => review.setFilter(changes), round: (id) => review.onround(id), dataset: (id) => review.onround(id, { afresh: true }), undo: (changeset) => review.judging.undo(changeset) } });
  review.bar = new AcceptBar({ api: review.api, roundId: review.roundId, threshold: review.info.round.proposed_threshold ?? PROPOSED, ownThresholds: Boolean(review.info.round.class_thresholds), ...own.bar, on: { open: () => review.bulk.open() } });
  review.grid = new Grid({ ...own.grid, on: {
    focus: (index) => review.cursor.move(index - review.cursor.focus), zoom: (index) => review.cursor.openZoom(review.cursor.page[index]?.id),
    select: (index, { range }) => (range ? review.cursor.selectTo(index) : review.cursor.toggle(index)),
  } });
  review.footer = new Footer({ keys: review.keys, base: review.api.base, classes: review.classes, ...own.footer, on: {
    act, open: (item) => (review.cursor.holds(item.id) ? review.cursor.goTo(item.id) : review.cursor.openZoom(item.id)), page: (by) => review.cursor.turn(by),
  } });
  review.inspector = new (own.Inspector ?? Inspector)({ api: review.api, classes: review.classes, ...own.shared, on: {
    pick: (label) => review.pick(label), open: (item) => review.cursor.openZoom(item.id), ...own.on,
  } });
  review.element.replaceChildren(review.sidebar.element,
    h("section", { class: "centre", "aria-label": "Findings" }, review.topline.element, review.bar.element, review.grid.element, review.footer.element),
    review.inspector.element, review.toast.element, review.live);
  listen(review);
  review.topline.saved({ state: review.outbox.state, unsaved: review.outbox.unsaved, savedAt: null });
  review.density(review.storage.getItem("outfold.density") ?? "M", { draw: false });
  review.element.classList.toggle("inspector-off", innerWidth < NARROW);
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
