// The review page: holds what is shown, asks for it, and wires the parts together.

import { h } from "./dom.js";
import { emptyState, runningState, troubleState } from "./empty.js";
import { parse, serialise, toParams } from "./filters.js";
import { cardUrls } from "./format.js";
import { Known } from "./known.js";
import { askName } from "./name_dialog.js";
import { build } from "./parts.js";
import { indexOf } from "./place.js";
import { Queue } from "./queue.js";
import { Skips } from "./skips.js";

const LAST_ACT_MS = 1500; // the counts are asked for once the last verdict is stored, or this late
const POLL_MS = 3000; // while the round is still running

export class Review {
  constructor({ root, api, keys, outbox, storage, roundId, isAlive, onround }) {
    Object.assign(this, { root, api, keys, outbox, storage, roundId, isAlive, onround });
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
      const [me, info] = await Promise.all([this.api.me(), this.api.round(this.roundId)]);
      Object.assign(this, { name: me.name, info, classes: info.classes });
    } catch (error) {
      this.element.replaceChildren(troubleState(error, () => this.start()));
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
    const place = this.place?.take();
    await Promise.all([this.reload(place), this.name ? null : this.askName()]);
  }

  /** Whether the queue shows what is already decided. */
  get looksBack() {
    return !["todo", "open", "second_opinion"].includes(this.filter.status);
  }

  /** Begin the queue anew: after a filter, a bulk act, a change of person; at `place` when the page was left there. */
  async reload(place = null) {
    this.ready = false;
    this.element.dataset.ready = "false";
    this.judging.touched.clear();
    const queue = new Queue((after, limit) => this.#chunk(after, limit), (id) => !this.looksBack && this.skips.has(id), (back) => this.judging.wake(back));
    this.queue = queue;
    this.grid.skeleton();
    this.tally.refresh({ soon: true });
    try {
      queue.resize(this.grid.measure().size);
      await queue.load(place?.start ?? 0);
      if (queue !== this.queue) return; // the filter changed meanwhile
      this.grid.chooseAspect(queue.items.slice(0, 40));
      queue.resize(this.grid.measure().size);
      this.ready = queue.items.length > 0;
      if (this.ready) this.cursor.arriveAt(place ? indexOf(place.ids, queue.items) : 0);
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
    const skipped = [...this.skips.ids].filter((id) => this.byId.has(id)).length;
    this.queue.start = this.queue.items.length; // behind the last page: back and undo still find it
    this.grid.replace(emptyState({
      counts, skipped, filter: this.filter, info: this.info, again: () => this.reload(), setFilter: (changes) => this.setFilter(changes),
    }));
    this.paint();
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

  /** Draw the queue's page from scratch and fetch the one after it, with its images. */
  drawPage() {
    this.drawnDensity = this.grid.density;
    this.grid.draw(this.queue.page, { classes: this.classes, colours: this.info.colours, base: this.api.base });
    const { queue } = this;
    const next = queue.start + queue.size;
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
    if (name !== this.name) this.judging.log.forget(); // those acts are the former person's
    this.name = name;
    this.sidebar.person(name);
  }

  #person() {
    this.outbox.identify(this.name);
    if (this.name) this.outbox.adopt(this.isAlive);
    this.skips = new Skips(this.storage, this.roundId, this.name);
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
    const { size } = this.grid.measure();
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
    const extra = { limit: String(limit), ...(after ? { after } : {}) };
    const answer = await this.api.findings(toParams(this.filter, this.roundId, extra), this.stop.signal);
    return { items: answer.items.map((item) => this.know(item)), next: answer.next };
  }

  /** Return the one object that stands for a finding, brought up to date unless what was said here is newer. */
  know(fresh) {
    const known = this.byId.get(fresh.id);
    if (known && this.judging.waiting().has(fresh.id)) return known;
    if (known) return Object.assign(known, fresh);
    return this.byId.add(fresh);
  }
}
