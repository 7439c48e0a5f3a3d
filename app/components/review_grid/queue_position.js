// Return to a card: its link, and the place in the queue that was left for the mask editor.

import { changedParts, parse, serialise } from "./filters.js";
/** @import { Finding } from "../shared/types.d.ts" */
/** @import { Review } from "./review.js" */

const STORE = "outfold.place";
const AHEAD = 40; // cards remembered behind the focused one: it may be settled on return
const LAST_ACT_MS = 5000; // how long the verdicts before it may take to be stored

/** Return the editor's address for one region, beside the review page's own. @param {number} roundId @param {Finding} item */
export function editorUrl(roundId, item) {
  return `masks?${new URLSearchParams({ round: String(roundId), sample: String(item.sample_id), finding: String(item.id) })}`;
}

/**
 * Return the cards from the left one on; from `otherwise` on where the queue does not hold it.
 *
 * @param {Finding[]} items
 * @param {Finding} item
 * @param {number} otherwise
 */
export function idsFrom(items, item, otherwise) {
  const at = items.indexOf(item);
  return items.slice(at < 0 ? otherwise : at).slice(0, AHEAD).map(({ id }) => id);
}

/** Return the index of the first remembered card that is still in the queue, 0 when none is. @param {number[]} ids @param {Finding[]} items */
export function firstIndexOf(ids, items) {
  const index = new Map(items.map((item, at) => [item.id, at]));
  const first = ids.find((id) => index.has(id));
  return (first !== undefined && index.get(first)) || 0;
}

export class QueuePosition {
  /** @param {{ review: Pick<Review, "roundId" | "filter" | "queue" | "cursor" | "outbox" | "toast">, storage: Storage, go?: (url: string) => void }} options `go(url)` leaves the page. */
  constructor({ review, storage, go = (url) => location.assign(url) }) {
    this.review = review;
    this.storage = storage;
    this.go = go;
  }

  /** Open the editor on a region once all verdicts are stored. @param {Finding} item */
  async edit(item) {
    const { review } = this;
    if (!(await review.outbox.settled(LAST_ACT_MS))) {
      review.toast.say("Some verdicts are not saved yet. Edit the mask when they are.", null, { warning: true });
      return;
    }
    const { queue, cursor } = review;
    const place = { round: review.roundId, filter: changedParts(review.filter), start: queue.start, ids: idsFrom(queue.items, item, queue.start + cursor.focus) };
    try {
      this.storage.setItem(STORE, JSON.stringify(place));
    } catch {
      // a full or forbidden storage: the queue begins at its first card on return
    }
    this.go(editorUrl(review.roundId, item));
  }

  /** Return where this round was left for the editor, once: {start, ids}, or null. A filter in the address outweighs it. */
  take() {
    const { review } = this;
    const place = this.#read();
    if (place?.round !== review.roundId || !Array.isArray(place.ids)) return null;
    const wanted = changedParts(review.filter);
    const left = parse(new URLSearchParams(place.filter).toString());
    if (Object.keys(wanted).length && JSON.stringify(wanted) !== JSON.stringify(changedParts(left))) return null;
    review.filter = left;
    history.replaceState(history.state, "", `${location.pathname}?${serialise(left, location.search)}`);
    return place;
  }

  #read() {
    try {
      const place = JSON.parse(this.storage.getItem(STORE) ?? "null");
      this.storage.removeItem(STORE);
      return place;
    } catch {
      return null;
    }
  }
}

/**
 * Return the address that opens this card of this round.
 *
 * @param {Pick<Location, "origin" | "pathname">} location
 * @param {number} round
 * @param {number} card
 */
export function linkTo({ origin, pathname }, round, card) {
  return `${origin}${pathname}?${new URLSearchParams({ round: String(round), card: String(card) })}`;
}

/** Return the card that a query names, null where it names none. @param {string} query */
export function cardInQuery(query) {
  const card = new URLSearchParams(query).get("card") ?? "";
  return /^[1-9]\d{0,9}$/.test(card) ? Number(card) : null;
}

/** Return the address without its card. @param {Pick<Location, "pathname" | "search" | "hash">} location */
export function withoutCard({ pathname, search, hash }) {
  const query = new URLSearchParams(search);
  query.delete("card");
  return `${pathname}${query.size ? `?${query}` : ""}${hash ?? ""}`;
}
