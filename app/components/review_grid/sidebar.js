// The filters: what is shown, which pair, how confident, and the rest; all with live counts.

import { AuditList } from "./audits.js";
import { fill, h } from "./dom.js";
import { DEFAULT, ORDERS, narrowed } from "./filters.js";
import { day, fraction, number, RECIPES } from "./format.js";
import { Histogram } from "./histogram.js";
import { Pairs } from "./pairs.js";

const BULK_LISTED = 5;
const STATUS_NAMES = {
  todo: "to do", decided: "decided", any: "any", open: "open", second_opinion: "second opinion", accept: "accepted", bulk: "accepted in bulk", painted: "painted over",
  keep: "kept", relabel: "relabelled", ambiguous: "ambiguous", exclude: "excluded",
};

export class Sidebar {
  /** `on` holds filter(changes), round(id), dataset(its round's id), undo(changeset), audit(id) and agreeing(); `regions` are filters of regions, where there are any. */
  constructor({ info, on, regions = null }) {
    this.info = info;
    this.regions = regions;
    this.on = on;
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Show" });
    this.pairs = new Pairs({ classes: info.classes, onpick: (pair) => on.filter(pair) });
    this.histogram = new Histogram({
      handles: 2, labels: ["Lowest confidence", "Highest confidence"], onchange: ([min, max], final) => final && on.filter({ min, max }),
    });
    this.fields = this.#fields();
    this.reset = h("button", { type: "button", class: "link", onclick: () => on.filter({ ...DEFAULT }) }, "Clear all filters");
    this.bulk = h("div", { class: "bulk" });
    this.audits = new AuditList({ classes: info.classes, on });
    this.element = h("aside", { class: "left", "aria-label": "Filters" },
      heading(info, on),
      h("h2", {}, "Show"), this.chips, this.audits.element, regions?.element,
      h("h2", {}, "Given × suggested"), this.pairs.element,
      h("h2", {}, "Confidence"), this.histogram.element,
      h("h2", {}, "More"), this.fields.map(({ row }) => row), this.reset, this.bulk);
    this.inform(info);
  }

  draw(counts, filter) {
    this.#drawChips(counts, filter);
    this.pairs.draw(counts.pairs, filter);
    this.histogram.draw(counts.histogram, [filter.min, filter.max]);
    this.regions?.draw(counts, filter);
    for (const { name, input } of this.fields) if (input !== input.getRootNode().activeElement || input.tagName === "SELECT") input.value = filter[name] ?? "";
    this.reset.hidden = !narrowed(filter);
  }

  /** Let what somebody new judges be asked for. */
  person(name) {
    const { input } = this.fields.find((field) => field.name === "by");
    if (![...input.options].some((option) => option.value === name)) input.append(h("option", { value: name }, name));
  }

  /** List the random samples of the round, and the bulk acts that still stand, each with its undo. */
  inform(info) {
    this.audits.draw(info);
    const live = (info.bulk_acts ?? []).filter((act) => act.live).slice(0, BULK_LISTED);
    fill(this.bulk, live.length > 0 && h("h2", {}, "Accepted in bulk"), live.map((act) => h("p", { title: `${act.by}, ${day(act.at)}` },
      h("span", {}, `${number(act.size)}${act.threshold === null ? " by class" : ` above ${fraction(act.threshold)}`}`, h("small", {}, ` ${act.by}`)),
      h("button", { type: "button", class: "link", onclick: () => this.on.undo(act.changeset) }, "Undo"))));
  }

  #drawChips(counts, filter) {
    const chip = (label, count, on, changes) => h("button", { type: "button", class: "chip", "aria-pressed": String(on), onclick: () => this.on.filter(changes) }, `${label} ${number(count ?? 0)}`);
    const queue = filter.status === "todo" || filter.status === "open";
    const kinds = ["suspicious", "unlabelled", "agreeing"].filter((kind) => kind === "suspicious" || counts.kinds[kind] > 0 || filter.show.includes(kind));
    const chips = kinds.map((kind) => chip(this.regions && kind === "suspicious" ? "regions" : kind, counts.kinds[kind], queue && filter.show.split(",").includes(kind), { show: kind, status: "todo" }));
    chips.push(chip("second opinion", counts.second_opinion, filter.status === "second_opinion", { status: "second_opinion" }));
    chips.push(chip("decided", counts.decided, filter.status === "decided", { status: "decided" }));
    const active = this.chips.getRootNode().activeElement;
    const index = [...this.chips.children].indexOf(active);
    fill(this.chips, chips);
    if (index >= 0) chips[index]?.focus();
  }

  #fields() {
    const { info } = this;
    const orders = Object.entries(ORDERS).filter(([name]) => name !== "similarity" || info.round.has_similarity);
    const choose = (name, label, options, read = (text) => text) => {
      const input = h("select", { onchange: () => this.on.filter({ [name]: read(input.value) }) }, options.map(([value, text]) => h("option", { value }, text)));
      return { name, input, row: row(label, input) };
    };
    const path = h("input", { type: "search", placeholder: "anything", onchange: () => this.on.filter({ path: path.value.trim() }) });
    return [
      choose("order", "Order", orders),
      info.splits.length > 1 && choose("split", "Split", [["", "any"], ...info.splits.filter(Boolean).map((name) => [name, name])]),
      choose("status", "Status", Object.entries(STATUS_NAMES)),
      info.folds > 1 && choose("fold", "Fold", [["", "any"], ...Array.from({ length: info.folds }, (_, fold) => [fold, String(fold + 1)])], (text) => (text === "" ? null : Number(text))),
      choose("by", "Judged by", [["", "anyone"], ...info.annotators.map((name) => [name, name])]),
      { name: "path", input: path, row: row("Path contains", path) },
    ].filter(Boolean);
  }
}

/** Return dataset and round with the choice of others, shared by the sidebars of a queue and of an audit. */
export function heading(info, on) {
  const { round, rounds, datasets, folds } = info;
  const words = [`Round ${round.number}`, RECIPES[round.recipe] ?? `${folds} folds`, round.config?.model, measured(info)];
  const finished = rounds.filter((one) => one.status === "done");
  return h("header", {},
    h("h1", { title: round.dataset }, round.dataset),
    h("p", { class: "dim" }, words.filter(Boolean).join(" · ")),
    datasets.length > 1 && row("Dataset", h("select", { onchange: (event) => on.dataset(Number(event.target.value)) },
      datasets.map((one) => h("option", { value: one.round, selected: one.id === round.dataset_id }, one.name)))),
    finished.length > 1 && row("Round", h("select", { onchange: (event) => on.round(Number(event.target.value)) },
      finished.map((one) => h("option", { value: one.id, selected: one.id === round.id }, `Round ${one.number}`)))));
}

function measured({ mean_iou: meanIou, round }) {
  if (meanIou) return `mIoU ${(meanIou * 100).toFixed(1)}`;
  return round.accuracy ? `${(round.accuracy * 100).toFixed(1)} % out-of-fold` : null;
}

function row(label, input) {
  return h("label", { class: "field" }, h("span", {}, label), input);
}
