// What the pointer draws: strokes of a brush, and polygons corner by corner. Positions are in image pixels.

import { polygonSpans } from "./areas.js";
import { anchor, strokeSpans } from "./discs.js";
import { union } from "./tiles.js";

export class Stroke {
  /** `source` is a class, or a map of which the brush uncovers a part; `from` begins with a straight line from there. */
  constructor(painting, { source, size, from = null }) {
    Object.assign(this, { painting, source, size, last: from && this.#anchored(from, size) });
    painting.begin();
  }

  /** Go on through these positions; returns the box of what changed, null if nothing did. */
  move(positions) {
    const { painting, size } = this;
    let box = null;
    for (const position of positions) {
      const here = this.#anchored(position, size);
      const spans = strokeSpans(this.last ?? here, here, size, painting.width, painting.height);
      box = union(box, painting.paint(spans, this.source));
      this.last = here;
      this.position = position;
    }
    return box;
  }

  /** Returns whether it changed a pixel. */
  end() {
    return this.painting.end();
  }

  #anchored([x, y], size) {
    return [anchor(x, size), anchor(y, size)];
  }
}

export class Polygon {
  constructor() {
    this.corners = [];
  }

  /** Add a corner; returns false when it lies on the first one (within `reach`) and the polygon is complete. */
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

  spans(width, height) {
    return polygonSpans(this.corners, width, height);
  }

  /** Return it as an SVG path, with a further corner where the pointer is. */
  path(pointer = null) {
    const corners = pointer ? [...this.corners, pointer] : this.corners;
    return corners.map(([x, y], index) => `${index ? "L" : "M"}${x} ${y}`).join("");
  }
}
