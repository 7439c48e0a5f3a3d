// Construction of the review page's parts and the connections between them.

import { errorText } from "../shared/api.js";
import { h, openDialog, Toast } from "../shared/dom.js";
import { setGreyRange } from "../shared/format.js";
import { classesByDigit } from "../shared/keys.js";
import { OtherPeople, overruledText } from "../shared/other_people.js";
import { showsRegions } from "../shared/regions.js";
import { Bulk } from "./accept_all.js";
import { AcceptBar } from "./accept_bar.js";
import { ALWAYS, createActions, createKeyListener } from "./actions.js";
import { AuditBar, AuditSidebar, AuditTopline } from "./audit_parts.js";
import { OPEN } from "./card.js";
import { adjust, Tally } from "./counts.js";
import { Cursor } from "./cursor.js";
import { DEFAULT, toParams } from "./filters.js";
import { Grid } from "./grid.js";
import { Inspector } from "./inspector.js";
import { Judging } from "./judging.js";
import { labellingParts } from "./labelling.js";
import { Footer, Topline } from "./masthead.js";
import { linkTo } from "./queue.js";
import { regionParts } from "./region_parts.js";
import { openRemoval } from "./removal.js";
import { Digits, Greys } from "./settings.js";
import { heading, Sidebar } from "./sidebar.js";
import { Zoom } from "./zoom.js";
/** @import { Change, ClassId, Counts, Finding, Overruled } from "../shared/types.d.ts" */
/** @import { Audit } from "./audit.js" */
/** @import { SampleActs } from "./audit_parts.js" */
/** @import { Face } from "./card.js" */
/** @import { CardSize, Density } from "./grid.js" */
/** @import { InspectorActs, InspectorOptions } from "./inspector.js" */
/** @import { LabellingBar } from "./labelling.js" */
/** @import { ButtonWord, ToplineOptions } from "./masthead.js" */
/** @import { RegionFilters } from "./region_filters.js" */
/** @import { Review } from "./review.js" */
/** @import { RoundActs } from "./sidebar.js" */
/** @import { ZoomOptions } from "./zoom.js" */

/**
 * Parts and options of a page of regions, or of a round without suggestions, in place of the usual ones.
 *
 * @typedef {object} OwnParts
 * @property {Face} [face]
 * @property {() => ClassId[]} [digits] Class of each digit key.
 * @property {(options: ZoomOptions) => Zoom} [makeZoom]
 * @property {(options: InspectorOptions) => Inspector} [makeInspector]
 * @property {InspectorActs["alike"]} [alike]
 * @property {LabellingBar} [bar]
 * @property {[singular: string, plural: string]} [nouns] Of what is counted.
 * @property {Omit<ToplineOptions, "on">} [topline]
 * @property {ButtonWord[]} [buttons] Of the footer.
 * @property {Record<Density, CardSize>} [densities]
 * @property {RegionFilters} [regions]
 * @property {(counts: Counts, changes: Change[]) => Counts} [move]
 */

const NARROW = 1180; // pixels; below, the details are hidden until they are opened
const AUDIT_EVERY_MS = 600; // delay of the audit's numbers after a verdict

/** Make all parts, put them into the page and connect them. @param {Review} review */
export function build(review) {
  review.toast = new Toast();
  review.live = h("div", { class: "live", role: "status" });
  /** @type {OwnParts} */
  const own = showsRegions(review.info) ? regionParts(review) : review.labelling ? labellingParts(review) : {};
  review.face = review.audit?.face ?? own.face ?? OPEN;
  review.digitsOf = () => (review.audit ? null : own.digits?.()) ?? classesByDigit(review.classes);
  review.digits = review.digitsOf();
  const chosen = review.audit || review.digits ? null : makeDigits(review);
  review.digits ??= chosen?.fixed ?? null;
  review.chosenDigits = chosen;
  const shared = { api: review.api, classes: review.classes, face: review.face, digits: review.digits, networks: review.info.networks };
  /** @type {ZoomOptions} */
  const zoom = { root: review.root, keys: review.keys, ...shared, on: {
    step: (by) => review.cursor.step(by), pick: (label) => review.pick(label), act: (action) => review.actions[action](), closed: () => review.paint(), open: (item) => review.cursor.openZoom(item.id),
  } };
  review.zoom = own.makeZoom?.(zoom) ?? new Zoom(zoom);
  review.cursor = new Cursor(review);
  review.judging = new Judging(review);
  review.bulk = new Bulk(review);
  review.actions = createActions(review);
  review.others = new OtherPeople({
    ask: (after) => review.api.state(new URLSearchParams({ round: String(review.roundId), client: review.outbox.client, ...(after === null ? {} : { after: String(after) }) })),
    storage: review.storage, key: `${review.roundId}.${review.name ?? ""}`,
    changed: (overruled) => {
      review.tally.refresh({ soon: true });
      review.bulk.refresh();
      if (review.idle) review.reload();
      else review.refresh(review.cursor.page.map((item) => item.id));
      reportOverruled(review, overruled);
    },
  });
  /** @param {string} action */
  const act = (action) => review.ready || ALWAYS.has(action) ? review.actions[action]() : null;
  const buttons = review.audit ? buildAudit(review, review.audit) : buildQueue(review, own);
  review.grid = new Grid({ densities: own.densities, on: {
    focus: (index) => review.cursor.move(index - review.cursor.focus), zoom: (index) => review.cursor.openZoom(review.cursor.page[index]?.id),
    select: (index, { range }) => (range ? review.cursor.selectTo(index) : review.cursor.toggle(index)),
  } });
  review.footer = new Footer({ keys: review.keys, base: review.api.base, classes: review.classes, face: review.face, words: buttons, on: {
    act, open: (item) => (review.cursor.holds(item.id) ? review.cursor.goTo(item.id) : review.cursor.openZoom(item.id)), page: (by) => review.cursor.turn(by),
  } });
  /** @type {InspectorOptions} */
  const inspector = { ...shared, on: {
    pick: (label) => review.pick(label), open: (item) => review.cursor.openZoom(item.id), link: (item) => copyLink(review, item),
    alike: own.alike ?? (review.audit ? undefined : (set) => review.setFilter({ ...DEFAULT, ...set })),
  } };
  review.inspector = own.makeInspector?.(inspector) ?? new Inspector(inspector);
  setGreyRange(null);
  if (chosen) review.sidebar.element.append(chosen.element);
  if (review.info.window) review.sidebar.element.append(makeGreys(review, review.info.window).element);
  review.element.replaceChildren(review.sidebar.element,
    h("section", { class: "centre", "aria-label": "Findings" }, review.topline.element, review.bar.element, review.grid.element, review.footer.element),
    review.inspector.element, review.toast.element, review.live);
  review.element.classList.toggle("may-not-lead", !review.info.may_lead);
  review.inform(review.info);
  listen(review);
  review.topline.saved({ state: review.outbox.state, unsaved: review.outbox.unsaved, savedAt: null });
  review.density(/** @type {Density} */ (review.storage.getItem("outfold.density") ?? "M"), { draw: false });
  const narrow = matchMedia(`(width < ${NARROW}px)`);
  review.element.classList.toggle("inspector-off", narrow.matches);
  narrow.addEventListener("change", () => narrow.matches && review.element.classList.add("inspector-off"), { signal: review.stop.signal });
}

/** @param {Review} review @returns {ToplineOptions["on"]} */
const onTopline = (review) => ({ density: (letter) => review.density(letter), name: () => review.rename(), panel: (which) => review.panel(which) });
/** @param {Review} review @returns {SampleActs} */
const onSamples = (review) => ({ audit: (id) => review.onaudit(id), agreeing: () => review.bulk.sample({ show: "agreeing" }).catch((error) => review.toast.say(errorText(error), null, { warning: true })) });
/** @param {Review} review @returns {RoundActs} */
const onRounds = (review) => ({ round: (id) => review.onround(id), dataset: (id) => review.onround(id, { afresh: true }) });

/** Make the parts of a queue: filters, counts, accept-all; returns the footer's buttons. @param {Review} review @param {OwnParts} own */
function buildQueue(review, own) {
  review.tally = new Tally({
    ask: () => review.api.counts(toParams(review.filter, review.roundId)), quiet: () => review.outbox.unsaved === 0, draw: (counts) => review.showCounts(counts),
    move: (counts, changes) => (own.move ? own.move(adjust(counts, changes), changes) : adjust(counts, changes)),
  });
  review.topline = new Topline({ ...own.topline, on: onTopline(review) });
  review.sidebar = new Sidebar({ info: review.info, regions: own.regions, on: {
    filter: (changes) => review.setFilter(changes), count: (filter) => review.api.counts(toParams(filter, review.roundId)), undo: (changeset) => review.judging.undo(changeset), remove: () => openRemoval(review), ...onRounds(review), ...onSamples(review),
  } });
  review.bar = own.bar ?? new AcceptBar({
    api: review.api, roundId: review.roundId, storage: review.storage, ownThresholds: Boolean(review.info.round.class_thresholds), nouns: own.nouns, asks: review.info.may_lead, on: { open: () => review.bulk.open() },
  });
  return own.buttons;
}

/** Make an audit's parts in their place; returns the footer's buttons. @param {Review} review @param {Audit} audit @returns {ButtonWord[]} */
function buildAudit(review, audit) {
  const tally = new Tally({
    ask: () => review.api.audit(audit.id), quiet: () => review.outbox.unsaved === 0, draw: (now) => review.showAudit(now), move: (now) => now, every: AUDIT_EVERY_MS,
  });
  tally.counts = audit.now;
  review.tally = tally;
  review.topline = new AuditTopline({ filters: "☰ Samples", on: onTopline(review) });
  review.sidebar = new AuditSidebar({
    heading: heading(review.info, onRounds(review)), classes: review.classes, blind: audit.blind, oneClass: audit.oneClass, current: audit.id, on: onSamples(review),
  });
  review.bar = new AuditBar({ root: review.root, classes: review.classes, blind: audit.blind, on: {
    leave: () => review.onaudit(null), go: (finding) => review.lookAt(finding), accept: (other) => review.bulk.openAudit(other),
    blind: (on) => {
      audit.choose(on);
      review.onaudit(audit.id, { again: true });
    },
    open: (quarter) => review.onaudit(quarter.id),
    split: async (whole) => {
      try {
        review.showAudit(await review.api.quarters(whole.id));
      } catch (error) {
        review.toast.say(errorText(error), null, { warning: true });
      }
    },
    close: async (closed) => {
      review.showAudit(await review.api.closeAudit(audit.id, closed));
      await review.reload();
    },
  } });
  /** @type {ButtonWord[]} */
  const both = audit.oneClass ? [["accept", "right"]] : audit.blind ? [] : [["accept", "accept"], ["keep", "keep"]];
  return [...both, ["class", "this class is right"], ["search", "search"], ["ambiguous", "ambiguous"], ["exclude", "exclude"], ["second_opinion", "second opinion"], ["skip", "skip"], ["undo", "undo"], ["zoom", "zoom"], ["help", "all keys"]];
}

/** Copy the address of a card; a browser that forbids it shows the address to be copied by hand. @param {Review} review @param {Finding} item */
async function copyLink({ root, roundId, toast }, item) {
  const link = linkTo(location, roundId, item.id);
  try {
    await navigator.clipboard.writeText(link);
    toast.say("Link copied.");
  } catch {
    const field = h("input", { type: "text", class: "big", readOnly: true, value: link, "aria-label": "Link to this card" });
    openDialog(root, { label: "Link to this card", className: "search" }, field);
    field.select();
  }
}

/** @param {Review} review @param {ClassId[] | null} digits */
function takeDigits(review, digits) {
  for (const part of [review, review.inspector, review.zoom]) part.digits = digits;
}

/** Let every part know the classes as they are now. @param {Review} review */
export function renewParts(review) {
  if (review.chosenDigits) review.chosenDigits.renew();
  else takeDigits(review, review.digitsOf());
  review.sidebar.renew();
  review.footer.renew();
  if (review.ready) {
    review.drawPage();
    review.paint();
  }
  review.tally.refresh({ soon: true });
}

/** Make the choice of the digit keys' meaning. @param {Review} review */
function makeDigits(review) {
  const { root, storage, classes, info } = review;
  return new Digits({ root, storage, classes, dataset: info.round.dataset_id, onchange: (digits) => {
    takeDigits(review, digits);
    if (review.inspector.item) review.inspector.show(review.inspector.item);
  } });
}

/** Report own verdicts that others overruled, except during an audit. @param {Review} review @param {Overruled[]} overruled */
function reportOverruled(review, overruled) {
  const waiting = review.judging.waiting();
  const reported = overruled.filter(({ id }) => !waiting.has(id));
  if (review.audit || !reported.length) return;
  const show = { label: "Show", run: () => review.cursor.openZoom(reported[0].id) };
  review.toast.say(overruledText(reported, review.classes), show, { warning: true, sticky: true });
}

/** Make the choice of greys for images of more than 8 bits. @param {Review} review @param {[number, number]} own */
function makeGreys(review, own) {
  return new Greys({ dataset: review.info.round.dataset_id, own, storage: review.storage, onchange: () => {
    review.drawPage();
    review.paint();
    if (review.inspector.item) review.inspector.drawImage(review.inspector.item);
  } });
}

/** @param {Review} review */
function listen(review) {
  const { signal } = review.stop;
  review.outbox.listen({
    onStatus: (status) => {
      review.topline.saved(status);
      if (status.state === "name") review.askName();
    },
    onResult: (entry, result) => review.judging.stored(entry, result),
    onRefused: (entry, error) => review.judging.refused(entry, error),
    onHeld: (entries, error) => review.judging.held(entries, error),
  });
  addEventListener("keydown", createKeyListener(review, review.actions), { capture: true, signal });
  review.element.addEventListener("click", (event) => {
    // a mouse click on a control must not keep Space and Enter from the cards
    const target = /** @type {Element} */ (event.target);
    if (event.detail > 0 && target.closest("button") && !target.closest("dialog")) review.grid.element.focus({ preventScroll: true });
  }, { signal });
  let pointed = false;
  review.element.addEventListener("pointerdown", () => { pointed = true; }, { capture: true, signal });
  review.element.addEventListener("keydown", () => { pointed = false; }, { capture: true, signal });
  review.element.addEventListener("change", (event) => {
    // a filter set by mouse gives the keys back to the cards; by keyboard the focus stays where it is
    const target = /** @type {HTMLInputElement} */ (event.target);
    if ((pointed || target.type === "search") && !target.closest("dialog")) review.grid.element.focus({ preventScroll: true });
  }, { signal });
  document.addEventListener("visibilitychange", () => review.others.look(), { signal });
  addEventListener("focus", () => review.others.look(), { signal });
  review.others.look();
  const observer = new ResizeObserver(() => review.fit());
  observer.observe(review.grid.element);
  signal.addEventListener("abort", () => observer.disconnect());
}
