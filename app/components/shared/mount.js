// Life of a component in a Streamlit page: mounted once in its root element, left alone by reruns that ask for the same.
//
// An outbox outlives its component: unsaved acts go on being sent. Each client holds a lock while its page is open, so that other pages
// take over only the acts of dead ones.

import { KeptActs, Outbox } from "./outbox.js";
/** @import { Entry, MountedView } from "./types.d.ts" */
/** @import { ActList, Sender } from "./outbox.js" */

/** @type {WeakMap<HTMLElement, Entry<MountedView>>} */
const mounted = new WeakMap(); // the component's root -> its entry

/**
 * Mount a component in `root`, or bring it up to date; returns the clean-up for its unmounting.
 *
 * @template {MountedView} View
 * @param {HTMLElement} root
 * @param {unknown} wanted Identity of the wanted view.
 * @param {(entry: Entry<View>) => unknown} open Shows a view at once or later, unless the component is gone.
 * @param {(view: View) => boolean} isShown Returns whether a view that a person navigated to already shows that.
 * @returns {() => void}
 */
export function mountComponent(root, wanted, open, isShown = () => false) {
  const present = /** @type {Entry<View> | undefined} */ (mounted.get(root));
  if (present && (present.wanted === wanted || (present.view && isShown(present.view)))) {
    present.wanted = wanted;
    return present.cleanup;
  }
  present?.cleanup();
  /** @type {Entry<View>} */
  const entry = {
    wanted, view: null, gone: false, onGone: () => {},
    show(build) {
      entry.view?.unmount();
      const view = build();
      entry.view = view;
      root.append(view.element);
      keepBelowHeader(view.element, view.stop.signal);
      return view;
    },
    cleanup() {
      entry.gone = true;
      entry.view?.unmount();
      if (mounted.get(root) === entry) mounted.delete(root);
      entry.onGone();
    },
  };
  mounted.set(root, entry); // before anything is waited for: Streamlit may call again at once
  open(entry);
  return entry.cleanup;
}

/**
 * Keep an element that fills the window below Streamlit's header, whatever the header's height, until `signal` aborts.
 *
 * @param {HTMLElement} element
 * @param {AbortSignal} signal
 */
function keepBelowHeader(element, signal) {
  const header = document.querySelector('[data-testid="stHeader"]');
  const measure = () => element.style.setProperty("--top", `${Math.max(0, header?.getBoundingClientRect().bottom ?? 0)}px`);
  measure();
  if (!header) return;
  const observer = new ResizeObserver(measure);
  observer.observe(header);
  signal.addEventListener("abort", () => observer.disconnect());
}

const LOCK_PREFIX = "outfold.client.";
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
  navigator.locks?.request(LOCK_PREFIX + client, () => new Promise(() => {}));
}

/** Return the clients whose page is open. */
export async function livingClients() {
  const held = (await navigator.locks?.query())?.held ?? [];
  return new Set(held.flatMap(({ name = "" }) => (name.startsWith(LOCK_PREFIX) ? name.slice(LOCK_PREFIX.length) : [])));
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
