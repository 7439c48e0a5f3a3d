// Leaving for the mask editor and coming back to the same place in the queue.

import { changed, parse, serialise } from "./filters.js";

const STORE = "outfold.place";
const AHEAD = 40; // cards remembered behind the focused one: it may be settled on return
const LAST_ACT_MS = 5000; // how long the verdicts before it may take to be stored

/** Return the editor's address for one region, beside the review page's own. */
export function editorUrl(roundId, item) {
  return `masks?${new URLSearchParams({ round: roundId, sample: item.sample_id, finding: item.id })}`;
}

/** Return the cards from the left one on; from `otherwise` on where the queue does not hold it. */
export function idsFrom(items, item, otherwise) {
  const at = items.indexOf(item);
  return items.slice(at < 0 ? otherwise : at).slice(0, AHEAD).map(({ id }) => id);
}

/** Return the index of the first remembered card that is still in the queue, 0 when none is. */
export function indexOf(ids, items) {
  const index = new Map(items.map((item, at) => [item.id, at]));
  return index.get(ids.find((id) => index.has(id))) ?? 0;
}

export class Place {
  /** `go(url)` leaves the page. */
  constructor({ review, storage, go = (url) => location.assign(url) }) {
    Object.assign(this, { review, storage, go });
  }

  /** Open the editor on a region once everything said is stored. */
  async edit(item) {
    const { review } = this;
    if (!(await review.outbox.settled(LAST_ACT_MS))) {
      review.toast.say("Some verdicts are not saved yet. Edit the mask when they are.", null, { warning: true });
      return;
    }
    const { queue, cursor } = review;
    const place = { round: review.roundId, filter: changed(review.filter), start: queue.start, ids: idsFrom(queue.items, item, queue.start + cursor.focus) };
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
    const asked = changed(review.filter);
    const left = parse(new URLSearchParams(place.filter).toString());
    if (Object.keys(asked).length && JSON.stringify(asked) !== JSON.stringify(changed(left))) return null;
    review.filter = left;
    history.replaceState(history.state, "", `${location.pathname}?${serialise(left, location.search)}`);
    return place;
  }

  #read() {
    try {
      const place = JSON.parse(this.storage.getItem(STORE));
      this.storage.removeItem(STORE);
      return place;
    } catch {
      return null;
    }
  }
}
