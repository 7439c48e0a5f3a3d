// Filters with live counts: kind, pair of classes, confidence and the rest.

import { className, offeredOf } from "../shared/classes.js";
import { fill, focusedBeside, h } from "../shared/dom.js";
import { day, fraction, number, RECIPES } from "../shared/format.js";
import { AuditList } from "./audit_parts.js";
import { DEFAULT, countNarrowing, ORDERS } from "./filters.js";
import { Histogram } from "./histogram.js";
import { Pairs } from "./pairs.js";
import { PathFilter } from "./path_filter.js";
/** @import { Child, Counts, Filter, Kind, RoundInfo } from "../shared/types.d.ts" */
/** @import { SampleActs } from "./audit_parts.js" */
/** @import { PathFilterOptions } from "./path_filter.js" */
/** @import { RegionFilters } from "./region_filters.js" */

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
      h("span", {}, `${number(act.size)}${act.threshold === null ? " by class" : ` above ${fraction(act.threshold)}`}`, h("small", {}, ` ${act.by}`)),
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
    const orders = !this.suggests ? [["suspicion", "like beside like"]] : Object.entries(ORDERS).filter(([name]) => name !== "similarity" || info.round.has_similarity);
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
