// The current tool and the class that it paints.

import { errorText } from "../shared/api.js";
import { offeredOf } from "../shared/classes.js";
import { nameOf } from "./class_list.js";
/** @import { ClassId, MaskInfo, Point } from "../shared/types.d.ts" */
/** @import { Editor } from "./editor.js" */
/** @import { Picture } from "./picture.js" */

export class Hand {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.tool = "brush";
    /** @type {ClassId} Class that is painted. */
    this.label = 0;
    this.before = "brush"; // tool that picking returns to
  }

  /** An image has been opened: its region's suggested class is likely wanted. @param {Pick<Picture, "about" | "region" | "predicted" | "painting">} picture */
  open({ about, region, predicted, painting }) {
    if (this.tool.startsWith("suggest") ? !predicted : this.tool === "restore" && painting.given === null) this.use("brush");
    if (region) this.label = region.pseudo;
    this.renew(about);
  }

  /**
   * Follow a change of the classes: a merged class becomes its target, one not offered any more the first offered one.
   *
   * @param {Pick<MaskInfo, "classes">} about
   * @param {[ClassId, ClassId][]} [merged]
   */
  renew({ classes }, merged = []) {
    this.label = new Map(merged).get(this.label) ?? this.label;
    const offered = offeredOf(classes);
    if (!offered.includes(this.label)) this.label = offered[0] ?? 0;
    this.#dip();
  }

  /** Take another tool. @param {string} tool */
  use(tool) {
    const { editor } = this;
    const { picture } = editor;
    if (tool.startsWith("suggest") && !picture.predicted) {
      const why = editor.roundId ? "There are no predictions of this round for this image." : "No round has looked at this image yet.";
      editor.say(picture.loading ? "What the round suggests is still being loaded." : why, { warning: true });
      return;
    }
    if (tool === "restore" && picture.painting.given === null) {
      editor.say("The given mask is being loaded.");
      const here = () => picture === editor.picture;
      picture.loadGiven().then(() => here() && this.use(tool), (error) => here() && editor.say(errorText(error), { warning: true }));
      return;
    }
    if (tool === "pick" && this.tool !== "pick") this.before = this.tool;
    if (tool !== "polygon") editor.pointer.drop();
    this.tool = tool;
    editor.element.dataset.tool = tool;
    editor.live.textContent = tool.replace("_", " ");
    editor.pointer.draw();
    editor.draw();
  }

  /** Take another class; unlabelled is painted by the eraser. @param {ClassId} id */
  choose(id) {
    const { editor } = this;
    const unlabelled = id === editor.picture.about.ignore;
    if (unlabelled && this.tool === "brush") this.use("eraser");
    else if (!unlabelled && this.tool === "eraser") this.use("brush");
    if (this.tool !== "eraser") this.label = id;
    editor.live.textContent = nameOf(editor.picture.about, id);
    this.#dip();
  }

  /** Take the class under a position; `done`: and the tool from before. @param {Point} position @param {{ done?: boolean }} [options] */
  pickAt(position, { done = false } = {}) {
    const [x, y] = position;
    const id = this.editor.painting.at(Math.floor(x), Math.floor(y));
    if (id === null) return;
    if (done) this.use(this.before);
    this.choose(id);
  }

  /** Protect a class, or no longer. @param {ClassId} id */
  lock(id) {
    const { picture, live } = this.editor;
    const { locked } = picture.painting;
    locked[id] = locked[id] ? 0 : 1;
    live.textContent = `${nameOf(picture.about, id)} is ${locked[id] ? "" : "no longer "}protected`;
    this.editor.draw();
  }

  #dip() {
    const { editor } = this;
    editor.stage.element.style.setProperty("--class", editor.picture.about.colours[this.label] ?? "transparent");
    editor.pointer.draw();
    editor.draw();
  }
}
