// Mounting of the mask editor. Savers and the outbox outlive it: unsaved changes go on being sent.

import { Keys } from "../shared/keys.js";
import { mountComponent, holdLock, livingClients, newClient } from "../shared/mount.js";
import { KeptActs, Outbox } from "../shared/outbox.js";
import { ACTIONS, createActions, listen, STORE } from "./actions.js";
import { createMaskApi } from "./api.js";
import { Editor } from "./editor.js";
import { Journal, openJournal } from "./journal.js";
/** @import { Act, ActResult, Entry, Failure, Mounting } from "../shared/types.d.ts" */
/** @import { Actions } from "./actions.js" */
/** @import { MaskApi } from "./api.js" */
/** @import { Saver } from "./saver.js" */

/** @typedef {{ api: string, dataset: number, round: number | null, sample: number, finding: number | null }} EditorData */
/** @typedef {Awaited<ReturnType<typeof openDesk>>} Desk */

const LEAVE_MS = 5000; // how long going back to the review waits for the last save
/** @type {Promise<Desk> | null} */
let shared = null; // desk of all editors of this page: clients, journal, outbox, savers

/** Mount, or bring up to date, the editor in `parentElement`; returns the clean-up for its unmounting. @param {Mounting<EditorData>} component */
export function mount({ parentElement, data }) {
  const wanted = JSON.stringify([data.dataset, data.round, data.sample, data.finding]);
  /** @param {Editor} editor */
  const isShown = (editor) => editor.picture?.about?.sample === data.sample && editor.roundId === data.round;
  return mountComponent(parentElement, wanted, (entry) => open(entry, parentElement, data), isShown);
}

/** @param {Entry<Editor>} entry @param {HTMLElement} root @param {EditorData} data */
async function open(entry, root, data) {
  const api = createMaskApi(data.api);
  shared ??= openDesk(api);
  const desk = await shared;
  if (entry.gone) return;
  /** @type {Actions} */
  let actions = {};
  /** @param {string} action */
  const act = (action) => actions[action]();
  const editor = entry.show(() => new Editor({ root, api, keys: new Keys(localStorage, ACTIONS, STORE), storage: localStorage, dataset: data.dataset, roundId: data.round, desk, act }));
  desk.outbox.onStatus = () => editor.ready && editor.status();
  actions = createActions(editor, () => leave(desk, data));
  listen(editor, actions);
  editor.open(data.sample, data.finding);
}

/** Open the desk: two clients (masks and verdicts have separate numbers), journal, outbox. @param {MaskApi} api */
async function openDesk(api) {
  const [client, judge] = [newClient(), newClient()];
  for (const own of [client, judge]) holdLock(own);
  const alive = await livingClients();
  /** @param {string} other */
  const isAlive = (other) => alive.has(other);
  const journal = new Journal(await openJournal(), client);
  /** @type {Map<number | undefined, { resolve: (answer: ActResult) => void, reject: (error: Failure) => void }>} */
  const waiting = new Map(); // number of an act -> promise callbacks for its answer
  const outbox = new Outbox({
    send: api.send, kept: new KeptActs("verdicts"), client: judge,
    onResult: ({ client: whose, act }, result) => whose === judge && waiting.get(act.seq)?.resolve(result),
    onRefused: ({ client: whose, act }, error) => whose === judge && waiting.get(act.seq)?.reject(Object.assign(new Error(error.error ?? error.message), error)),
    onHeld: (entries, error) => entries.forEach(({ client: whose, act }) => whose === judge && waiting.get(act.seq)?.reject(Object.assign(new Error(error.error), error))),
  });
  const { name } = await api.me().catch(() => ({ name: null }));
  outbox.identify(name);
  if (name) await outbox.adopt(isAlive);
  await outbox.settled(LEAVE_MS); // earlier verdicts are part of the masks that are opened now
  /** @type {Set<Saver>} */
  const savers = new Set();
  const unsaved = () => outbox.unsaved > 0 || [...savers].some((saver) => saver.unsaved && !saver.held); // the journal keeps held ones
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
    /** @param {Act} act @returns {Promise<any>} */
    post: (act) => new Promise((resolve, reject) => { waiting.set(outbox.add(act), { resolve, reject }); }),
    /** @param {string | null} person */
    identify: (person) => {
      outbox.identify(person);
      for (const saver of savers) saver.retry();
    },
    /** Resolve when all is saved, or after this many milliseconds; savers without unsaved changes are dropped. @param {number} milliseconds */
    settled: async (milliseconds) => {
      for (const saver of savers) saver.flush();
      await Promise.race([Promise.all([outbox.drained(), ...[...savers].filter(({ held }) => !held).map((saver) => saver.drained())]), new Promise((resolve) => { setTimeout(resolve, milliseconds); })]);
      for (const saver of savers) if (!saver.unsaved) savers.delete(saver);
    },
  };
}

/** @param {Desk} desk @param {EditorData} data */
async function leave(desk, { dataset, round }) {
  await desk.settled(LEAVE_MS);
  location.assign(new URL(round ? `review?round=${round}` : `rounds?dataset=${dataset}`, location.href));
}
