// Filters with live counts: kind, pair of classes, confidence, path and the rest.

import { className, foldName, givenName, lettersOf, offeredOf, suggestedName } from "../shared/classes.js";
import { fill, focusedBeside, h } from "../shared/dom.js";
import { day, fraction, number, RECIPES } from "../shared/format.js";
import { AuditList } from "./audit_parts.js";
import { countNarrowing, DEFAULT, filterOfPath, KINDS, ORDERS } from "./filters.js";
import { Histogram } from "./histogram.js";
/** @import { Child, Classes, ClassId, Counts, Filter, Kind, RoundInfo, Status } from "../shared/types.d.ts" */
/** @import { SampleActs } from "./audit_parts.js" */
/** @import { RegionFilters } from "./region_filters.js" */

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

/** Return how many findings a queue of this filter holds. @param {Counts} counts @param {Pick<Filter, "status">} filter */
export function countInQueue(counts, { status }) {
  if (status === "todo") return counts.todo;
  if (status === "decided") return counts.decided;
  if (status === "any") return counts.total;
  return status.split(",").reduce((sum, name) => sum + (counts.by_status[/** @type {Status} */ (name)] ?? 0), 0);
}

/**
 * Return the number of findings of the path outside of the queue, and where they are, or null if none is.
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

class PathFilter {
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

const MATRIX_CLASSES = 12;
const PAIRS_LISTED = 60;

class Pairs {
  // Of the last drawing.
  /** @type {Counts["pairs"]} */ pairs;
  /** @type {Filter} */ filter;

  /** `onpick({given, pseudo})`: null means any. @param {{ classes: Classes, onpick: (pair: Pick<Filter, "given" | "pseudo">) => void }} options */
  constructor({ classes, onpick }) {
    this.classes = classes;
    this.onpick = onpick;
    this.small = true; // whether the pairs are drawn as a matrix
    /** @type {string[]} */
    this.letters = [];
    this.search = h("input", { type: "search", class: "pair-search", placeholder: "Find a class", "aria-label": "Find a class in the pairs", oninput: () => this.#list() });
    this.body = h("div", { class: "pairs" });
    this.element = h("div", {}, this.search, this.body);
    this.renew();
  }

  /** Classes were added, renamed or taken away. */
  renew() {
    this.small = offeredOf(this.classes).length <= MATRIX_CLASSES;
    this.letters = this.small ? lettersOf(this.classes) : [];
    this.search.hidden = this.small;
    if (this.pairs) this.draw(this.pairs, this.filter);
  }

  /** @param {Counts["pairs"]} pairs @param {Filter} filter */
  draw(pairs, filter) {
    this.pairs = pairs;
    this.filter = filter;
    const place = [...this.body.querySelectorAll("button")].indexOf(/** @type {HTMLButtonElement} */ (focusedBeside(this.body)));
    this.body.classList.toggle("list", !this.small);
    if (this.small) this.#matrix();
    else this.#list();
    if (place >= 0) this.body.querySelectorAll("button")[place]?.focus(); // drawing must not take the focus away
  }

  /** @param {ClassId | null} given @param {ClassId | null} pseudo */
  #pick(given, pseudo) {
    const same = this.filter.given === given && this.filter.pseudo === pseudo;
    this.onpick(same ? { given: null, pseudo: null } : { given, pseudo });
  }

  #matrix() {
    const counts = new Map(this.pairs.map(([given, pseudo, count]) => [`${given},${pseudo}`, count]));
    const most = Math.max(1, ...counts.values());
    const columns = this.#with(1);
    const rows = [...(this.pairs.some(([given]) => given === -1) ? [-1] : []), ...this.#with(0)];
    const head = h("tr", {}, h("td", {}), columns.map((id) => h("th", { scope: "col" }, this.#header(null, id, "v"))));
    fill(this.body, h("table", { class: "mx", "aria-label": "Findings by given and suggested class" }, head,
      rows.map((given) => h("tr", {}, h("th", { scope: "row" }, this.#header(given, null, "")),
        columns.map((pseudo) => this.#cell(given, pseudo, counts.get(`${given},${pseudo}`) ?? 0, most))))));
  }

  /** Return the offered classes, then others that findings still have on this side of a pair. @param {0 | 1} side */
  #with(side) {
    const offered = offeredOf(this.classes);
    const others = new Set(this.pairs.map((pair) => pair[side]).filter((id) => id >= 0 && !offered.includes(id)));
    return [...offered, ...others];
  }

  /** @param {ClassId | null} given @param {ClassId | null} pseudo @param {string} extra */
  #header(given, pseudo, extra) {
    const id = given ?? pseudo ?? -1;
    const name = className(this.classes, id);
    const on = this.filter.given === given && this.filter.pseudo === pseudo;
    return h("button", {
      type: "button", class: extra, title: `${given === null ? "suggested" : "given"} ${name}`, "aria-pressed": String(on), onclick: () => this.#pick(given, pseudo),
    }, id === -1 ? "none" : this.letters[id]);
  }

  /** @param {ClassId} given @param {ClassId} pseudo @param {number} count @param {number} most */
  #cell(given, pseudo, count, most) {
    const on = this.filter.given === given && this.filter.pseudo === pseudo;
    if (!count && !on) return h("td", { class: given === pseudo ? "d" : "" });
    const label = `${className(this.classes, given)} → ${className(this.classes, pseudo)}: ${number(count)}`;
    return h("td", { class: given === pseudo ? "d" : "" },
      h("button", {
        type: "button", class: count > 99 ? "cell long" : "cell", title: label, "aria-label": label, "aria-pressed": String(on),
        style: { "--heat": Math.sqrt(count / most).toFixed(2) }, onclick: () => this.#pick(given, pseudo),
      }, short(count)));
  }

  #list() {
    const wanted = foldName(this.search.value.trim());
    /** @param {ClassId} id */
    const holds = (id) => foldName(className(this.classes, id)).includes(wanted);
    const ranked = this.pairs.filter(([given, pseudo]) => !wanted || holds(given) || holds(pseudo)).sort((a, b) => b[2] - a[2]);
    const most = Math.max(1, ranked[0]?.[2] ?? 1);
    fill(this.body,
      ranked.slice(0, PAIRS_LISTED).map(([given, pseudo, count]) => h("button", {
        type: "button", class: "pair", title: `${className(this.classes, given)} → ${className(this.classes, pseudo)}`,
        "aria-pressed": String(this.filter.given === given && this.filter.pseudo === pseudo), style: { "--heat": (count / most).toFixed(2) }, onclick: () => this.#pick(given, pseudo),
      }, givenName(this.classes, given), h("i", {}, "→"), suggestedName(this.classes, pseudo), h("em", {}, number(count)))),
      ranked.length > PAIRS_LISTED && h("p", { class: "dim" }, `and ${number(ranked.length - PAIRS_LISTED)} more pairs`),
      !ranked.length && h("p", { class: "dim" }, "no pair"));
  }
}

/** @param {number} count */
const short = (count) => (count < 1000 ? String(count) : `${Math.floor(count / 1000)}k`);

/** @typedef {[value: string | number, text: string]} Choice */
/** @typedef {{ round: (id: number) => void, dataset: (round: number) => void }} RoundActs `dataset` gets the round of another dataset. */
/** @typedef {{ undo: (changeset: number) => void, remove: () => void }} QueueActs */

/**
 * Options of the sidebar; `regions` are the filters of regions, null for images.
 *
 * @typedef {object} SidebarOptions
 * @property {RoundInfo} info
 * @property {PathFilterOptions["on"] & RoundActs & SampleActs & QueueActs} on
 * @property {RegionFilters | null} [regions]
 */

/** @typedef {{ name: keyof Filter, input: HTMLInputElement | HTMLSelectElement, row: Child }} Field */

/** @type {Kind[]} */
const LISTED_KINDS = ["suspicious", "unlabelled", "agreeing"];
const BULK_LISTED = 5;
/** @type {[keyof Filter, string][]} Fields that choose a class. */
const SIDES = [["given", "Given"], ["pseudo", "Suggested"]];
const OF_CLASS = new Set(SIDES.map(([name]) => name));
const STATUS_NAMES = {
  todo: "to do", decided: "decided", any: "any", open: "open", second_opinion: "second opinion", accept: "accepted", bulk: "accepted in bulk", painted: "painted over",
  keep: "kept", relabel: "relabelled", ambiguous: "ambiguous", exclude: "excluded",
};

export class Sidebar {
  /** @param {SidebarOptions} options */
  constructor({ info, on, regions = null }) {
    this.info = info;
    /** @type {Filter | null} That of the last drawing. */
    this.filter = null;
    this.regions = regions;
    this.suggests = info.round.suggests !== false; // else there are no pairs, confidences or random samples
    this.on = on;
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Show" });
    this.pairs = new Pairs({ classes: info.classes, onpick: (pair) => on.filter(pair) });
    this.histogram = new Histogram({
      handles: 2, labels: ["Lowest confidence", "Highest confidence"], onchange: ([min, max], final) => final && on.filter({ min, max }),
    });
    this.path = new PathFilter({ on });
    this.fields = this.#fields();
    this.reset = h("button", { type: "button", class: "link", onclick: () => on.filter({ ...DEFAULT }) }, "Clear all filters");
    this.remove = h("button", { type: "button", class: "link lead remove-images", title: "Removes the images of the filter from the dataset", onclick: () => on.remove() }, "Remove these images…");
    this.bulk = h("div", { class: "bulk" });
    this.audits = new AuditList({ classes: info.classes, on });
    this.element = h("aside", { class: "left", "aria-label": "Filters" },
      heading(info, on),
      h("h2", {}, "Show"), this.chips, regions?.element,
      this.suggests && [
        this.audits.element,
        h("h2", {}, "Given × suggested"), this.pairs.element,
        h("h2", {}, "Confidence"), this.histogram.element,
      ],
      h("h2", {}, "More"), this.fields.map(({ row }) => row), this.reset, this.remove, this.bulk);
    this.inform(info);
  }

  /** @param {Counts} counts @param {Filter} filter */
  draw(counts, filter) {
    this.filter = filter;
    this.#drawChips(counts, filter);
    this.pairs.draw(counts.pairs, filter);
    this.histogram.draw(counts.histogram, [filter.min, filter.max]);
    this.regions?.draw(counts, filter);
    for (const { name, input } of this.fields) if (input !== focusedBeside(input) || input.tagName === "SELECT") this.#choose(input, filter[name], name);
    this.path.draw(counts, filter);
    this.reset.hidden = !countNarrowing(filter);
  }

  /** Classes were added, renamed or taken away. */
  renew() {
    for (const { name, input } of this.fields.filter((field) => OF_CLASS.has(field.name))) {
      fill(input, options(this.#classOptions()));
      if (this.filter) this.#choose(input, this.filter[name], name);
    }
    this.pairs.renew();
    this.regions?.renew();
    this.audits.renew();
  }

  /** @returns {Choice[]} */
  #classOptions() {
    const { classes } = this.info;
    return [["", "any"], ...offeredOf(classes).map((id) => choiceOf(id, classes[id]))];
  }

  /**
   * Set a field to the filter's value, also to a class that is not offered.
   *
   * @param {HTMLInputElement | HTMLSelectElement} input
   * @param {string | number | null} value
   * @param {keyof Filter} name
   */
  #choose(input, value, name) {
    input.value = String(value ?? "");
    if (!OF_CLASS.has(name) || !("selectedIndex" in input) || input.selectedIndex >= 0) return;
    input.append(h("option", { value }, className(this.info.classes, Number(value))));
    input.value = String(value);
  }

  /** Add the annotator to the filter by annotators. @param {string} name */
  person(name) {
    const input = /** @type {HTMLSelectElement} */ (this.fields.find((field) => field.name === "by")?.input);
    if (![...input.options].some((option) => option.value === name)) input.append(h("option", { value: name }, name));
  }

  /** List the random samples of the round, and the bulk acts in force, each with its undo. @param {RoundInfo} info */
  inform(info) {
    this.audits.draw(info);
    const live = (info.bulk_acts ?? []).filter((act) => act.live).slice(0, BULK_LISTED);
    fill(this.bulk, live.length > 0 && h("h2", {}, "Accepted in bulk"), live.map((act) => h("p", { title: `${act.by}, ${day(act.at)}` },
      h("span", {}, `${number(act.size)}${act.of ? ` of ${number(act.of)} so far` : ""}${act.threshold === null ? " by class" : ` above ${fraction(act.threshold)}`}`, h("small", {}, ` ${act.by}`)),
      h("button", { type: "button", class: "link lead", onclick: () => this.on.undo(act.changeset) }, "Undo"))));
  }

  /** @param {Counts} counts @param {Filter} filter */
  #drawChips(counts, filter) {
    /** @param {string} label @param {number | undefined} count @param {boolean} on @param {Partial<Filter>} changes */
    const chip = (label, count, on, changes) => h("button", { type: "button", class: "chip", "aria-pressed": String(on), onclick: () => this.on.filter(changes) }, `${label} ${number(count ?? 0)}`);
    const queue = filter.status === "todo" || filter.status === "open";
    const kinds = LISTED_KINDS.filter((kind) => (kind === "suspicious" && this.suggests) || (counts.kinds[kind] ?? 0) > 0 || filter.show.includes(kind));
    const chips = kinds.map((kind) => chip(this.regions && kind === "suspicious" ? "regions" : kind, counts.kinds[kind], queue && filter.show.split(",").includes(kind), { show: kind, status: "todo" }));
    chips.push(chip("second opinion", counts.second_opinion, filter.status === "second_opinion", { status: "second_opinion" }));
    chips.push(chip("decided", counts.decided, filter.status === "decided", { status: "decided" }));
    const active = focusedBeside(this.chips);
    const index = active ? [...this.chips.children].indexOf(active) : -1;
    fill(this.chips, chips);
    if (index >= 0) chips[index]?.focus();
  }

  #fields() {
    const { info } = this;
    /** @type {Choice[]} */
    const orders = !this.suggests ? [["suspicion", "similar images together"]] : Object.entries(ORDERS).filter(([name]) => name !== "similarity" || info.round.has_similarity);
    /** @param {keyof Filter} name @param {string} label @param {Choice[]} values @param {(text: string) => unknown} [read] */
    const choose = (name, label, values, read = (text) => text) => {
      /** @type {HTMLSelectElement} */
      const input = h("select", { onchange: () => this.on.filter({ [name]: read(input.value) }) }, options(values));
      return { name, input, row: row(label, input) };
    };
    /** @param {string} text */
    const whole = (text) => (text === "" ? null : Number(text));
    /** @type {(Field | false)[]} */
    const fields = [
      choose("order", "Order", orders),
      ...SIDES.map(([name, label]) => choose(name, label, this.#classOptions(), whole)),
      info.splits.length > 1 && choose("split", "Split", [["", "any"], ...info.splits.filter(Boolean).map((name) => choiceOf(name, name))]),
      choose("status", "Status", Object.entries(STATUS_NAMES)),
      info.folds > 1 && choose("fold", "Fold", [["", "any"], ...Array.from({ length: info.folds }, (_, fold) => choiceOf(fold, String(fold + 1)))], whole),
      choose("by", "Judged by", [["", "anyone"], ...info.annotators.map((name) => choiceOf(name, name))]),
      { name: "path", input: this.path.input, row: [row("Path contains", this.path.input), this.path.line] },
    ];
    return fields.filter((field) => field !== false);
  }
}

/**
 * Return dataset and round with the choice of others, shared by the sidebars of a queue and of an audit.
 *
 * @param {RoundInfo} info
 * @param {RoundActs} on
 */
export function heading(info, on) {
  const { round, rounds, datasets, folds } = info;
  const words = [`Round ${round.number}`, RECIPES[round.recipe] ?? `${folds} folds`, round.config?.model, scoreText(info)];
  const finished = rounds.filter(({ status }) => status === "done");
  return h("header", {},
    h("h1", { title: round.dataset }, round.dataset),
    h("p", { class: "dim" }, words.filter(Boolean).join(" · ")),
    datasets.length > 1 && row("Dataset", h("select", { onchange: (event) => on.dataset(chosenNumber(event)) },
      datasets.map((dataset) => h("option", { value: dataset.round, selected: dataset.id === round.dataset_id }, dataset.name)))),
    finished.length > 1 && row("Round", h("select", { onchange: (event) => on.round(chosenNumber(event)) },
      finished.map((other) => h("option", { value: other.id, selected: other.id === round.id }, `Round ${other.number}`)))));
}

/** Return the number that a person chose. @param {Event} event */
const chosenNumber = (event) => Number(/** @type {HTMLSelectElement} */ (event.target).value);

/** @param {string | number} value @param {string} text @returns {Choice} */
const choiceOf = (value, text) => [value, text];

/** @param {Choice[]} values */
const options = (values) => values.map(([value, text]) => h("option", { value }, text));

/** @param {RoundInfo} info */
function scoreText({ mean_iou: meanIou, round }) {
  if (meanIou) return `mIoU ${(meanIou * 100).toFixed(1)}`;
  return round.accuracy ? `${(round.accuracy * 100).toFixed(1)} % out-of-fold` : null;
}

/** @param {string} label @param {HTMLElement} input */
function row(label, input) {
  return h("label", { class: "field" }, h("span", {}, label), input);
}
