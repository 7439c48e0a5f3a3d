// The review page: holds what is shown, asks for it, and wires the parts together.

import { ApiError } from "./api.js";
import { Audit } from "./audit.js";
import { withNow } from "./audits.js";
import { h } from "./dom.js";
import { auditState, emptyState, runningState, troubleState } from "./empty.js";
import { parse, serialise, toParams } from "./filters.js";
import { cardUrls } from "./format.js";
import { Known } from "./known.js";
import { askName } from "./name_dialog.js";
import { build } from "./parts.js";
import { indexOf } from "./place.js";
import { Queue } from "./queue.js";
import { Skips } from "./skips.js";
import { settled } from "./verdicts.js";

const LAST_ACT_MS = 1500; // the counts are asked for once the last verdict is stored, or this late
const POLL_MS = 3000; // while the round is still running
const NEARLY = 8; // cards left on a page of an audit when the next ones are leased: in time, but no earlier

export class Review {
  /** `auditId` is the audit whose cards are shown in place of the queue; `onround(id)` and `onaudit(id or null)` lead to other pages of this kind. */
  constructor({ root, api, keys, outbox, storage, roundId, auditId = null, isAlive, onround, onaudit }) {
    Object.assign(this, { root, api, keys, outbox, storage, roundId, auditId, audit: null, isAlive, onround, onaudit });
    this.filter = parse(location.search);
    this.byId = new Known(() => {
      const { queue, judging, zoom } = this;
      const beside = this.siblings?.ids() ?? []; // a page of regions has them
      return new Set([...beside, ...[...queue.items, ...queue.held, ...judging.log.items(), zoom.item].map((item) => item?.id), ...judging.waiting()]);
    });
    this.ready = false;
    this.stop = new AbortController();
    this.element = h("div", { class: "outfold", dataset: { ready: "false" } });
  }

  /** Ask for everything, draw, begin. */
  async start() {
    try {
      const [me, info, now] = await Promise.all([this.api.me(), this.api.round(this.roundId), this.auditId && this.api.audit(this.auditId)]);
      Object.assign(this, { name: me.name, info, classes: info.classes });
      if (now && now.round !== this.roundId) throw new ApiError(404, { error: "This sample belongs to another round.", cure: "Open it from the page of its own round." });
      this.audit = now && new Audit({ now, api: this.api, client: this.outbox.client, classes: info.classes, storage: this.storage });
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
      if (!this.name) await this.askName(); // cards are leased to somebody
      await this.reload();
      return;
    }
    const place = this.place?.take();
    await Promise.all([this.reload(place), this.name ? null : this.askName()]);
  }

  /** Whether a card that stands like this asks for a verdict. */
  waits(status) {
    return this.audit ? this.audit.waits(status) : !settled(status);
  }

  /** Whether the queue shows what is already decided. */
  get looksBack() {
    return !this.audit && !["todo", "open", "second_opinion"].includes(this.filter.status);
  }

  /** Begin the queue anew: after a filter, a bulk act, a change of person; at `place` when the page was left there. */
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
      if (this.audit) await this.outbox.settled(LAST_ACT_MS); // else the server would give out again what was judged a moment ago
      queue.resize(this.#pageSize());
      await queue.load(place?.start ?? 0);
      if (queue !== this.queue) return; // the filter changed meanwhile
      this.grid.chooseAspect(queue.items.slice(0, 40));
      queue.resize(this.#pageSize());
      this.ready = queue.items.length > 0;
      if (this.ready && place) this.cursor.arriveAt(indexOf(place.ids, queue.items));
      else if (this.ready) this.cursor.arrive();
      else await this.finish();
    } catch (error) {
      if (queue === this.queue && !this.stop.signal.aborted) this.grid.replace(troubleState(error, () => this.reload()));
      return;
    }
    if (queue === this.queue) this.element.dataset.ready = "true";
  }

  setFilter(changes) {
    this.filter = { ...this.filter, ...changes };
    const query = serialise(this.filter, location.search);
    history.replaceState(history.state, "", `${location.pathname}${query ? `?${query}` : ""}${location.hash}`);
    return this.reload();
  }

  /** Nothing waits any more: say so, with what to do next. */
  async finish() {
    this.ready = false;
    const { queue } = this;
    const stored = await this.outbox.settled(LAST_ACT_MS);
    const counts = !stored && this.tally.counts ? this.tally.counts : await this.tally.fresh();
    if (queue !== this.queue || this.cursor.page.some((item) => this.judging.pending(item))) return; // another filter, or undone
    this.queue.start = this.queue.items.length; // behind the last page: back and undo still find it
    this.idle = Boolean(this.audit); // what becomes free is fetched as soon as somebody else did something
    if (this.audit) this.#rest();
    else this.grid.replace(emptyState({
      counts, skipped: this.#skipped(), filter: this.filter, info: this.info, again: () => this.reload(), setFilter: (changes) => this.setFilter(changes),
    }));
    this.paint();
  }

  /** Say why an audit has no card for this person at the moment. */
  #rest() {
    const { now } = this.audit;
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

  /** Say that a class is right of the targets. */
  pick(label) {
    if (this.judging.relabel(this.cursor.targets(), label)) this.cursor.moveOn();
  }

  /** Ask the server how these items stand. */
  async refresh(ids) {
    if (!ids.length) return;
    const params = new URLSearchParams({ round: this.roundId, ids: ids.slice(0, 500).join(",") });
    const { items } = await this.api.findings(params).catch(() => ({ items: [] }));
    for (const fresh of items) this.know(fresh);
    this.paint(new Set(ids));
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
    }).catch(() => {}); // asked for again, and reported, when the page is turned
  }

  /** Repaint cards (all, or those with these ids) and what follows from the focus, once for all that one key did. */
  paint(ids = null) {
    if (this.dirty === undefined) queueMicrotask(() => this.#paintNow());
    this.dirty = ids === null || this.dirty === null ? null : new Set([...(this.dirty ?? []), ...ids]);
  }

  #paintNow() {
    const ids = this.dirty;
    this.dirty = undefined;
    if (this.stop.signal.aborted) return;
    const { focus, selection, page } = this.cursor;
    const item = page[focus];
    this.grid.paint({ focus, selection }, ids && new Set([...ids, item?.id, this.painted]));
    this.painted = item?.id;
    if (this.zoom.open) this.zoom.show(this.zoom.follows && item ? item : this.zoom.item, { follows: this.zoom.follows });
    this.inspector.show(item, page[focus + 1]);
    this.#footer();
    this.grid.follow();
    if (this.audit && this.ready && page.filter((one) => this.judging.pending(one)).length <= NEARLY) this.#ahead();
  }

  /** Change who judges, once everything said under the old name is stored. */
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

  /** Choose small, medium or large cards. */
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

  /** Show or hide the filters or the details. */
  panel(which) {
    this.element.classList.toggle(which === "filters" ? "show-filters" : "inspector-off");
  }

  #pageSize() {
    const measured = this.grid.measure();
    return this.audit ? this.audit.pageSize(measured) : measured.size;
  }

  /** Show where the audit stands. */
  showAudit(now) {
    this.audit.now = now;
    this.info.audits = withNow(this.info.audits ?? [], now);
    this.sidebar.inform(this.info);
    this.topline.counts(now);
    this.bar.draw(now, { isSkipped: (id) => this.skips.has(id), name: this.name });
    if (this.idle) this.#rest();
    this.#renew();
  }

  /** Take in what is new of the round: bulk acts that stand, audits, what they taught. */
  inform(info) {
    this.info = info;
    this.sidebar.inform(info);
    if (!this.audit) this.bar.propose(info.recalibration);
  }

  /** Put the focus on a finding; show it large where no page of the queue holds it. */
  async lookAt(id) {
    if (this.queue.items.some((item) => item.id === id)) this.cursor.goTo(id);
    else await this.cursor.openZoom(id);
  }

  /** Keep the leases of the cards that are shown; cards that have become free come behind them. */
  async #renew() {
    const { queue } = this;
    const held = queue?.items.filter((item) => this.judging.pending(item)).length;
    const free = await this.audit.renew(held).catch(() => []);
    if (queue === this.queue) queue?.take(free.map((item) => this.know(item)));
  }

  /** Draw everything that counts. */
  showCounts(counts) {
    this.topline.counts(counts);
    this.sidebar.draw(counts, this.filter);
    this.bar.draw(counts, this.filter);
  }

  #footer() {
    const { queue } = this;
    this.footer.draw({
      number: queue.number, first: queue.start === 0, atEnd: queue.atEnd, selected: this.cursor.selection.size, recent: this.judging.recent(),
    });
  }

  async #chunk(after, limit) {
    if (this.audit) {
      const { items, next } = await this.audit.cards(after, limit);
      return { items: items.map((item) => this.know(item)), next };
    }
    const extra = { limit: String(limit), ...(after ? { after } : {}) };
    const answer = await this.api.findings(toParams(this.filter, this.roundId, extra), this.stop.signal);
    return { items: answer.items.map((item) => this.know(item)), next: answer.next };
  }

  /** Return the one object that stands for a finding, brought up to date unless what was said here is newer. */
  know(told) {
    const fresh = this.audit ? this.audit.veil(told) : told;
    const known = this.byId.get(fresh.id);
    if (known && this.judging.waiting().has(fresh.id)) return known;
    if (known) return Object.assign(known, fresh);
    return this.byId.add(this.judging.ahead(fresh));
  }
}
