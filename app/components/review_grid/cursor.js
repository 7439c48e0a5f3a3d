// Position of the annotator: focused card, selection, page, zoomed image.

import { errorText } from "../shared/api.js";
/** @import { Finding } from "../shared/types.d.ts" */
/** @import { Review } from "./review.js" */

/**
 * Fields of the page that the cursor uses.
 *
 * @typedef {Pick<Review, "queue" | "ready" | "grid" | "zoom" | "judging" | "toast" | "byId" | "refresh" | "finish" | "drawPage" | "paint">} CursorPage
 */

export class Cursor {
  /** @param {CursorPage} review */
  constructor(review) {
    this.review = review;
    /** @type {Set<number>} Ids of the selected cards. */
    this.selection = new Set();
    /** @type {number | null} */
    this.anchor = null; // where a range began
    this.focus = 0;
    this.turning = false;
  }

  get page() {
    return this.review.queue?.page ?? [];
  }

  /** Return the zoomed card, else the one with the focus. @returns {Finding | undefined} */
  current() {
    const { zoom } = this.review;
    return zoom.open ? zoom.item ?? undefined : this.page[this.focus];
  }

  /** Return the cards that a verdict applies to: the zoomed card, else the selection, else the focused card. */
  targets() {
    if (!this.review.zoom.open && this.selection.size) return this.page.filter((item) => this.selection.has(item.id));
    const current = this.current();
    return current ? [current] : [];
  }

  selectionOrRow() {
    if (this.selection.size) return this.targets();
    const { columns } = this.review.grid;
    const start = Math.floor(this.focus / columns) * columns;
    return this.page.slice(start, start + columns).filter((item) => this.review.judging.pending(item));
  }

  /** Go to the next card that waits; turn the page when none is left on it. */
  moveOn() {
    const { judging, zoom } = this.review;
    if (zoom.open && zoom.onward((item) => judging.pending(item))) return;
    if (zoom.open && !zoom.follows) return; // an old decision is being looked at
    this.#home();
    const { page } = this;
    const last = this.selection.size ? page.findLastIndex((item) => this.selection.has(item.id)) : this.focus;
    this.selection.clear();
    this.anchor = null;
    /** @param {Finding} item */
    const waits = (item) => judging.pending(item);
    const next = page.findIndex((item, index) => index > last && waits(item));
    const earlier = next < 0 ? page.findIndex(waits) : next;
    if (earlier < 0) this.turn(1);
    else this.moveTo(earlier, { all: true });
  }

  /** Turn to another page; after the last one show the remaining work. @param {number} by */
  async turn(by) {
    const { review } = this;
    const { queue } = review;
    if (this.turning || !queue) return;
    if (by < 0) {
      if (queue.previous()) this.arrive(0);
      return;
    }
    this.turning = true;
    review.ready = queue.nextIsReady;
    try {
      const turned = await queue.next();
      if (queue !== review.queue) return; // the filter changed meanwhile
      if (turned) this.arrive();
      else if (this.page.some((item) => review.judging.pending(item))) review.toast.say("This is the last page.");
      else await review.finish();
    } catch (error) {
      review.toast.say(errorText(error), { label: "Try again", run: () => this.turn(by) }, { warning: true });
    } finally {
      this.turning = false;
      if (queue === review.queue) review.ready = this.page.length > 0;
    }
  }

  /** Draw the queue's page and focus a card, by default the first that waits. */
  arrive(index = Math.max(0, this.page.findIndex((item) => this.review.judging.pending(item)))) {
    this.selection.clear();
    this.anchor = null;
    this.focus = index;
    this.review.ready = this.page.length > 0;
    this.review.drawPage();
    this.review.paint();
  }

  /** Redraw the page after cards have left the queue; the focus stays with this card, else with its place. @param {Finding | undefined} item */
  stay(item) {
    const index = item ? this.page.indexOf(item) : -1;
    for (const id of this.selection) if (!this.holds(id)) this.selection.delete(id);
    this.anchor = null;
    this.focus = index < 0 ? Math.max(0, Math.min(this.focus, this.page.length - 1)) : index;
    this.review.ready = this.page.length > 0;
    this.review.drawPage();
    this.review.paint();
  }

  /** Draw the page that holds the queue's card at this index and focus it. @param {number} index */
  arriveAt(index) {
    const { queue } = this.review;
    if (index > 0) queue.reveal(queue.items[index].id);
    this.arrive(index - queue.start);
  }

  /** Focus the card at an index; `all` repaints every card, for when the selection has changed. @param {number} index */
  moveTo(index, { all = false } = {}) {
    this.focus = Math.max(0, Math.min(this.page.length - 1, index));
    this.review.paint(all ? null : new Set());
  }

  /** @param {number} by */
  move(by) {
    this.anchor = null;
    this.moveTo(this.focus + by);
  }

  /** @param {number} index */
  toggle(index) {
    const item = this.page[index];
    if (!item) return;
    if (!this.selection.delete(item.id)) this.selection.add(item.id);
    this.anchor = index;
    this.moveTo(index, { all: true });
  }

  /** @param {number} by */
  extend(by) {
    this.selectTo(this.focus + by);
  }

  /** @param {number} index */
  selectTo(index) {
    const end = Math.max(0, Math.min(this.page.length - 1, index));
    this.anchor ??= this.focus;
    const [from, to] = [Math.min(this.anchor, end), Math.max(this.anchor, end)];
    this.selection = new Set(this.page.slice(from, to + 1).map((item) => item.id));
    this.moveTo(end, { all: true });
  }

  /** Select every waiting card of the page and focus the one with this id. @param {number} id */
  selectPage(id) {
    this.anchor = null;
    this.selection = new Set(this.page.filter((item) => this.review.judging.pending(item)).map((item) => item.id));
    this.moveTo(this.page.findIndex((item) => item.id === id), { all: true });
  }

  clear() {
    this.anchor = null;
    this.selection.clear();
    this.review.paint();
  }

  /** @param {number} id */
  holds(id) {
    return this.page.some((item) => item.id === id);
  }

  /** Focus an item and turn to its page; does nothing when no page holds it. @param {number} id */
  goTo(id) {
    const { queue, zoom } = this.review;
    if (zoom.open && !zoom.follows) return;
    const { start } = queue;
    if (!queue.reveal(id)) return;
    const index = this.page.findIndex((item) => item.id === id);
    if (start === queue.start) this.moveTo(index, { all: true });
    else this.arrive(index);
  }

  /** Show an item large; one of this page takes the focus along. @param {number | undefined} id */
  async openZoom(id) {
    const { review } = this;
    if (id === undefined) return false;
    if (!review.byId.has(id)) await review.refresh([id]);
    const item = review.byId.get(id);
    if (!item) return false;
    const index = this.page.indexOf(item);
    review.zoom.show(item, { follows: index >= 0 });
    if (index >= 0) this.moveTo(index);
    return true;
  }

  /** One on or back while zoomed: along the image's regions, unless `cards`; along the page, or along the last decisions. @param {number} by */
  step(by, { cards = false } = {}) {
    const { zoom, judging } = this.review;
    if (!cards && zoom.within(by)) return;
    this.#home();
    if (zoom.follows) {
      this.move(by);
      return;
    }
    const recent = judging.recent();
    const next = recent[(zoom.item ? recent.indexOf(zoom.item) : -1) + by];
    if (next) zoom.show(next, { follows: false });
  }

  /** After steps through the zoomed image, focus the card that led to it. */
  #home() {
    const { zoom } = this.review;
    const index = zoom.open && zoom.origin ? this.page.indexOf(zoom.origin) : -1;
    if (index >= 0) this.focus = index;
  }
}
