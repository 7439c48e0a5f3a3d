// Where Streamlit meets the tag panel. A panel lives as long as its element; a rerun of the page finds it and leaves it alone.
// Outboxes outlive their panel: what is unsaved when the page is left goes on being sent.

import { live, livingClients, newClient } from "../review_grid/clients.js";
import { keepBelowHeader } from "../review_grid/frame.js";
import { Keys } from "../review_grid/keys.js";
import { Outbox } from "../review_grid/outbox.js";
import { ACTIONS, STORE } from "./actions.js";
import { createTagApi } from "./api.js";
import { Panel } from "./panel.js";

const PREFIX = "outfold.tags.outbox."; // apart from the verdicts', which go to another address
const mounted = new WeakMap(); // the component's root -> {asked, panel, cleanup}
const outboxes = new Set();
const alive = new Set(); // clients whose tab holds a lock

addEventListener("pagehide", () => outboxes.forEach((outbox) => outbox.flush()));
addEventListener("online", () => outboxes.forEach((outbox) => outbox.retry()));

/** Mount, or bring up to date, the panel in `parentElement`; returns the clean-up for its unmounting. */
export function mount({ parentElement, data }) {
  const present = mounted.get(parentElement);
  if (present?.asked === data.dataset || present?.panel?.dataset === data.dataset) {
    present.asked = data.dataset;
    return present.cleanup;
  }
  present?.cleanup();
  const api = createTagApi(data.api);
  const client = newClient();
  const outbox = new Outbox({ send: api.send, storage: localStorage, client, prefix: PREFIX });
  outboxes.add(outbox);
  alive.add(client);
  live(client);
  const entry = { asked: data.dataset };
  entry.cleanup = () => {
    entry.gone = true;
    entry.panel?.unmount();
    if (mounted.get(parentElement) === entry) mounted.delete(parentElement);
    Object.assign(outbox, { onStatus: () => {}, onResult: () => {}, onRefused: () => {} });
    outbox.drained().then(() => outboxes.delete(outbox));
  };
  mounted.set(parentElement, entry); // before anything is waited for: Streamlit may call again at once
  livingClients().then((others) => {
    if (entry.gone) return;
    for (const other of others) alive.add(other);
    entry.panel = new Panel({
      root: parentElement, api, keys: new Keys(localStorage, ACTIONS, STORE), outbox, isAlive: (other) => alive.has(other),
      dataset: data.dataset, datasets: data.datasets, sample: data.sample,
    });
    parentElement.append(entry.panel.element);
    keepBelowHeader(entry.panel.element, entry.panel.stop.signal);
    entry.panel.start();
  });
  return entry.cleanup;
}
