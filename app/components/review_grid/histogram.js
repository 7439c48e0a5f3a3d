// Histogram of confidence, with one or two handles on the same scale.

import { fill, h } from "../shared/dom.js";
import { fraction, number } from "../shared/format.js";

const BAR = 4; // hundredths a bar holds

/** Return the lowest hundredth worth drawing: the scale begins a little below the first finding. @param {number[]} histogram */
export function scaleStart(histogram, least = 0) {
  const first = histogram.findIndex((count) => count > 0);
  const lowest = Math.min(first < 0 ? 0 : first, least > 0 ? least * 100 : 100);
  return Math.max(0, Math.min(Math.floor(lowest / 10) * 10, 80));
}

export class Histogram {
  /**
   * `onchange(values, final)` is called while a handle moves and on release; one handle is a threshold.
   *
   * @param {{ handles: number, onchange: (values: number[], final: boolean) => void, labels: string[] }} options
   */
  constructor({ handles, onchange, labels }) {
    this.onchange = onchange;
    /** @type {number[]} */
    this.histogram = [];
    /** @type {number[]} */
    this.values = [];
    this.start = 0; // lowest hundredth that is drawn
    this.bars = h("div", { class: "hist", "aria-hidden": "true" });
    this.inputs = Array.from({ length: handles }, (_, index) =>
      h("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": labels[index], oninput: () => this.#moved(index, false), onchange: () => this.#moved(index, true) }));
    this.inputs.forEach((input, index) => {
      input.value = String(100 * index); // the whole scale, until there are counts to draw
    });
    this.ends = [h("span", {}), h("span", {})];
    this.track = h("div", { class: `track handles-${handles}` }, h("i", {}), this.inputs);
    this.element = h("div", { class: "histogram" }, this.bars, this.track, h("div", { class: "ends" }, this.ends));
  }

  /** Draw `histogram` (100 counts) with the handles at `values` (0 to 1). @param {number[]} histogram @param {number[]} values */
  draw(histogram, values) {
    this.histogram = histogram;
    this.values = values.length === 1 ? [values[0], 1] : values;
    this.start = scaleStart(histogram, this.values[0]);
    /** @type {{ from: number, count: number }[]} */
    const sums = [];
    for (let from = this.start; from < 100; from += BAR) sums.push({ from, count: histogram.slice(from, from + BAR).reduce((a, b) => a + b, 0) });
    const most = Math.max(1, ...sums.map((bar) => bar.count));
    fill(this.bars, sums.map(({ from, count }) => h("i", {
      class: from + BAR > this.values[0] * 100 && from < this.values[1] * 100 ? "in" : "",
      style: { height: `${count ? Math.max(3, (100 * count) / most) : 0}%` },
      title: `${fraction(from / 100)} to ${fraction(Math.min(1, (from + BAR) / 100))}: ${number(count)}`,
    })));
    this.inputs.forEach((input, index) => {
      input.min = String(this.start);
      input.value = String(Math.round(this.values[index] * 100));
      input.setAttribute("aria-valuetext", fraction(this.values[index]));
    });
    /** @param {number} value */
    const place = (value) => `${(100 * (value * 100 - this.start)) / (100 - this.start)}%`;
    this.track.style.setProperty("--from", place(Math.max(this.values[0], this.start / 100)));
    this.track.style.setProperty("--to", place(this.values[1]));
    const shown = this.inputs.length === 1 ? [this.start / 100, 1] : [Math.max(this.values[0], this.start / 100), this.values[1]];
    this.ends.forEach((end, index) => {
      end.textContent = fraction(shown[index]);
    });
  }

  /** @param {number} index @param {boolean} final */
  #moved(index, final) {
    const values = this.inputs.map((input) => Number(input.value) / 100);
    if (values.length === 2 && values[1] - values[0] < 0.01) {
      values[index] = index ? Math.min(1, values[0] + 0.01) : Math.max(0, values[1] - 0.01);
    }
    if (values.length === 2 && values[0] <= this.start / 100) values[0] = 0; // at the left end: no lower bound
    this.draw(this.histogram, values);
    this.onchange(values, final);
  }
}
