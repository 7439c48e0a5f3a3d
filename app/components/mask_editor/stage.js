// Stage of the editor: the image with its mask and marks, zoom, and positions of the pointer. It draws what other parts ask for.

import { h, shape } from "../shared/dom.js";
import { outlinePath } from "../shared/regions.js";
import { LARGE } from "./grid.js";
import { Pane, Sheet } from "./layers.js";
import { tableOf } from "./palette.js";
import { anchor, runsOf, strokeSpans } from "./spans.js";
import { View } from "./view.js";
/** @import { Box, Point } from "../shared/types.d.ts" */
/** @import { Painting } from "./painting.js" */
/** @import { Grasp } from "./pointer.js" */
/** @import { Settings } from "./toolbox.js" */

/** @typedef {{ position: Point, scale: number, distance: number }} Grip Image as one or two fingers took hold of it. */

const MARKS = ["region", "hint", "draft", "brush"]; // each over a dark line, so that it is seen on any image

export class Stage {
  // Of the open image.
  /** @type {Sheet | Pane} */ layers;
  /** @type {View} */ view;

  constructor() {
    /** @type {((scale: number) => void) | null} Called after each placement of the image. */
    this.onplace = null;
    this.left = 0; // of the stage in the window
    this.top = 0;
    this.brushSize = 0;
    /** @type {Record<string, SVGPathElement>} */
    this.marks = Object.fromEntries(MARKS.flatMap((name) => [[`${name}-halo`, shape("path", { class: "mark halo" })], [name, shape("path", { class: `mark ${name}` })]]));
    this.group = shape("g", {}, ...Object.values(this.marks));
    this.element = h("div", { class: "stage", tabIndex: 0, role: "application" }, shape("svg", { class: "marks", "aria-hidden": "true" }, this.group));
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.element);
  }

  /**
   * Show a painting over its image, whose pictures lie under `url`.
   *
   * @param {{ painting: Painting, colours: string[], url: string, label: string }} options
   */
  open({ painting, colours, url, label }) {
    const { width, height } = painting;
    this.layers?.close();
    this.layers = new (width * height > LARGE ? Pane : Sheet)({ painting, table: tableOf(colours, painting.ignore), url });
    this.view = new View(width, height);
    this.element.setAttribute("aria-label", label);
    this.element.prepend(this.layers.element);
    this.outline([]);
    this.draft("");
    this.#resized();
  }

  /** Draw the mask in these colours from now on. @param {string[]} colours */
  recolour(colours) {
    this.layers.table = tableOf(colours, this.layers.painting.ignore);
    this.draw(null);
  }

  /** Redraw a box of the mask, or all of it if null. @param {Box | null} box */
  draw(box) {
    this.layers.draw(box);
  }

  /** Choose the visible layers. @param {Settings} settings */
  show(settings) {
    this.layers?.show(settings);
  }

  /** Hide the mask and every mark while a key is held. @param {boolean} hidden */
  hide(hidden) {
    this.element.classList.toggle("bare", hidden);
  }

  /** Draw the outline of the current region. @param {number[]} runs */
  outline(runs) {
    this.#mark("region", runs.length ? outlinePath(runs) : "");
  }

  /** Outline the area that a click would take. @param {number[]} spans */
  hint(spans) {
    this.#mark("hint", spans.length ? outlinePath(runsOf(spans)) : "");
  }

  /** Draw the polygon so far. @param {string} path */
  draft(path) {
    this.#mark("draft", path);
  }

  /** Show the brush where it would paint; no size: no brush. @param {Point | null} position @param {number} size */
  brush(position, size) {
    const shown = position && size;
    if (shown && this.brushSize !== size) this.#mark("brush", brushPath(size));
    for (const mark of [this.marks.brush, this.marks["brush-halo"]]) {
      mark.style.display = shown ? "" : "none";
      if (shown) mark.setAttribute("transform", `translate(${anchor(position[0], size)} ${anchor(position[1], size)})`);
    }
    if (shown) this.brushSize = size;
  }

  /** Return where a pointer event is in the image, in its pixels. @param {{ clientX: number, clientY: number }} event */
  position(event) {
    return this.view.toImage(event.clientX - this.left, event.clientY - this.top);
  }

  /** Measure the stage's place in the window; to be called before `position`. */
  locate() {
    const { left, top, width, height } = this.element.getBoundingClientRect();
    this.left = left;
    this.top = top;
    return { width, height };
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    this.locate();
    const lines = event.deltaMode === 1 ? 33 : 1; // some browsers count lines
    if (this.view.wheel(event.clientX - this.left, event.clientY - this.top, event.deltaY * lines)) this.place();
  }

  /** @param {number} steps */
  zoom(steps) {
    this.view.zoomAt(this.element.clientWidth / 2, this.element.clientHeight / 2, steps);
    this.place();
  }

  fitAll() {
    this.view.fit();
    this.place();
  }

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.view.pan(dx, dy);
    this.place();
  }

  /** Take hold of the image with one or two fingers, see `Contacts.grasp`; to be handed to `follow`. @param {Grasp} grasp */
  grip({ x, y, distance }) {
    this.locate();
    return { position: this.position({ clientX: x, clientY: y }), scale: this.view.scale, distance };
  }

  /** Move and zoom the image with the fingers that took hold of it. @param {Grip} grip @param {Grasp} grasp */
  follow(grip, { x, y, distance }) {
    const scale = grip.distance && distance ? grip.scale * (distance / grip.distance) : grip.scale;
    this.view.lay(grip.position, x - this.left, y - this.top, scale);
    this.place();
  }

  /** @param {Box} box */
  reveal(box) {
    if (this.view.reveal(box)) this.place();
  }

  /** Place the image by the view. */
  place() {
    const { x, y, scale } = this.view.placed;
    this.layers.place(this.view);
    this.group.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
    this.onplace?.(this.view.scale);
  }

  unmount() {
    this.observer.disconnect();
    this.layers?.close();
  }

  /** @param {string} name @param {string} path */
  #mark(name, path) {
    this.marks[name].setAttribute("d", path);
    this.marks[`${name}-halo`].setAttribute("d", path);
  }

  #resized() {
    const { width, height } = this.locate();
    if (!this.view || !width || !height) return;
    this.view.resize(width, height, devicePixelRatio);
    this.place();
  }
}

/** @param {number} size */
function brushPath(size) {
  const spans = strokeSpans([size, size], [size, size], size, 2 * size, 2 * size);
  const runs = runsOf(spans);
  for (let index = 0; index < runs.length; index += 3) {
    runs[index] -= size;
    runs[index + 1] -= size;
  }
  return outlinePath(runs);
}
