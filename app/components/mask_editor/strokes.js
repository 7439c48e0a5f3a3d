// Strokes of a brush, and polygons by their corners. Positions are in image pixels.

import { unionBox } from "./grid.js";
import { anchor, polygonSpans, strokeSpans } from "./spans.js";
/** @import { Box, ClassId, Labels, Point } from "../shared/types.d.ts" */
/** @import { Painting } from "./painting.js" */

export class Stroke {
  /**
   * `source` is a class, or a map that the brush copies from; `from` begins with a straight line from there.
   *
   * @param {Painting} painting
   * @param {{ source: ClassId | Labels, size: number, from?: Point | null }} options
   */
  constructor(painting, { source, size, from = null }) {
    this.painting = painting;
    this.source = source;
    this.size = size;
    /** @type {Point | null} Position of the last one that was painted. */
    this.position = null;
    this.last = from && this.#anchored(from, size);
    painting.begin();
  }

  /** Continue through these positions; returns the box of changed pixels, null if none changed. @param {Point[]} positions */
  move(positions) {
    const { painting, size } = this;
    /** @type {Box | null} */
    let box = null;
    for (const position of positions) {
      const here = this.#anchored(position, size);
      const spans = strokeSpans(this.last ?? here, here, size, painting.width, painting.height);
      box = unionBox(box, painting.paint(spans, this.source));
      this.last = here;
      this.position = position;
    }
    return box;
  }

  /** Close the stroke; returns whether it changed a pixel. */
  end() {
    return this.painting.end();
  }

  /** Cancel the stroke; returns the box to redraw, null if nothing changed. */
  cancel() {
    return this.painting.cancel();
  }

  /** @param {Point} position @param {number} size @returns {Point} */
  #anchored([x, y], size) {
    return [anchor(x, size), anchor(y, size)];
  }
}

export class Polygon {
  constructor() {
    /** @type {Point[]} */
    this.corners = [];
  }

  /**
   * Add a corner; returns false when it lies on the first one (within `reach`) and the polygon is complete.
   *
   * @param {Point} corner
   * @param {number} reach
   */
  add([x, y], reach) {
    const [first] = this.corners;
    if (this.corners.length > 2 && Math.hypot(x - first[0], y - first[1]) <= reach) return false;
    const last = this.corners.at(-1);
    if (!last || last[0] !== x || last[1] !== y) this.corners.push([x, y]);
    return true;
  }

  back() {
    this.corners.pop();
  }

  /** @param {number} width @param {number} height */
  spans(width, height) {
    return polygonSpans(this.corners, width, height);
  }

  /** Return it as an SVG path, with a further corner where the pointer is. @param {Point | null} [pointer] */
  path(pointer = null) {
    const corners = pointer ? [...this.corners, pointer] : this.corners;
    return corners.map(([x, y], index) => `${index ? "L" : "M"}${x} ${y}`).join("");
  }
}
