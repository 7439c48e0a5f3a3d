// Where Streamlit meets the grid. A grid lives as long as its element; a rerun of the page finds it and leaves it alone.
// Outboxes outlive their grid: what is unsaved when the page is left goes on being sent.

import { createApi } from "./api.js";
import { addressWith, auditIn } from "./audit.js";
import { live, livingClients, newClient } from "./clients.js";
import { keepBelowHeader } from "./frame.js";
import { Keys } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Review } from "./review.js";

const mounted = new WeakMap(); // the component's root -> {review, cleanup, asked, shown}: the round Streamlit asked for, the one shown
const outboxes = new Set();
const alive = new Set(); // clients whose tab holds a lock

addEventListener("pagehide", () => outboxes.forEach((outbox) => outbox.flush()));
addEventListener("online", () => outboxes.forEach((outbox) => outbox.retry()));

/** Mount, or bring up to date, the grid in `parentElement`; returns the clean-up for its unmounting. */
export function mount({ parentElement, data }) {
  const present = mounted.get(parentElement);
  if (present?.asked === data.round || present?.shown === data.round) {
    present.asked = data.round;
    return present.cleanup;
  }
  present?.cleanup();
  const outbox = openOutbox(createApi(data.api));
  const entry = { asked: data.round };
  const show = (id, { afresh = false } = {}) => {
    entry.review?.unmount();
    entry.shown = id;
    rememberRound(id, afresh);
    entry.audit = auditIn(location.search);
    entry.review = new Review({
      root: parentElement, api: createApi(data.api), keys: new Keys(localStorage), outbox, storage: localStorage, roundId: id, auditId: entry.audit,
      isAlive: (client) => alive.has(client), onround: change, onaudit: turn,
    });
    parentElement.append(entry.review.element);
    keepBelowHeader(entry.review.element, entry.review.stop.signal);
    entry.review.start();
  };
  /** Show another round; an audit is of one. */
  function change(id, options) {
    if (id !== entry.shown) history.replaceState(history.state, "", addressWith(null, location));
    show(id, options);
  }
  /** Lead to an audit of the round shown, or (null) back to its queue; `again`: draw the same one anew. */
  function turn(audit, { again = false } = {}) {
    if (!again) history.pushState(history.state, "", addressWith(audit, location));
    show(entry.shown);
  }
  const { pathname } = location;
  /** Follow the browser's Back and Forward into an audit and out of it. */
  function back() {
    const round = Number(new URLSearchParams(location.search).get("round"));
    const here = location.pathname === pathname && entry.shown !== undefined && round > 0;
    if (here && (round !== entry.shown || auditIn(location.search) !== entry.audit)) show(round);
  }
  addEventListener("popstate", back);
  entry.cleanup = () => {
    entry.gone = true;
    removeEventListener("popstate", back);
    entry.review?.unmount();
    if (mounted.get(parentElement) === entry) mounted.delete(parentElement);
    Object.assign(outbox, { onStatus: () => {}, onResult: () => {}, onRefused: () => {} });
    outbox.drained().then(() => outboxes.delete(outbox));
  };
  mounted.set(parentElement, entry); // before anything is waited for: Streamlit may call again at once
  findLiving().then(() => entry.gone || show(data.round));
  return entry.cleanup;
}

/** Name the round in the page's address, so that a reload shows it even when a newer one is done; `afresh`: without filters. */
function rememberRound(id, afresh) {
  const query = new URLSearchParams(afresh ? "" : location.search);
  query.set("round", String(id));
  history.replaceState(history.state, "", `${location.pathname}?${query}`);
}

function openOutbox(api) {
  const client = newClient();
  const outbox = new Outbox({ send: api.send, storage: localStorage, client });
  outboxes.add(outbox);
  alive.add(client);
  live(client);
  return outbox;
}

/** Find out which clients have a living tab, so that only the dead ones' acts are taken over. */
async function findLiving() {
  for (const client of await livingClients()) alive.add(client);
}
