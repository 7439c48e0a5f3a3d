// Poll for acts of other annotators: at short intervals while the page is visible, and at once when it becomes visible again.
//
// The newest act seen is kept in the browser, so that overruled verdicts are also reported at the next visit.

import { className } from "./classes.js";
/** @import { Classes, ColouredClasses, FindingState, News, Overruled, Status, Timers } from "./types.d.ts" */
/** @import { Api } from "./api.js" */

/**
 * Options of `watchClasses`: `take(answer)` takes the classes and returns false if it cannot take them now; `client` makes the own acts.
 *
 * @typedef {object} Watch
 * @property {Pick<Api, "state">} api
 * @property {() => number} dataset
 * @property {string} client
 * @property {(answer: News & ColouredClasses) => boolean} take
 * @property {AbortSignal} signal
 */

const EVERY_MS = 1500;
const PREFIX = "outfold.seen.";

export class OtherPeople {
  /**
   * @param {object} options
   * @param {(after: number | null) => Promise<News>} options.ask Resolves to {state, acted, overruled}, without `after` to the state alone.
   * @param {(overruled: Overruled[], answer: News) => void} options.changed Called when others acted.
   * @param {{ getItem: (key: string) => string | null, setItem: (key: string, value: string) => void }} options.storage
   * @param {string} options.key Names the watched object in `storage`.
   * @param {() => boolean} [options.seen] Returns whether the page is visible.
   * @param {Timers} [options.timers]
   */
  constructor({ ask, changed, storage, key, seen = () => document.visibilityState === "visible", timers = globalThis }) {
    this.ask = ask;
    this.changed = changed;
    this.storage = storage;
    this.key = PREFIX + key;
    this.seen = seen;
    this.timers = timers;
    const stored = storage.getItem(this.key);
    this.state = /^\d+$/.test(stored ?? "") ? Number(stored) : null;
  }

  /** Look now, and again in a moment; a page out of view waits until `look` is called again. */
  async look() {
    this.timers.clearTimeout(this.timer);
    if (this.stopped || !this.seen() || this.asking) return;
    this.asking = true;
    const answer = await this.ask(this.state).catch(() => null); // no network: no known change
    this.asking = false;
    if (this.stopped) return;
    this.timers.clearTimeout(this.timer);
    this.timer = this.timers.setTimeout(() => this.look(), EVERY_MS);
    if (!answer || (answer.state === this.state && !answer.acted)) return; // a bulk act in parts is news until it ends
    this.state = answer.state;
    this.storage.setItem(this.key, String(answer.state));
    if (answer.acted) this.changed(answer.overruled ?? [], answer);
  }

  stop() {
    this.stopped = true;
    this.timers.clearTimeout(this.timer);
  }
}

/** Watch acts of others on the classes of a dataset, on a page without a round. @param {Watch} options */
export function watchClasses({ api, dataset, client, take, signal }) {
  const others = new OtherPeople({
    ask: async (after) => {
      const about = dataset();
      return { ...(await api.state(new URLSearchParams({ dataset: String(about), client, after: String(after ?? 0) }))), dataset: about };
    },
    changed: (_, answer) => {
      if (answer.dataset !== dataset() || take(/** @type {News & ColouredClasses} */ (answer)) === false) others.state = null; // requested again in a moment
    },
    storage: { getItem: () => null, setItem() {} }, key: "classes",
  });
  document.addEventListener("visibilitychange", () => others.look(), { signal });
  addEventListener("focus", () => others.look(), { signal });
  signal.addEventListener("abort", () => others.stop());
  others.look();
  return others;
}

/** Return one line on own verdicts that others decided otherwise. @param {Overruled[]} overruled @param {Classes} classes */
export function overruledText(overruled, classes) {
  const [first] = overruled;
  if (overruled.length > 1) return `${overruled.length} of your verdicts were changed by others, the last by ${first.by}.`;
  return `${first.by} decided ${first.name} otherwise: ${verdictWords(first, classes)}. You: ${verdictWords(first.own, classes)}.`;
}

/** @type {Partial<Record<Status, string>>} */
const UNUSABLE = { ambiguous: "ambiguous", exclude: "excluded", second_opinion: "second opinion", relabel: "mask edited" };

/** @param {Pick<FindingState, "status" | "label">} state @param {Classes} classes */
function verdictWords({ status, label }, classes) {
  return label === null ? UNUSABLE[status] ?? status : className(classes, label);
}
