// The image with its mask on top: layers, zoom, and where the pointer is. It draws; what is drawn is decided elsewhere.

import { h } from "../review_grid/dom.js";
import { outlinePath } from "../review_grid/outline.js";
import { runsOf } from "./areas.js";
import { anchor, strokeSpans } from "./discs.js";
import { shape } from "./icons.js";
import { edgePixels, fillPixels, tableOf, withEdges } from "./palette.js";
import { View } from "./view.js";

const THICKEST = 4; // of a contour, in image pixels
const MARKS = ["region", "hint", "draft", "brush"]; // each over a dark line, so that it is seen on any image
const PIXELATED = 3; // device pixels per image pixel; from here on the photo's own pixels are shown as squares

export class Stage {
  constructor() {
    this.photo = h("img", { class: "photo", alt: "", draggable: false });
    this.fill = h("canvas", { class: "fill" });
    this.edge = h("canvas", { class: "edge" });
    this.sheet = h("div", { class: "sheet" }, this.photo, this.fill, this.edge);
    this.marks = Object.fromEntries(MARKS.flatMap((name) => [[`${name}-halo`, shape("path", { class: "mark halo" })], [name, shape("path", { class: `mark ${name}` })]]));
    this.group = shape("g", {}, ...Object.values(this.marks));
    this.element = h("div", { class: "stage", tabIndex: 0, role: "application" }, this.sheet, shape("svg", { class: "marks", "aria-hidden": "true" }, this.group));
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.element);
  }

  /** Show a painting over its image. */
  open({ painting, colours, url, label }) {
    const { width, height } = painting;
    Object.assign(this, { painting, table: tableOf(colours, painting.ignore), view: new View(width, height) });
    this.element.setAttribute("aria-label", label);
    this.photo.src = url;
    for (const [name, value] of [["width", width], ["height", height]]) {
      for (const layer of [this.photo, this.fill, this.edge]) layer[name] = value;
      this.sheet.style[name] = `${value}px`;
    }
    this.fillContext = this.fill.getContext("2d");
    this.edgeContext = this.edge.getContext("2d");
    this.outline([]);
    this.draft("");
    this.thick = 0; // so that it is drawn as soon as it is placed
    this.#resized();
  }

  /** Draw a box of the mask anew, all of it when null. */
  draw(box) {
    const { painting, table } = this;
    const { labels, width, height } = painting;
    const whole = box ?? { x: 0, y: 0, width, height };
    this.#put(this.fillContext, whole, (pixels) => fillPixels(pixels, labels, width, whole, table));
    if (!this.contour) return;
    const edged = withEdges(whole, this.thick);
    this.#put(this.edgeContext, edged, (pixels) => edgePixels(pixels, labels, width, height, edged, table, this.thick));
  }

  /** Choose what is seen of the mask. */
  show({ fill, contour, opacity }) {
    const drawn = this.contour;
    this.contour = contour;
    this.fill.style.opacity = fill ? opacity : 0;
    this.edge.style.visibility = contour ? "" : "hidden";
    if (contour && !drawn && this.painting) this.draw(null);
  }

  /** Hide the mask and every mark while a key is held. */
  hide(hidden) {
    this.element.classList.toggle("bare", hidden);
  }

  /** Draw the outline of the region at hand. */
  outline(runs) {
    this.#mark("region", runs.length ? outlinePath(runs) : "");
  }

  /** Draw a preview of what a click would take. */
  hint(spans) {
    this.#mark("hint", spans.length ? outlinePath(runsOf(spans)) : "");
  }

  /** Draw the polygon so far. */
  draft(path) {
    this.#mark("draft", path);
  }

  /** Show the brush where it would paint; no size: no brush. */
  brush(position, size) {
    const shown = position && size;
    if (shown && this.brushSize !== size) this.#mark("brush", brushPath(size));
    for (const mark of [this.marks.brush, this.marks["brush-halo"]]) {
      mark.style.display = shown ? "" : "none";
      if (shown) mark.setAttribute("transform", `translate(${anchor(position[0], size)} ${anchor(position[1], size)})`);
    }
    if (shown) this.brushSize = size;
  }

  /** Return where a pointer event is in the image, in its pixels. */
  position(event) {
    return this.view.toImage(event.clientX - this.left, event.clientY - this.top);
  }

  /** Find out where the stage lies in the window; to be called before positions are asked for. */
  locate() {
    const { left, top, width, height } = this.element.getBoundingClientRect();
    Object.assign(this, { left, top });
    return { width, height };
  }

  wheel(event) {
    this.locate();
    const lines = event.deltaMode === 1 ? 33 : 1; // some browsers count lines
    if (this.view.wheel(event.clientX - this.left, event.clientY - this.top, event.deltaY * lines)) this.place();
  }

  zoom(steps) {
    this.view.zoomAt(this.element.clientWidth / 2, this.element.clientHeight / 2, steps);
    this.place();
  }

  fitAll() {
    this.view.fit();
    this.place();
  }

  pan(dx, dy) {
    this.view.pan(dx, dy);
    this.place();
  }

  reveal(box) {
    if (this.view.reveal(box)) this.place();
  }

  /** Lay the image where the view says. */
  place() {
    const { x, y, scale } = this.view.placed;
    this.sheet.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.group.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
    this.photo.classList.toggle("pixelated", this.view.scale >= PIXELATED);
    this.sheet.classList.toggle("reduced", this.view.scale < 1);
    const thick = Math.min(THICKEST, Math.max(1, Math.round(1 / this.view.scale)));
    if (thick !== this.thick) {
      this.thick = thick;
      this.draw(null);
    }
    this.onplace?.(this.view.scale);
  }

  unmount() {
    this.observer.disconnect();
  }

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

  #put(context, box, write) {
    const image = new ImageData(box.width, box.height);
    write(new Uint32Array(image.data.buffer));
    context.putImageData(image, box.x, box.y);
  }
}

function brushPath(size) {
  const spans = strokeSpans([size, size], [size, size], size, 2 * size, 2 * size);
  const runs = runsOf(spans);
  for (let index = 0; index < runs.length; index += 3) {
    runs[index] -= size;
    runs[index + 1] -= size;
  }
  return outlinePath(runs);
}
