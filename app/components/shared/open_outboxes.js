// Outboxes of this page, and the clients that they send as.
//
// An outbox outlives its component: unsaved acts go on being sent. Each client holds a lock while its page is open, so that other pages
// take over only the acts of dead ones.

import { KeptActs, Outbox } from "./outbox.js";
/** @import { ActList, Sender } from "./outbox.js" */

const PREFIX = "outfold.client.";
/** @type {Set<Outbox>} */
const outboxes = new Set();
/** @type {Set<string>} */
const alive = new Set(); // clients whose tab holds a lock

export function newClient() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join(""); // plain http
}

/** Show other pages that this client lives. @param {string} client */
export function holdLock(client) {
  navigator.locks?.request(PREFIX + client, () => new Promise(() => {}));
}

/** Return the clients whose page is open. */
export async function livingClients() {
  const held = (await navigator.locks?.query())?.held ?? [];
  return new Set(held.flatMap(({ name = "" }) => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : [])));
}

addEventListener("pagehide", () => outboxes.forEach((outbox) => outbox.flush()));
addEventListener("online", () => outboxes.forEach((outbox) => outbox.retry()));

/**
 * Open an outbox with a client of its own; its acts are kept in the store of this name until the server has them.
 *
 * @param {Sender} send
 * @param {ActList} store
 */
export function openOutbox(send, store) {
  const client = newClient();
  const outbox = new Outbox({ send, kept: new KeptActs(store), client });
  outboxes.add(outbox);
  alive.add(client);
  holdLock(client);
  return outbox;
}

/** Let an outbox finish without its component. @param {Outbox} outbox */
export function leaveOutbox(outbox) {
  outbox.listen({});
  outbox.drained().then(() => outboxes.delete(outbox));
}

/** Look up the clients whose page is open, so that only acts of dead ones are taken over. */
export async function findLiving() {
  for (const client of await livingClients()) alive.add(client);
}

/** Return whether a client's page was open when `findLiving` last looked. @param {string} client */
export const isAlive = (client) => alive.has(client);
