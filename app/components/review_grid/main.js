// Mounting of the review grid, and changes of round and audit in the address.

import { createApi } from "../shared/api.js";
import { Keys } from "../shared/keys.js";
import { mountComponent, findLiving, isAlive, leaveOutbox, openOutbox } from "../shared/mount.js";
import { addressWith, auditIn } from "./audit.js";
import { Review } from "./review.js";
/** @import { Entry, Mounting } from "../shared/types.d.ts" */

/** @typedef {{ api: string, round: number }} GridData */

/** Mount, or bring up to date, the grid in `parentElement`; returns the clean-up for its unmounting. @param {Mounting<GridData>} component */
export function mount({ parentElement, data }) {
  return mountComponent(parentElement, data.round, (/** @type {Entry<Review>} */ entry) => open(entry, parentElement, data), (review) => review.roundId === data.round);
}

/** @param {Entry<Review>} entry @param {HTMLElement} root @param {GridData} data */
async function open(entry, root, data) {
  const { pathname } = location;
  const api = createApi(data.api);
  const outbox = openOutbox(api.send, "verdicts");
  /** @param {number} id @param {{ afresh?: boolean }} [options] */
  const show = (id, { afresh = false } = {}) => {
    rememberRound(id, afresh);
    entry.show(() => new Review({
      root, api: createApi(data.api), keys: new Keys(localStorage), outbox, storage: localStorage, roundId: id, auditId: auditIn(location.search),
      isAlive, onround: change, onaudit: turn,
    })).start();
  };
  /** Show another round; an audit is of one. @param {number} id @param {{ afresh?: boolean }} [options] */
  function change(id, options) {
    if (id !== entry.view?.roundId) history.replaceState(history.state, "", addressWith(null, location));
    show(id, options);
  }
  /**
   * Lead to an audit of the round shown, or (null) back to its queue; `again`: redraw the same one.
   *
   * @param {number | null} audit
   * @param {{ again?: boolean }} [options]
   */
  function turn(audit, { again = false } = {}) {
    if (!again) history.pushState(history.state, "", addressWith(audit, location));
    if (entry.view) show(entry.view.roundId);
  }
  /** Follow the browser's Back and Forward into an audit and out of it. */
  function back() {
    const round = Number(new URLSearchParams(location.search).get("round"));
    const { view } = entry;
    if (!view || location.pathname !== pathname || !(round > 0)) return;
    if (round !== view.roundId || auditIn(location.search) !== view.auditId) show(round);
  }
  addEventListener("popstate", back);
  entry.onGone = () => {
    removeEventListener("popstate", back);
    leaveOutbox(outbox);
  };
  await findLiving();
  if (!entry.gone) show(data.round);
}

/**
 * Name the round in the page's address, so that a reload shows it even when a newer one is done; `afresh`: without filters.
 *
 * @param {number} id
 * @param {boolean} afresh
 */
function rememberRound(id, afresh) {
  const query = new URLSearchParams(afresh ? "" : location.search);
  query.set("round", String(id));
  history.replaceState(history.state, "", `${location.pathname}?${query}`);
}
