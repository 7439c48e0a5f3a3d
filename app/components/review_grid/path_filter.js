// Filter by path: it acts while a person types, and counts images of that path under other filters.

import { fill, h } from "../shared/dom.js";
import { DEFAULT, KINDS } from "./filters.js";
import { number } from "../shared/format.js";
/** @import { Counts, Filter, Status } from "../shared/types.d.ts" */

/**
 * Options of the filter: `count(filter)` resolves to counts. Tests replace `pause` and `now`.
 *
 * @typedef {object} PathFilterOptions
 * @property {{ filter: (changes: Partial<Filter>) => void, count: (filter: Filter) => Promise<Counts> }} on
 * @property {number} [pause]
 * @property {() => number} [now]
 */

const PAUSE_MS = 250; // without a letter, until the queue is requested
const AGAIN_MS = 2000; // least time between two questions for one filter

/** Return the filter of all findings of a path, whatever their kind and status. @param {string} path */
export const filterOfPath = (path) => ({ ...DEFAULT, show: KINDS.join(","), status: "any", path });

/** Return how many findings a queue of this filter holds. @param {Counts} counts @param {Pick<Filter, "status">} filter */
export function countInQueue(counts, { status }) {
  if (status === "todo") return counts.todo;
  if (status === "decided") return counts.decided;
  if (status === "any") return counts.total;
  return status.split(",").reduce((sum, name) => sum + (counts.by_status[/** @type {Status} */ (name)] ?? 0), 0);
}

/**
 * Return the number of findings of the path outside of the queue, and where they are, or null where none is.
 *
 * @param {Counts} found
 * @param {Counts} counts
 * @param {Filter} filter
 */
export function findingsElsewhere(found, counts, filter) {
  const other = found.total - countInQueue(counts, filter);
  if (other <= 0) return null;
  /** @type {string[]} */
  const parts = [];
  let left = other;
  /** @param {number | undefined} count @param {string} word */
  const take = (count, word) => {
    const taken = Math.min(count ?? 0, left);
    if (taken > 0) parts.push(`${number(taken)} ${word}`);
    left -= taken;
  };
  if (filter.status === "todo") {
    take(found.decided, "decided");
    for (const kind of KINDS) if (!filter.show.split(",").includes(kind)) take(found.kinds[kind], kind);
  }
  if (left > 0) parts.push(`${number(left)} under other filters`);
  return { other, parts };
}

export class PathFilter {
  // Of the last drawing.
  /** @type {Counts} */ counts;
  /** @type {Filter} */ filter;

  /** @param {PathFilterOptions} options */
  constructor({ on, pause = PAUSE_MS, now = () => performance.now() }) {
    this.on = on;
    this.pause = pause;
    this.now = now;
    this.path = "";
    /** @type {{ filter: Filter, here: number, at: number } | null} Last question to the server. */
    this.request = null;
    /** @type {{ path: string, counts: Counts } | null} Its answer. */
    this.found = null;
    this.words = "";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.input = h("input", {
      type: "search", placeholder: "anything", oninput: (event) => /** @type {InputEvent} */ (event).isComposing || this.#later(), onchange: () => this.#apply(),
    });
    this.line = h("p", { class: "elsewhere", role: "status" });
  }

  /** @param {Counts} counts @param {Filter} filter */
  draw(counts, filter) {
    this.counts = counts;
    this.filter = filter;
    this.path = filter.path;
    this.#ask();
    const found = filter.path && this.found?.path === filter.path ? findingsElsewhere(this.found.counts, counts, filter) : null;
    const words = found && `${number(found.other)} more elsewhere: ${found.parts.join(", ")}. `;
    if ((words ?? "") === this.words) return;
    this.words = words ?? "";
    fill(this.line, found && [words, h("button", { type: "button", class: "link", onclick: () => this.on.filter(filterOfPath(filter.path)) }, "Show all")]);
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#apply(), this.pause);
  }

  #apply() {
    clearTimeout(this.timer);
    const path = this.input.value.trim();
    if (path === this.path) return;
    this.path = path;
    this.on.filter({ path });
  }

  /** Count under all filters, once per filter and again after a change of the queue. */
  #ask() {
    const { filter, counts } = this;
    if (!filter.path) return;
    const here = countInQueue(counts, filter);
    const { request } = this;
    if (request?.filter === filter && (request.here === here || this.now() - request.at < AGAIN_MS)) return;
    this.request = { filter, here, at: this.now() };
    this.on.count(filterOfPath(filter.path)).then((answer) => {
      if (this.filter.path !== filter.path) return;
      this.found = { path: filter.path, counts: answer };
      this.draw(this.counts, this.filter);
    }, () => {}); // the line is left out until the server answers
  }
}
