// Layers of photo, mask and contours: a small image is drawn once and moved by the browser (`Sheet`); of a large one only the visible part
// is drawn, at the window's resolution (`Pane`).

import { h } from "../shared/dom.js";
import { Mosaic } from "./mosaic.js";
import { edgePixels, fillPixels, viewPixels, withEdges } from "./palette.js";
/** @import { Box } from "../shared/types.d.ts" */
/** @import { Painting } from "./painting.js" */
/** @import { Settings } from "./toolbox.js" */
/** @import { View } from "./view.js" */

/**
 * Options of the layers: `painting` is shown in the colours of `table` (palette.js), over the image whose pictures lie under `url`.
 *
 * @typedef {{ painting: Painting, table: Uint32Array, url: string }} LayerOptions
 */
/** @typedef {Pick<Settings, "fill" | "contour" | "opacity">} Shown */

const THICKEST = 4; // of a contour, in image pixels
const PIXELATED = 3; // device pixels per image pixel; from here on the photo's own pixels are shown as squares

/** Return what draws on a canvas. @param {HTMLCanvasElement} canvas */
function contextOf(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")); // null only for a canvas of another kind
}

export class Sheet {
  /** @param {LayerOptions} options */
  constructor({ painting, table, url }) {
    this.painting = painting;
    this.table = table;
    this.thick = 0;
    this.contour = false;
    const { width, height } = painting;
    this.photo = h("img", { class: "photo", alt: "", draggable: false, src: `${url}/0.webp` });
    this.fill = h("canvas", { class: "fill" });
    this.edge = h("canvas", { class: "edge" });
    this.element = h("div", { class: "sheet", style: { width: `${width}px`, height: `${height}px` } }, this.photo, this.fill, this.edge);
    for (const layer of [this.photo, this.fill, this.edge]) Object.assign(layer, { width, height });
    this.fillContext = contextOf(this.fill);
    this.edgeContext = contextOf(this.edge);
  }

  /** Redraw a box of the mask, or all of it if null. @param {Box | null} box */
  draw(box) {
    const { painting, table, thick } = this;
    const { labels, width, height } = painting;
    const whole = box ?? { x: 0, y: 0, width, height };
    put(this.fillContext, whole, (pixels) => fillPixels(pixels, labels, width, whole, table));
    if (!this.contour) return;
    const edged = withEdges(whole, thick);
    put(this.edgeContext, edged, (pixels) => edgePixels(pixels, labels, width, height, edged, table, thick));
  }

  /** Choose the visible layers. @param {Shown} settings */
  show({ fill, contour, opacity }) {
    const drawn = this.contour;
    this.contour = contour;
    this.fill.style.opacity = String(fill ? opacity : 0);
    this.edge.style.visibility = contour ? "" : "hidden";
    if (contour && !drawn) this.draw(null);
  }

  /** Place the image by the view. @param {View} view */
  place(view) {
    const { x, y, scale } = view.placed;
    this.element.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.photo.classList.toggle("pixelated", view.scale >= PIXELATED);
    this.element.classList.toggle("reduced", view.scale < 1);
    const thick = Math.min(THICKEST, Math.max(1, Math.round(1 / view.scale)));
    if (thick === this.thick) return;
    this.thick = thick;
    this.draw(null);
  }

  close() {
    this.element.remove();
  }
}

/** @param {CanvasRenderingContext2D} context @param {Box} box @param {(pixels: Uint32Array) => void} write */
function put(context, box, write) {
  const image = new ImageData(box.width, box.height);
  write(new Uint32Array(image.data.buffer));
  context.putImageData(image, box.x, box.y);
}

export class Pane {
  // Pixels of the layers, from the first frame on.
  /** @type {ImageData} */ image;
  /** @type {ImageData} */ edges;
  /** @type {Uint32Array[]} */ pixels;

  /** @param {LayerOptions} options */
  constructor({ painting, table, url }) {
    this.painting = painting;
    this.table = table;
    this.contour = false;
    /** @type {View | null} */
    this.view = null;
    this.waiting = 0;
    const { width, height } = painting;
    this.mosaic = new Mosaic({ url, width, height, onload: () => this.#wait() });
    this.layers = ["photo", "fill", "edge"].map((name) => h("canvas", { class: name }));
    this.contexts = this.layers.map(contextOf);
    this.element = h("div", { class: "pane" }, h("div", { class: "sheet", style: { width: `${width}px`, height: `${height}px` } }), ...this.layers);
    this.sheet = /** @type {HTMLElement} */ (this.element.firstElementChild);
  }

  /** Redraw a box of the mask, or everything visible if null. @param {Box | null} box */
  draw(box) {
    if (!this.view || this.waiting) return; // it will be drawn with the next frame
    const { x, y, scale } = this.view;
    const [width, height] = [this.image.width, this.image.height];
    const whole = { x: 0, y: 0, width, height };
    this.#put(box ? cut(box, x, y, scale, whole) : whole);
  }

  /** Choose the visible layers. @param {Shown} settings */
  show({ fill, contour, opacity }) {
    const drawn = this.contour;
    const [, filled, edge] = this.layers;
    this.contour = contour;
    filled.style.opacity = String(fill ? opacity : 0);
    edge.style.visibility = contour ? "" : "hidden";
    if (contour && !drawn) this.draw(null);
  }

  /** Place the image by the view, with the next frame. @param {View} view */
  place(view) {
    this.view = view;
    const { x, y, scale } = view.placed;
    this.sheet.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.#wait();
  }

  close() {
    cancelAnimationFrame(this.waiting);
    this.mosaic.close();
    this.element.remove();
  }

  #wait() {
    if (!this.view) return; // it has no place yet
    this.waiting ||= requestAnimationFrame(() => {
      this.waiting = 0;
      this.#fit();
      this.#photo();
      this.draw(null);
    });
  }

  /** Return the view by which it was placed: nothing is drawn before. */
  #placed() {
    return /** @type {View} */ (this.view);
  }

  /** Give the layers a pixel for each of the window's. */
  #fit() {
    const { stageWidth, stageHeight, ratio } = this.#placed();
    const [width, height] = [Math.round(stageWidth * ratio), Math.round(stageHeight * ratio)];
    if (this.image?.width === width && this.image.height === height) return;
    for (const layer of this.layers) Object.assign(layer, { width, height });
    this.image = new ImageData(width, height);
    this.edges = new ImageData(width, height);
    this.pixels = [this.image, this.edges].map(({ data }) => new Uint32Array(data.buffer));
  }

  #photo() {
    const [context] = this.contexts;
    const view = this.#placed();
    context.imageSmoothingEnabled = view.scale < PIXELATED;
    this.mosaic.draw(context, view);
  }

  /** @param {Box | null} box */
  #put(box) {
    if (!box) return;
    const { painting, table, image, edges } = this;
    const [, fill, edge] = this.contexts;
    const [filled, edged] = this.pixels;
    viewPixels(filled, this.contour ? edged : null, painting, box, image.width, this.#placed(), table);
    fill.putImageData(image, 0, 0, box.x, box.y, box.width, box.height);
    if (this.contour) edge.putImageData(edges, 0, 0, box.x, box.y, box.width, box.height);
  }
}

/**
 * Return the window's pixels that show a box of the image, with the contours beside it; null if it is out of sight.
 *
 * @param {Box} box
 * @param {number} x
 * @param {number} y
 * @param {number} scale
 * @param {{ width: number, height: number }} whole
 * @returns {Box | null}
 */
function cut(box, x, y, scale, whole) {
  const margin = Math.max(1, Math.ceil(scale)); // a contour may begin a pixel before the change
  const left = Math.max(0, Math.floor(box.x * scale + x) - margin);
  const top = Math.max(0, Math.floor(box.y * scale + y) - margin);
  const right = Math.min(whole.width, Math.ceil((box.x + box.width) * scale + x) + 1);
  const bottom = Math.min(whole.height, Math.ceil((box.y + box.height) * scale + y) + 1);
  return left < right && top < bottom ? { x: left, y: top, width: right - left, height: bottom - top } : null;
}
