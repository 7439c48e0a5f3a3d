// From the pointer to the tools: strokes, clicks, polygons, panning.

import { number } from "../review_grid/format.js";
import { areaOf } from "./areas.js";
import { nameOf } from "./class_list.js";
import { Polygon, Stroke } from "./strokes.js";

const CLOSE_PIXELS = 8; // CSS pixels around a polygon's first corner that complete it
const SOURCES = {
  brush: (editor) => editor.label, eraser: (editor) => editor.picture.about.ignore,
  suggest_brush: (editor) => editor.painting.predicted, restore: (editor) => editor.painting.given,
};

export class Pointer {
  constructor(editor) {
    this.editor = editor;
    this.polygon = new Polygon();
    this.spaced = false; // the space bar is down: drags pan
    const { element } = editor.stage;
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

  /** The space bar went down or up. */
  space(down) {
    this.spaced = down;
    this.editor.stage.element.classList.toggle("grab", down);
    this.draw();
  }

  /** Draw what follows the pointer: the brush, the polygon's next edge, the piece a click would take. */
  draw() {
    const { stage, tool, settings, picture } = this.editor;
    if (!picture || !this.at) return;
    const brushes = SOURCES[tool] && !this.spaced;
    stage.brush(brushes ? this.at : null, settings.size);
    stage.draft(tool === "polygon" ? this.polygon.path(this.polygon.corners.length ? this.at : null) : "");
    if (tool !== "suggest") stage.hint([]);
  }

  /** Forget the polygon; returns whether there was one. */
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

  /** Paint the polygon; `subtract`: take it from the chosen class. */
  complete({ subtract = this.editor.toolbox.modes.polygon === "subtract" } = {}) {
    const { editor, polygon } = this;
    if (editor.tool !== "polygon" || polygon.corners.length < 3) return;
    const { painting, label, picture } = editor;
    const spans = polygon.spans(painting.width, painting.height);
    this.drop();
    if (subtract) editor.paint(painting.pixelsOf(label, spans), picture.about.ignore);
    else editor.paint(spans, label);
  }

  #down(event) {
    const { editor } = this;
    const { stage } = editor;
    if (!editor.ready || this.busy) return;
    stage.element.focus({ preventScroll: true });
    if (event.button === 1 || (event.button === 0 && this.spaced)) {
      this.panned = [event.clientX, event.clientY];
      stage.element.setPointerCapture(event.pointerId);
      stage.element.classList.add("grabbing");
      event.preventDefault();
      return;
    }
    if (event.button !== 0) return;
    stage.locate();
    const position = stage.position(event);
    this.at = position;
    if (event.altKey) editor.hand.pickAt(position);
    else if (SOURCES[editor.tool]) this.#begin(event, position);
    else this.#click(event, position);
  }

  #begin(event, position) {
    const { editor } = this;
    editor.stage.element.setPointerCapture(event.pointerId);
    this.stroke = new Stroke(editor.painting, { source: SOURCES[editor.tool](editor), size: editor.settings.size, from: event.shiftKey ? this.last ?? null : null });
    this.#paint([position]);
  }

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
      editor.paint(spans, painting.predicted);
      this.#hint(event, true);
    } else if (toolbox.modes.replace === "region" && !picture.region) editor.say("There is no region at hand; replace everywhere, or fill.");
    else this.#replace(painting.at(x, y), toolbox.modes.replace === "region" ? picture.region.spans : null);
  }

  /** Give the pixels of one class, all or those within spans, the chosen one. */
  #replace(from, within) {
    const { editor } = this;
    const { label, painting, picture } = editor;
    const area = from === label ? 0 : editor.paint(painting.pixelsOf(from, within), label);
    if (!area) editor.say(from === label ? "That is the chosen class already." : "Nothing to replace there.");
    else editor.say(`${nameOf(picture.about, from)} → ${nameOf(picture.about, label)}: ${number(area)} px`, { passing: true, action: { label: "Undo", run: () => editor.undo() } });
  }

  #move(event) {
    const { editor } = this;
    const { stage } = editor;
    if (!editor.ready) return;
    if (!this.stroke) stage.locate();
    this.at = stage.position(event);
    if (this.panned) {
      stage.pan(event.clientX - this.panned[0], event.clientY - this.panned[1]);
      this.panned = [event.clientX, event.clientY];
    } else if (this.stroke) {
      const events = event.getCoalescedEvents?.() ?? [];
      this.#paint((events.length ? events : [event]).map((one) => stage.position(one)));
    } else if (editor.tool === "suggest") this.#hint(event);
    this.draw();
    editor.point(this.at.map(Math.floor));
  }

  #up(event) {
    const { editor } = this;
    if (this.panned) {
      this.panned = null;
      editor.stage.element.classList.remove("grabbing");
    }
    if (!this.stroke) return;
    if (event.type === "pointerup") this.#paint([editor.stage.position(event)]);
    this.last = this.stroke.position;
    const changed = this.stroke.end();
    this.stroke = null;
    if (changed) editor.painted();
  }

  #paint(positions) {
    const box = this.stroke.move(positions);
    if (box) this.editor.stage.draw(box);
  }

  /** Show the piece that a click would take; looked for only when the pointer enters another one. */
  #hint(event, afresh = false) {
    const { painting, stage } = this.editor;
    const [x, y] = this.at.map(Math.floor);
    const place = y * painting.width + x;
    const key = painting.inside(x, y) ? `${painting.labels[place]}/${painting.predicted[place]}/${event.shiftKey}` : "";
    if (!afresh && key === this.hinted?.key && (key === "" || this.hinted.holds(x, y))) return;
    const spans = key && (event.shiftKey || painting.labels[place] !== painting.predicted[place]) ? painting.suggestedAt(x, y, { whole: event.shiftKey }) : [];
    this.hinted = { key, holds: holder(spans) };
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

function holder(spans) {
  return (x, y) => {
    for (let index = 0; index < spans.length; index += 3) if (spans[index] === y && x >= spans[index + 1] && x < spans[index + 2]) return true;
    return false;
  };
}
