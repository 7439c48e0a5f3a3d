// Which pages of this browser are open: each holds a lock for as long as it lives, so what a dead one left can be taken over.

const PREFIX = "outfold.client.";

export function newClient() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join(""); // plain http
}

/** Show other pages that this client lives. */
export function live(client) {
  navigator.locks?.request(PREFIX + client, () => new Promise(() => {}));
}

/** Return the clients whose page is open. */
export async function livingClients() {
  const held = (await navigator.locks?.query())?.held ?? [];
  return new Set(held.filter(({ name }) => name.startsWith(PREFIX)).map(({ name }) => name.slice(PREFIX.length)));
}
