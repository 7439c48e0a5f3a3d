// Pointers on the image: their roles, the strokes and polygons that they draw, and the effect of each tool. Positions are in image pixels.
//
// At most one pointer draws, further fingers move the image. A second finger ends the stroke of the first. After the first event of a pen,
// fingers only move the image, and while the pen is down they do nothing, so that a resting palm neither paints nor pans.

import { number } from "../shared/format.js";
import { unionBox } from "./grid.js";
import { nameOf } from "./side_panel.js";
import { anchor, areaOf, polygonSpans, strokeSpans } from "./spans.js";
/** @import { Box, ClassId, Labels, Point } from "../shared/types.d.ts" */
/** @import { Editor } from "./editor.js" */
/** @import { Painting } from "./painting.js" */
/** @import { Grip } from "./stage.js" */

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

const CLOSE_PIXELS = 8; // CSS pixels around a polygon's first corner that complete it
const TAP_PIXELS = 10; // CSS pixels a finger may stray and still tap
/** @type {Record<string, (editor: Editor) => ClassId | Labels | null>} What each brush paints: a class, or the labels of a map. */
const SOURCES = {
  brush: (editor) => editor.label, eraser: (editor) => editor.picture.about.ignore,
  suggest_brush: (editor) => editor.painting.predicted, restore: (editor) => editor.painting.given,
};

export class Pointer {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.polygon = new Polygon();
    this.contacts = new Contacts();
    /** @type {Stroke | null} */
    this.stroke = null;
    /** @type {Point | null} Position in the image. */
    this.at = null;
    /** @type {[number, number] | null} Where the pointer that pans was, in CSS pixels. */
    this.panned = null;
    /** @type {[number, number] | null} Where a finger came down that may tap. */
    this.tap = null;
    /** @type {Grip | null} */
    this.grip = null;
    /** @type {Point | null} End of the last stroke. */
    this.last = null;
    /** @type {{ key: string, holds: (x: number, y: number) => boolean } | null} Piece that is outlined. */
    this.hinted = null;
    this.spaced = false; // the space bar is down: drags pan
    const { element } = editor.stage;
    /**
     * @template {keyof HTMLElementEventMap} Name
     * @param {Name} name
     * @param {(event: HTMLElementEventMap[Name]) => void} run
     * @param {AddEventListenerOptions} [options]
     */
    const listen = (name, run, options = {}) => element.addEventListener(name, run, { signal: editor.stop.signal, ...options });
    listen("pointerdown", (event) => this.#down(event));
    listen("pointermove", (event) => this.#move(event));
    listen("pointerup", (event) => this.#up(event));
    listen("pointercancel", (event) => this.#up(event));
    listen("pointerleave", () => this.#gone());
    listen("dblclick", () => this.complete());
    listen("contextmenu", (event) => event.preventDefault());
    listen("auxclick", (event) => event.preventDefault());
    listen("wheel", (event) => { event.preventDefault(); editor.stage.wheel(event); this.draw(); }, { passive: false });
  }

  get busy() {
    return Boolean(this.stroke || this.panned);
  }

  /** The space bar went down or up. @param {boolean} down */
  space(down) {
    this.spaced = down;
    this.editor.stage.element.classList.toggle("grab", down);
    this.draw();
  }

  /** Draw the marks of the pointer: the brush, the polygon's next edge, the area that a click would take. */
  draw() {
    const { stage, tool, settings, picture } = this.editor;
    if (!picture || !this.at) return;
    const brushes = SOURCES[tool] && !this.spaced;
    stage.brush(brushes ? this.at : null, settings.size);
    stage.draft(tool === "polygon" ? this.polygon.path(this.polygon.corners.length ? this.at : null) : "");
    if (tool !== "suggest") stage.hint([]);
  }

  /** Discard the polygon; returns whether there was one. */
  drop() {
    const had = this.polygon.corners.length > 0;
    this.polygon = new Polygon();
    this.editor.stage.draft("");
    return had;
  }

  back() {
    this.polygon.back();
    this.draw();
  }

  /** Paint the polygon; `subtract`: take it from the chosen class. @param {{ subtract?: boolean }} [options] */
  complete({ subtract = this.editor.toolbox.modes.polygon === "subtract" } = {}) {
    const { editor, polygon } = this;
    if (editor.tool !== "polygon" || polygon.corners.length < 3) return;
    const { painting, label, picture } = editor;
    const spans = polygon.spans(painting.width, painting.height);
    this.drop();
    if (subtract) editor.paint(painting.pixelsOf(label, spans), picture.about.ignore);
    else editor.paint(spans, label);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    const { editor } = this;
    const { stage } = editor;
    if (!editor.ready || event.button > 1) return;
    const role = this.contacts.down(event);
    if (role === "ignore") return;
    this.#takeBack();
    stage.element.focus({ preventScroll: true });
    if (role === "move") {
      this.#grip();
      return;
    }
    stage.element.setPointerCapture(event.pointerId); // so that its end is known wherever it is lifted
    if (event.button === 1 || (event.button === 0 && this.spaced)) {
      this.panned = [event.clientX, event.clientY];
      stage.element.classList.add("grabbing");
      event.preventDefault();
      return;
    }
    stage.locate();
    const position = stage.position(event);
    this.at = position;
    if (event.altKey) editor.hand.pickAt(position);
    else if (SOURCES[editor.tool]) this.#begin(event, position);
    else if (event.pointerType === "touch") this.tap = [event.clientX, event.clientY]; // a second finger may follow
    else this.#click(event, position);
  }

  /** Cancel the stroke or click of the drawing pointer, as another pointer takes its place. */
  #takeBack() {
    const { stage } = this.editor;
    const box = this.stroke?.cancel();
    this.stroke = null;
    this.tap = null;
    this.panned = null;
    this.grip = null;
    stage.element.classList.remove("grabbing");
    if (box) stage.draw(box);
  }

  /** Hold the image with the fingers that are down now, if any. */
  #grip() {
    const { contacts, editor } = this;
    this.grip = contacts.grasp && editor.stage.grip(contacts.grasp);
    this.#gone();
  }

  /** @param {PointerEvent} event @param {Point} position */
  #begin(event, position) {
    const { editor } = this;
    const source = /** @type {ClassId | Labels} */ (SOURCES[editor.tool](editor)); // a tool whose map is not loaded is not taken
    this.stroke = new Stroke(editor.painting, { source, size: editor.settings.size, from: event.shiftKey ? this.last : null });
    this.#paint([position]);
  }

  /** @param {PointerEvent} event @param {Point} position */
  #click(event, position) {
    const { editor } = this;
    const { painting, tool, label, picture, toolbox } = editor;
    const [x, y] = position.map(Math.floor);
    if (tool === "polygon") {
      if (!this.polygon.add(position, (CLOSE_PIXELS * editor.stage.view.ratio) / editor.stage.view.scale)) this.complete();
      else this.draw();
      return;
    }
    if (!painting.inside(x, y)) return;
    if (tool === "pick") editor.hand.pickAt(position, { done: true });
    else if (tool === "fill") editor.paint(painting.areaAt(x, y), label);
    else if (tool === "suggest") {
      const spans = painting.suggestedAt(x, y, { whole: event.shiftKey });
      if (!areaOf(spans)) editor.say("The mask already has the suggested class here.");
      editor.paint(spans, /** @type {Labels} */ (painting.predicted));
      this.#hint(event, true);
    } else if (toolbox.modes.replace === "region" && !picture.region) editor.say("No region is selected; replace everywhere, or fill.");
    else this.#replace(painting.at(x, y), toolbox.modes.replace === "region" ? picture.region?.spans ?? null : null);
  }

  /** Give the pixels of one class, all or those within spans, the chosen one. @param {ClassId | null} from @param {number[] | null} within */
  #replace(from, within) {
    const { editor } = this;
    const { label, painting, picture } = editor;
    const area = from === label ? 0 : editor.paint(painting.pixelsOf(from, within), label);
    if (!area) editor.say(from === label ? "That class is chosen already." : "Nothing to replace there.");
    else editor.say(`${nameOf(picture.about, from)} → ${nameOf(picture.about, label)}: ${number(area)} px`, { passing: true, action: { label: "Undo", run: () => editor.undo() } });
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const { editor } = this;
    const { stage } = editor;
    if (!editor.ready) return;
    const role = this.contacts.move(event);
    const grasp = role === "move" && this.contacts.grasp;
    if (this.grip && grasp) stage.follow(this.grip, grasp);
    if (role === "move" || role === "ignore") return;
    if (this.tap && Math.hypot(event.clientX - this.tap[0], event.clientY - this.tap[1]) > TAP_PIXELS) this.tap = null;
    if (!this.stroke) stage.locate();
    this.at = stage.position(event);
    if (this.panned) {
      stage.pan(event.clientX - this.panned[0], event.clientY - this.panned[1]);
      this.panned = [event.clientX, event.clientY];
    } else if (this.stroke) {
      const events = event.getCoalescedEvents?.() ?? [];
      this.#paint((events.length ? events : [event]).map((moved) => stage.position(moved)));
    } else if (editor.tool === "suggest") this.#hint(event);
    this.draw();
    editor.point([Math.floor(this.at[0]), Math.floor(this.at[1])]);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const { editor } = this;
    const role = this.contacts.up(event);
    if (role === "move") this.#grip();
    if (role !== "draw") return;
    if (event.type === "pointercancel" && event.pointerType === "touch") { // the system took the finger for a palm or a gesture
      this.#takeBack();
      return;
    }
    if (this.panned) {
      this.panned = null;
      editor.stage.element.classList.remove("grabbing");
    }
    if (this.tap) {
      this.tap = null;
      if (editor.ready) this.#click(event, editor.stage.position(event));
    }
    if (!this.stroke) return;
    if (event.type === "pointerup") this.#paint([editor.stage.position(event)]);
    this.last = this.stroke.position;
    const changed = this.stroke.end();
    this.stroke = null;
    if (changed) editor.painted();
  }

  /** @param {Point[]} positions */
  #paint(positions) {
    const box = this.stroke?.move(positions);
    if (box) this.editor.stage.draw(box);
  }

  /** Show the piece that a click would take; looked for only when the pointer enters another one. @param {PointerEvent} event */
  #hint(event, afresh = false) {
    const { painting, stage } = this.editor;
    const { predicted } = painting;
    if (!this.at || !predicted) return;
    const [x, y] = this.at.map(Math.floor);
    const place = y * painting.width + x;
    const key = painting.inside(x, y) ? `${painting.labels[place]}/${predicted[place]}/${event.shiftKey}` : "";
    if (!afresh && key === this.hinted?.key && (key === "" || this.hinted?.holds(x, y))) return;
    const spans = key && (event.shiftKey || painting.labels[place] !== predicted[place]) ? painting.suggestedAt(x, y, { whole: event.shiftKey }) : [];
    this.hinted = { key, holds: spanTest(spans) };
    stage.hint(spans);
  }

  #gone() {
    if (this.stroke) return;
    this.at = null;
    this.hinted = null;
    const { stage } = this.editor;
    stage.brush(null, 0);
    stage.hint([]);
    this.editor.point([-1, -1]);
  }
}

/** @param {number[]} spans */
function spanTest(spans) {
  /** @param {number} x @param {number} y */
  return (x, y) => {
    for (let index = 0; index < spans.length; index += 3) if (spans[index] === y && x >= spans[index + 1] && x < spans[index + 2]) return true;
    return false;
  };
}
