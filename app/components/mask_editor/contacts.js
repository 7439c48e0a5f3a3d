// Roles of the pointers on the image: at most one draws, further fingers move the image.
//
// A second finger ends the stroke of the first. After the first event of a pen, fingers only move the image, and while the pen is down
// they do nothing, so that a resting palm neither paints nor pans.

/** @import { Point } from "../shared/types.d.ts" */

/** @typedef {Pick<PointerEvent, "pointerId" | "pointerType" | "clientX" | "clientY">} PointerPlace */
/** @typedef {{ x: number, y: number, distance: number }} Grasp Point between two fingers and their distance, 0 for one finger. */

export class Contacts {
  constructor() {
    /** @type {number | null} */
    this.owner = null; // pointerId of the one that draws
    /** @type {Map<number, Point>} */
    this.touches = new Map(); // pointerId -> [x, y] in CSS pixels, in the order they came down
    this.moving = false; // fingers move the image, until the last one is lifted
    this.pen = false; // a pen has been used
  }

  /** Return the role of a pointer on press: "draw", "move" or "ignore"; the first two end an earlier stroke. @param {PointerPlace} event */
  down({ pointerId, pointerType, clientX, clientY }) {
    if (pointerType === "pen") {
      this.pen = true;
      if (this.#isOccupied(pointerId)) return "ignore";
      this.touches.clear();
      this.moving = false;
      this.owner = pointerId;
      return "draw";
    }
    if (this.#isOccupied(pointerId)) return "ignore";
    if (pointerType !== "touch") {
      if (this.touches.size) return "ignore";
      this.owner = pointerId;
      return "draw";
    }
    this.touches.set(pointerId, [clientX, clientY]);
    if (this.touches.size === 1 && !this.pen) {
      this.owner = pointerId;
      return "draw";
    }
    this.owner = null;
    this.moving = true;
    return "move";
  }

  /** Return the role of a pointer that moved: "draw", "move", "hover" or "ignore". @param {PointerPlace} event */
  move({ pointerId, pointerType, clientX, clientY }) {
    if (pointerType === "pen") this.pen = true;
    if (this.touches.has(pointerId)) this.touches.set(pointerId, [clientX, clientY]);
    if (pointerId === this.owner) return "draw";
    if (this.touches.has(pointerId)) return "move";
    return this.owner === null && !this.touches.size && pointerType !== "touch" ? "hover" : "ignore";
  }

  /** Return the role that a lifted pointer had: "draw", "move" or "ignore". @param {{ pointerId: number }} event */
  up({ pointerId }) {
    const touched = this.touches.delete(pointerId);
    if (!this.touches.size) this.moving = false;
    if (pointerId === this.owner) {
      this.owner = null;
      return "draw";
    }
    return touched ? "move" : "ignore";
  }

  /** Return whether a mouse or pen other than this pointer draws. @param {number} pointerId */
  #isOccupied(pointerId) {
    return this.owner !== null && this.owner !== pointerId && !this.touches.has(this.owner);
  }

  /** The point between the first two fingers and their distance (0 for one finger); null unless fingers move the image. @returns {Grasp | null} */
  get grasp() {
    if (!this.moving) return null;
    const [first, second = first] = [...this.touches.values()];
    const [[x0, y0], [x1, y1]] = [first, second];
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, distance: Math.hypot(x1 - x0, y1 - y0) };
  }
}
