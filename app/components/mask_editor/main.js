// Where Streamlit meets the mask editor. An editor lives as long as its element; a rerun of the page finds it and leaves it alone.
// Savers and the outbox outlive it: what is unsaved when the page is left goes on being sent.

import { live, livingClients, newClient } from "../review_grid/clients.js";
import { keepBelowHeader } from "../review_grid/frame.js";
import { Keys } from "../review_grid/keys.js";
import { Outbox } from "../review_grid/outbox.js";
import { ACTIONS, STORE } from "./actions.js";
import { createMaskApi } from "./api.js";
import { Editor } from "./editor.js";
import { createActions, listen } from "./input.js";
import { Journal, openDatabase } from "./journal.js";

const LEAVE_MS = 5000; // how long going back to the review waits for the last save
const mounted = new WeakMap(); // the component's root -> {asked, cleanup}
let shared = null; // what all editors of this page share: clients, journal, outbox, savers

/** Mount, or bring up to date, the editor in `parentElement`; returns the clean-up for its unmounting. */
export function mount({ parentElement, data }) {
  const present = mounted.get(parentElement);
  const asked = JSON.stringify([data.dataset, data.round, data.sample, data.finding]);
  const about = present?.editor?.picture?.about;
  if (present?.asked === asked || (about?.sample === data.sample && present.editor.roundId === data.round)) {
    present.asked = asked;
    return present.cleanup;
  }
  present?.cleanup();
  const api = createMaskApi(data.api);
  const entry = { asked };
  entry.cleanup = () => {
    entry.gone = true;
    entry.editor?.unmount();
    if (mounted.get(parentElement) === entry) mounted.delete(parentElement);
  };
  mounted.set(parentElement, entry); // before anything is waited for: Streamlit may call again at once
  shared ??= openDesk(api);
  shared.then((desk) => {
    if (entry.gone) return;
    let actions = {};
    const act = (action) => actions[action]();
    const editor = new Editor({ root: parentElement, api, keys: new Keys(localStorage, ACTIONS, STORE), storage: localStorage, dataset: data.dataset, roundId: data.round, desk, act });
    entry.editor = editor;
    desk.outbox.onStatus = () => editor.ready && editor.status();
    actions = createActions(editor, () => leave(desk, data));
    parentElement.append(editor.element);
    keepBelowHeader(editor.element, editor.stop.signal);
    listen(editor, actions);
    editor.open(data.sample, data.finding);
  });
  return entry.cleanup;
}

/** Open what outlives an image: two clients (masks and verdicts are numbered by themselves), journal, outbox. */
async function openDesk(api) {
  const [client, judge] = [newClient(), newClient()];
  for (const one of [client, judge]) live(one);
  const alive = await livingClients();
  const isAlive = (one) => alive.has(one);
  const journal = new Journal(await openDatabase(), client);
  const waiting = new Map(); // number of an act -> who waits for its answer
  const outbox = new Outbox({
    send: api.send, storage: localStorage, client: judge,
    onResult: ({ client: whose, act }, result) => whose === judge && waiting.get(act.seq)?.resolve(result),
    onRefused: ({ client: whose, act }, error) => whose === judge && waiting.get(act.seq)?.reject(Object.assign(new Error(error.error ?? error.message), error)),
  });
  const { name } = await api.me().catch(() => ({ name: null }));
  outbox.identify(name);
  if (name) outbox.adopt(isAlive);
  await outbox.settled(LEAVE_MS); // what was said before is part of the masks that are opened now
  const savers = new Set();
  const unsaved = () => outbox.unsaved > 0 || [...savers].some((saver) => saver.unsaved);
  let seq = 0;
  addEventListener("pagehide", () => {
    outbox.flush();
    for (const saver of savers) saver.leave();
    journal.leave();
  });
  addEventListener("online", () => {
    outbox.retry();
    for (const saver of savers) saver.retry();
  });
  document.addEventListener("visibilitychange", () => document.hidden && savers.forEach((saver) => saver.flush()));
  addEventListener("beforeunload", (event) => unsaved() && event.preventDefault());
  return {
    client, journal, isAlive, savers, outbox,
    nextSeq: () => (seq += 1),
    post: (act) => new Promise((resolve, reject) => { waiting.set(outbox.add(act), { resolve, reject }); }),
    identify: (person) => {
      outbox.identify(person);
      for (const saver of savers) saver.retry();
    },
    /** Resolve when all is saved, after so many milliseconds at the latest; saved images are let go. */
    settled: async (milliseconds) => {
      for (const saver of savers) saver.flush();
      await Promise.race([Promise.all([outbox.drained(), ...[...savers].map((saver) => saver.drained())]), new Promise((resolve) => { setTimeout(resolve, milliseconds); })]);
      for (const saver of savers) if (!saver.unsaved) savers.delete(saver);
    },
  };
}

async function leave(desk, { dataset, round }) {
  await desk.settled(LEAVE_MS);
  location.assign(new URL(round ? `review?round=${round}` : `rounds?dataset=${dataset}`, location.href));
}
