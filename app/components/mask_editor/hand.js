// What the person holds: the tool and the class it paints with.

import { nameOf } from "./class_list.js";

export class Hand {
  constructor(editor) {
    Object.assign(this, { editor, tool: "brush", label: 0, before: "brush" });
  }

  /** An image has been opened: its region's suggested class is likely wanted. */
  open({ about, region, predicted }) {
    if (!predicted && this.tool.startsWith("suggest")) this.use("brush");
    if (region) this.label = region.pseudo;
    else if (this.label >= about.classes.length) this.label = 0;
    this.#dip();
  }

  /** Take another tool. */
  use(tool) {
    const { editor } = this;
    if (tool.startsWith("suggest") && !editor.picture.predicted) {
      editor.say(editor.roundId ? "There are no predictions of this round for this image." : "No round has looked at this image yet.", { warning: true });
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

  /** Take another class; unlabelled is painted by the eraser. */
  choose(id) {
    const { editor } = this;
    const unlabelled = id === editor.picture.about.ignore;
    if (unlabelled && this.tool === "brush") this.use("eraser");
    else if (!unlabelled && this.tool === "eraser") this.use("brush");
    if (this.tool !== "eraser") this.label = id;
    editor.live.textContent = nameOf(editor.picture.about, id);
    this.#dip();
  }

  /** Take the class under a position; `done`: and the tool from before. */
  pickAt(position, { done = false } = {}) {
    const id = this.editor.painting.at(...position.map(Math.floor));
    if (id === null) return;
    if (done) this.use(this.before);
    this.choose(id);
  }

  /** Protect a class, or no longer. */
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
