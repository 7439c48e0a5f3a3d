// The review page: its state, its requests, and its parts.

import { askName } from "../shared/annotator.js";
import { ApiError, errorText } from "../shared/api.js";
import { renewClasses, shareClasses } from "../shared/classes.js";
import { h, troubleState } from "../shared/dom.js";
import { cardUrls } from "../shared/format.js";
import { Audit } from "./audit.js";
import { replaceAudit } from "./audit_parts.js";
import { openNote, currentNote } from "./card.js";
import { auditState, emptyState, runningState } from "./empty.js";
import { DEFAULT, filterOfPath, parse, serialise, toParams } from "./filters.js";
import { suggestsNothing, withClasses } from "./labelling.js";
import { FindingMap, Queue, Skips, firstIndexOf, cardInQuery, withoutCard } from "./queue.js";
import { isSettled } from "./verdicts.js";
import { build, renewParts } from "./wiring.js";
/** @import { AuditState, ClassId, ClassList, Classes, Counts, Filter, Finding, RoundInfo, Status } from "../shared/types.d.ts" */
/** @import { Api } from "../shared/api.js" */
/** @import { Toast } from "../shared/dom.js" */
/** @import { Keys } from "../shared/keys.js" */
/** @import { OtherPeople } from "../shared/other_people.js" */
/** @import { Outbox } from "../shared/outbox.js" */
/** @import { PageEnd } from "../shared/search.js" */
/** @import { Bulk } from "./accept_all.js" */
/** @import { AcceptBar } from "./accept_bar.js" */
/** @import { AuditBar, AuditSidebar, AuditTopline } from "./audit_parts.js" */
/** @import { Face } from "./card.js" */
/** @import { Tally } from "./counts.js" */
/** @import { Cursor } from "./cursor.js" */
/** @import { Density, Grid } from "./grid.js" */
/** @import { Inspector } from "./inspector.js" */
/** @import { Judging } from "./judging.js" */
/** @import { LabellingBar } from "./labelling.js" */
/** @import { Footer, Topline } from "./masthead.js" */
/** @import { Overlay } from "./overlay.js" */
/** @import { QueuePosition } from "./queue.js" */
/** @import { Siblings } from "./region_parts.js" */
/** @import { Digits } from "./settings.js" */
/** @import { Sidebar } from "./sidebar.js" */
/** @import { Zoom } from "./zoom.js" */

/** @typedef {Pick<Review, "root" | "api" | "keys" | "outbox" | "storage" | "roundId" | "isAlive" | "onround" | "onaudit"> & { auditId?: number | null }} ReviewOptions */

const LAST_ACT_MS = 1500; // longest wait for the last verdict to be stored before counts are requested
const POLL_MS = 3000; // while the round is still running
const ASKED = 500; // ids per request for findings
const FOUND = 30; // images of one page of a search
const NEARLY = 8; // cards left on a page of an audit when the next ones are leased: in time, but no earlier

export class Review {
  // Arguments of the constructor.
  /** @type {ShadowRoot | HTMLElement} */ root;
  /** @type {Api} */ api;
  /** @type {Keys} */ keys;
  /** @type {Outbox} */ outbox;
  /** @type {Storage} */ storage;
  /** @type {number} */ roundId;
  /** @type {number | null} Audit whose cards are shown in place of the queue. */ auditId;
  /** @type {(client: string) => boolean} */ isAlive;
  /** @type {(id: number, options?: { afresh?: boolean }) => void} Leads to another round. */ onround;
  /** @type {(audit: number | null, options?: { again?: boolean }) => void} Leads to an audit, or back to the queue. */ onaudit;

  // Data of the round, from `start` on.
  /** @type {string | null} Name of the annotator. */ name = null;
  /** @type {RoundInfo} */ info;
  /** @type {Classes} */ classes;
  /** @type {Audit | null} */ audit = null;
  /** @type {Filter} */ filter;
  /** @type {boolean} Whether the round suggests no labels. */ labelling;
  /** @type {FindingMap} */ byId;
  /** @type {Queue} */ queue;
  /** @type {Skips} */ skips;

  // State of the page.
  /** @type {boolean} Whether there are cards to act on. */ ready = false;
  /** @type {boolean} Whether an audit waits for cards to become free. */ idle = false;
  stop = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ poll;
  /** @type {boolean} Whether the name is being asked for. */ asking = false;
  /** @type {string} The audit's state in which it had no card for this person. */ rested;
  /** @type {string} Card size in which the page was drawn. */ drawnDensity;
  /** @type {number | null} Start of the page that was fetched ahead. */ fetchedAhead = null;
  /** @type {HTMLImageElement[]} Images of that page, referenced so that the browser keeps them. */ prefetched;
  /** @type {Set<number | undefined> | null | undefined} Ids of cards to repaint, null for all; undefined while nothing is to do. */ dirty;
  /** @type {number | undefined} Id of the card painted with the focus. */ painted;

  // Parts, made by `build` (wiring.js).
  /** @type {HTMLElement} */ element;
  /** @type {HTMLElement} Region of the page that is read aloud. */ live;
  /** @type {Face} */ face;
  /** @type {ClassId[] | null} Class of each digit key; null: the likeliest classes of each card. */ digits;
  /** @type {() => ClassId[] | null} */ digitsOf;
  /** @type {Digits | null} */ chosenDigits;
  /** @type {Record<string, (place?: number, event?: KeyboardEvent) => unknown>} */ actions;
  /** @type {AcceptBar | AuditBar | LabellingBar} */ bar;
  /** @type {Bulk} */ bulk;
  /** @type {Cursor} */ cursor;
  /** @type {number | undefined} */ detailsFrame;
  /** @type {Footer} */ footer;
  /** @type {Grid} */ grid;
  /** @type {Inspector} */ inspector;
  /** @type {Judging} */ judging;
  /** @type {OtherPeople} */ others;
  /** @type {Sidebar | AuditSidebar} */ sidebar;
  /** @type {Tally<Counts> | Tally<AuditState>} */ tally;
  /** @type {Toast} */ toast;
  /** @type {Topline} */ topline;
  /** @type {Zoom} */ zoom;
  /** @type {Overlay | undefined} Of regions. */ overlay;
  /** @type {QueuePosition | undefined} Of regions. */ place;
  /** @type {Siblings | undefined} Of regions. */ siblings;

  /** @param {ReviewOptions} options */
  constructor({ root, api, keys, outbox, storage, roundId, auditId = null, isAlive, onround, onaudit }) {
    this.root = root;
    this.api = api;
    this.keys = keys;
    this.outbox = outbox;
    this.storage = storage;
    this.roundId = roundId;
    this.auditId = auditId;
    this.isAlive = isAlive;
    this.onround = onround;
    this.onaudit = onaudit;
    this.filter = parse(location.search);
    this.byId = new FindingMap(() => this.#referenced());
    this.element = h("div", { class: "outfold", dataset: { ready: "false" } });
  }

  /** Return the ids of findings that a card, an act to undo or a request still refers to. */
  #referenced() {
    const { queue, judging, zoom } = this;
    const siblings = this.siblings?.ids() ?? [];
    const items = [...queue.items, ...queue.held, ...queue.away, ...judging.log.items(), zoom.item];
    return new Set([...siblings, ...items.flatMap((item) => item?.id ?? []), ...judging.waiting()]);
  }

  /** Fetch everything, then draw the page. */
  async start() {
    try {
      const [me, info, now] = await Promise.all([this.api.me(), this.api.round(this.roundId), this.auditId && this.api.audit(this.auditId)]);
      this.name = me.name;
      this.info = info;
      this.classes = shareClasses(info);
      info.classes = this.classes;
      if (now && now.round !== this.roundId) throw new ApiError(404, { error: "This sample belongs to another round.", cure: "Open it from the page of its own round." });
      this.labelling = suggestsNothing(info);
      if (this.labelling) this.filter.show = "unlabelled";
      this.audit = now ? new Audit({ now, api: this.api, client: this.outbox.client, classes: info.classes, storage: this.storage }) : null;
    } catch (error) {
      const gone = this.auditId && error.status === 404;
      this.element.replaceChildren(gone ? troubleState(error, () => this.onaudit(null), "Back to the queue") : troubleState(error, () => this.start()));
      return;
    }
    if (this.stop.signal.aborted) return;
    if (this.info.round.status !== "done") {
      this.element.replaceChildren(runningState(this.info));
      this.poll = setTimeout(() => this.start(), POLL_MS);
      return;
    }
    build(this);
    this.#person();
    this.grid.element.focus({ preventScroll: true }); // else the keys belong to the link that led here
    if (this.audit) {
      this.showAudit(this.audit.now);
      if (!this.name) await this.askName(); // leases of cards need a name
      await this.reload();
      return;
    }
    const place = this.place?.take();
    await Promise.all([this.reload(place), this.name ? null : this.askName()]);
    await this.#openLinked();
  }

  /** Open the card that the address names, whatever the filter; then the address is the queue's again. */
  async #openLinked() {
    const card = cardInQuery(location.search);
    if (card === null || this.stop.signal.aborted) return;
    history.replaceState(history.state, "", withoutCard(location));
    if (!(await this.cursor.openZoom(card))) this.toast.say("The card of this link is not in this round.", null, { warning: true });
  }

  /** Return whether a card of this status asks for a verdict. @param {Status} status */
  waits(status) {
    return this.audit ? this.audit.waits(status) : !isSettled(status);
  }

  /** Return whether the queue shows decided cards. */
  get looksBack() {
    return !this.audit && !["todo", "open", "second_opinion"].includes(this.filter.status);
  }

  /**
   * Restart the queue: after a filter, a bulk act, a change of person; at `place` when the page was left there.
   *
   * @param {{ start: number, ids: number[] } | null} [place]
   */
  async reload(place = null) {
    this.ready = false;
    this.idle = false;
    this.element.dataset.ready = "false";
    this.judging.touched.clear();
    const queue = new Queue((after, limit) => this.#chunk(after, limit), (id) => !this.looksBack && this.skips.has(id), (back) => this.judging.wake(back), this.audit ? { chunk: 1 } : {});
    this.queue = queue;
    this.grid.skeleton();
    this.tally.refresh({ soon: true });
    try {
      if (this.audit) await this.outbox.settled(LAST_ACT_MS); // else the server would hand out cards that were judged a moment ago
      queue.resize(this.#pageSize());
      await queue.load(place?.start ?? 0);
      if (queue !== this.queue) return; // the filter changed meanwhile
      this.grid.chooseAspect(queue.items.slice(0, 40));
      queue.resize(this.#pageSize());
      this.ready = queue.items.length > 0;
      if (this.ready && place) this.cursor.arriveAt(firstIndexOf(place.ids, queue.items));
      else if (this.ready) this.cursor.arrive();
      else await this.finish();
    } catch (error) {
      if (queue === this.queue && !this.stop.signal.aborted) this.grid.replace(troubleState(error, () => this.reload()));
      return;
    }
    if (queue === this.queue) this.element.dataset.ready = "true";
  }

  /** @param {Partial<Filter>} changes */
  setFilter(changes) {
    this.filter = { ...this.filter, ...changes, ...(this.labelling ? { show: "unlabelled" } : {}) };
    const query = serialise(this.filter, location.search);
    history.replaceState(history.state, "", `${location.pathname}${query ? `?${query}` : ""}${location.hash}`);
    return this.reload();
  }

  /** Show the end of the queue, with the next step. */
  async finish() {
    this.ready = false;
    const { queue } = this;
    const stored = await this.outbox.settled(LAST_ACT_MS);
    const numbers = !stored && this.tally.counts ? this.tally.counts : await this.tally.fresh();
    const counts = /** @type {Counts} */ (numbers); // of a queue; for an audit they are not used
    if (queue !== this.queue || this.cursor.page.some((item) => this.judging.pending(item))) return; // another filter, or undone
    if (this.labelling && this.filter.similar && !counts.todo) return this.setFilter({ ...DEFAULT }); // on with the others
    this.queue.start = this.queue.items.length; // behind the last page: back and undo still find it
    this.idle = Boolean(this.audit); // cards that become free are fetched after the next act of another annotator
    if (this.audit) this.#rest(this.audit);
    else this.grid.replace(emptyState({
      counts, skipped: this.#skipped(), filter: this.filter, info: this.info, again: () => this.reload(), setFilter: (changes) => this.setFilter(changes),
    }));
    this.paint();
  }

  /** Show the reason why an audit has no card for this person at the moment. @param {Audit} audit */
  #rest({ now }) {
    const state = JSON.stringify(now);
    if (state === this.rested && this.grid.element.querySelector(".empty-state")) return;
    this.rested = state;
    this.grid.replace(auditState({
      audit: now, skipped: this.#skipped(), name: this.name, again: () => this.reload(), leave: () => this.onaudit(null), accept: () => this.bulk.openAudit(now),
    }));
  }

  #skipped() {
    return [...this.skips.ids].filter((id) => this.byId.has(id)).length;
  }

  /** Relabel the targets. @param {ClassId} label */
  pick(label) {
    if (this.judging.relabel(this.cursor.targets(), label)) this.cursor.moveOn();
  }

  /** Add a class, then give it to the targets; nothing changes without the server's answer. @param {string} name */
  async pickNew(name) {
    const targets = this.cursor.targets();
    const current = this.cursor.current()?.id;
    /** @param {string} why */
    const failed = (why) => this.toast.say(`The class ${name} was not added: ${why}`, null, { warning: true, sticky: true });
    if (!(await this.outbox.settled(LAST_ACT_MS))) { // else undo would take the class back before verdicts that came first
      failed("earlier verdicts are not stored yet. Try again when the page says saved.");
      return;
    }
    let added;
    try {
      added = await this.api.act({ op: "add_class", client: this.outbox.client, seq: this.outbox.nextSeq(), round: this.roundId, name });
    } catch (error) {
      failed(error.status === 0 ? "the server cannot be reached. Try again when the page says saved." : errorText(error));
      return;
    }
    this.takeClasses(added);
    if (typeof added.changeset === "number") this.judging.pushBulk(added.changeset);
    if (added.class !== undefined && this.judging.relabel(targets, added.class) && this.cursor.current()?.id === current) this.cursor.moveOn();
  }

  /** Take over newer classes, in the array that all parts of the page share. @param {ClassList} fresh */
  takeClasses(fresh) {
    const { colours } = this.info;
    colours?.splice(0, colours.length, ...fresh.colours ?? []);
    if (!renewClasses(this.classes, fresh)) return;
    for (const item of this.byId.values()) Object.assign(item, this.#dressed(item));
    renewParts(this);
    const { queue } = this;
    const known = queue ? [...queue.items, ...queue.held, ...queue.away] : [];
    this.refresh(known.map(({ id }) => id)).then(() => { // merged classes: cards are of other ones now
      if (queue === this.queue && !this.stop.signal.aborted) this.#followMerges();
      this.paint();
    });
  }

  /**
   * Remove waiting cards whose given and suggested class were merged, and return those that differ again. Focused, selected and zoomed cards
   * stay: a key that is already pressed would mean another card.
   */
  async #followMerges() {
    const { queue, cursor, zoom } = this;
    if (this.ready) this.drawPage();
    if (!queue || this.audit) return;
    const shown = new Set(this.filter.show.split(","));
    const focused = cursor.page[cursor.focus];
    /** @param {Finding} item */
    const atHand = (item) => item === focused || item === zoom.item || cursor.selection.has(item.id);
    if (!queue.keep((item) => shown.has(item.kind) || !this.judging.pending(item) || atHand(item))) return;
    await queue.load().catch(() => {}); // the page is short then, and the next one is requested again
    if (queue === this.queue && !this.stop.signal.aborted && queue.page.length) cursor.stay(focused);
  }

  /** Write a note on a card, beginning with its present one. @param {Finding | undefined} item */
  async note(item) {
    if (!item) return;
    const pending = this.judging.notes.get(item.id);
    const known = pending === undefined ? (this.inspector.details.get(item.id) ?? (await this.api.finding(item.id).catch(() => null))) : null;
    if (this.stop.signal.aborted) return;
    const text = pending ?? currentNote(known?.notes);
    openNote({ root: this.root, name: this.face.name(item), text, onsave: (written) => this.judging.note(item, written) });
  }

  /** Fetch the state of these items. @param {number[]} ids */
  async refresh(ids) {
    for (let from = 0; from < ids.length; from += ASKED) {
      const params = new URLSearchParams({ round: String(this.roundId), ids: ids.slice(from, from + ASKED).join(",") });
      const { items } = await this.api.findings(params).catch(() => ({ items: [] }));
      for (const fresh of items) this.know(fresh);
    }
    if (ids.length) this.paint(new Set(ids));
  }

  /** Resolve to a page of findings whose image name contains a text, whatever the filter. @param {string} name @param {PageEnd} after */
  async find(name, after) {
    const params = toParams(filterOfPath(name), this.roundId, { limit: String(FOUND), ...(after === null ? {} : { after: String(after) }) });
    const { items, next } = await this.api.findings(params);
    /** @param {Finding} item */
    const words = (item) => this.face.badge(item, this.classes)?.[1] ?? (item.kind === "suspicious" ? this.face.title(item, this.classes) : item.kind);
    return { items: items.map((item) => ({ id: item.id, hash: item.hash, name: item.name, words: words(item) })), next };
  }

  /** Draw the queue's page from scratch and fetch the one after it; an audit's when it is nearly needed. */
  drawPage() {
    this.drawnDensity = this.grid.density;
    this.grid.draw(this.queue.page, { face: this.face, digits: this.digits, classes: this.classes, colours: this.info.colours, base: this.api.base });
    this.fetchedAhead = null;
    if (!this.audit) this.#ahead();
  }

  /** Fetch the page after the one shown, with its images, once. */
  #ahead() {
    const { queue } = this;
    const next = queue.start + queue.size;
    if (this.fetchedAhead === next) return;
    this.fetchedAhead = next;
    queue.load(next).then(() => {
      const urls = queue.items.slice(next, next + queue.size).flatMap((item) => cardUrls(this.api.base, item, this.grid.pixels));
      this.prefetched = urls.map((src) => Object.assign(new Image(), { src }));
      if (queue === this.queue) this.#footer();
    }).catch(() => {}); // requested again, and reported, when the page is turned
  }

  /** Repaint cards (all, or those with these ids) and the parts that follow the focus, once per key. @param {Set<number> | null} [ids] */
  paint(ids = null) {
    if (this.dirty === undefined) queueMicrotask(() => this.#paintNow());
    this.dirty = ids === null || this.dirty === null ? null : new Set([...(this.dirty ?? []), ...ids]);
  }

  /** Draw the details of the focused card and the footer after the frame that shows the cards, once for all keys until then. */
  #paintDetails() {
    this.detailsFrame ??= requestAnimationFrame(() => setTimeout(() => {
      this.detailsFrame = undefined;
      if (this.stop.signal.aborted) return;
      const { focus, page } = this.cursor;
      this.inspector.show(page[focus], page[focus + 1]);
      this.#footer();
    }));
  }

  #paintNow() {
    const ids = this.dirty;
    this.dirty = undefined;
    if (this.stop.signal.aborted) return;
    const { focus, selection, page } = this.cursor;
    const item = page[focus];
    this.grid.paint({ focus, selection }, ids && new Set([...ids, item?.id, this.painted]));
    this.painted = item?.id;
    const { zoom } = this;
    const zoomed = zoom.follows && item ? item : zoom.item;
    if (zoom.open && zoomed) zoom.show(zoomed, { follows: zoom.follows });
    this.grid.follow();
    this.#paintDetails();
    if (this.audit && this.ready && page.filter((card) => this.judging.pending(card)).length <= NEARLY) this.#ahead();
  }

  /** Change the annotator, once all acts of the former name are stored. */
  async rename() {
    if (await this.outbox.settled(LAST_ACT_MS)) await this.askName();
    else this.toast.say("Some verdicts are not saved yet. Change the name when they are.", null, { warning: true });
  }

  async askName() {
    if (this.asking) return;
    this.asking = true;
    await askName({ root: this.root, name: this.name, save: async (name) => this.#renamed((await this.api.rename(name)).name ?? name) });
    this.asking = false;
    this.#person();
    this.grid.element.focus({ preventScroll: true });
  }

  unmount() {
    this.stop.abort();
    clearTimeout(this.poll);
    this.tally?.stop();
    this.others?.stop();
    this.zoom?.close();
    this.element.remove();
  }

  /** @param {string} name */
  #renamed(name) {
    const another = Boolean(this.name) && name !== this.name;
    if (name !== this.name) this.judging.log.forget(); // those acts are the former person's
    this.name = name;
    this.sidebar.person(name);
    if (this.audit && another) this.reload(); // so are the cards
  }

  #person() {
    this.outbox.identify(this.name);
    if (this.name) this.outbox.adopt(this.isAlive);
    this.skips = new Skips(this.storage, this.audit ? `audit.${this.audit.id}` : this.roundId, this.name);
    this.topline.name(this.name);
  }

  /** Choose small, medium or large cards. @param {Density} letter @param {{ draw?: boolean }} [options] */
  density(letter, { draw = true } = {}) {
    this.grid.resize(letter);
    this.storage.setItem("outfold.density", letter);
    this.topline.density(letter);
    if (draw) this.fit();
  }

  /** Bring the page's size in line with the space there is. */
  fit() {
    const columns = this.grid.columns;
    const size = this.#pageSize();
    if (!this.ready || (size === this.queue.size && columns === this.grid.columns && this.drawnDensity === this.grid.density)) return;
    const { queue, cursor } = this;
    const item = cursor.page[cursor.focus];
    queue.resize(size);
    queue.load().then(() => {
      if (item) queue.reveal(item.id);
      if (queue === this.queue) cursor.arrive(Math.max(0, cursor.page.indexOf(item)));
    }).catch(() => {}); // the page stays as it is
  }

  /** Show or hide the filters or the details. @param {"filters" | "inspector"} which */
  panel(which) {
    this.element.classList.toggle(which === "filters" ? "show-filters" : "inspector-off");
  }

  #pageSize() {
    const measured = this.grid.measure();
    return this.audit ? this.audit.pageSize(measured) : measured.size;
  }

  /** Show the state of the audit. @param {AuditState} now */
  showAudit(now) {
    const audit = /** @type {Audit} */ (this.audit); // of its page
    audit.now = now;
    this.info.audits = replaceAudit(this.info.audits ?? [], now);
    this.sidebar.inform(this.info);
    /** @type {AuditTopline} */ (this.topline).audit(now);
    /** @type {AuditBar} */ (this.bar).draw(now, { isSkipped: (id) => this.skips.has(id), name: this.name });
    if (this.idle) this.#rest(audit);
    this.#renew(audit);
  }

  /** Take over news of the round: bulk acts in force, audits and their results. @param {RoundInfo} info */
  inform(info) {
    if (info !== this.info) {
      this.takeClasses(info);
      Object.assign(info, { classes: this.classes, colours: this.info.colours });
    }
    this.info = info;
    this.sidebar.inform(info);
    if (!this.audit) /** @type {AcceptBar | LabellingBar} */ (this.bar).propose(info.recalibration);
  }

  /** Focus a finding; show it large where no page of the queue holds it. @param {number} id */
  async lookAt(id) {
    if (this.queue.items.some((item) => item.id === id)) this.cursor.goTo(id);
    else await this.cursor.openZoom(id);
  }

  /** Keep the leases of the cards that are shown; cards that have become free come behind them. @param {Audit} audit */
  async #renew(audit) {
    const { queue } = this;
    const held = queue?.items.filter((item) => this.judging.pending(item)).length ?? 0;
    const free = await audit.renew(held).catch(() => []);
    if (queue === this.queue) queue?.take(free.map((item) => this.know(item)));
  }

  /** Draw all counts. @param {Counts} counts */
  showCounts(counts) {
    this.topline.counts(counts);
    /** @type {Sidebar} */ (this.sidebar).draw(counts, this.filter);
    /** @type {AcceptBar | LabellingBar} */ (this.bar).draw(counts, this.filter);
  }

  #footer() {
    const { queue } = this;
    this.footer.draw({
      number: queue.number, first: queue.start === 0, atEnd: queue.atEnd, selected: this.cursor.selection.size, recent: this.judging.recent(),
    });
  }

  /** @param {PageEnd} after @param {number} limit @returns {Promise<{ items: Finding[], next: PageEnd }>} */
  async #chunk(after, limit) {
    if (this.audit) {
      const { items, next } = await this.audit.cards(after, limit);
      return { items: items.map((item) => this.know(item)), next };
    }
    const extra = { limit: String(limit), ...(after ? { after: String(after) } : {}) };
    const answer = await this.api.findings(toParams(this.filter, this.roundId, extra), this.stop.signal);
    return { items: answer.items.map((item) => this.know(item)), next: answer.next };
  }

  /** Return a card with the classes to choose from, where the page does not take the likeliest ones. @param {Finding} item */
  #dressed(item) {
    return this.audit ? this.audit.veil(item) : this.labelling ? withClasses(item, this.classes) : item;
  }

  /** Return the page's one object of a finding, updated unless it has unsaved acts. @param {Finding} received */
  know(received) {
    const fresh = this.#dressed(received);
    const known = this.byId.get(fresh.id);
    if (known && this.judging.waiting().has(fresh.id)) return known;
    if (known) return Object.assign(known, fresh);
    return this.byId.add(this.judging.ahead(fresh));
  }
}
