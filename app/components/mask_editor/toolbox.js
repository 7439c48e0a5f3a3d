// Tools of the editor: the left side with their settings and those of the display, kept between visits, and the hand that holds one tool and
// the class that it paints.

import { errorText } from "../shared/api.js";
import { offeredOf } from "../shared/classes.js";
import { fill, h, keepFocus, keycap } from "../shared/dom.js";
import { icon } from "./icons.js";
import { nameOf } from "./side_panel.js";
/** @import { ClassId, MaskInfo, Point } from "../shared/types.d.ts" */
/** @import { Keys } from "../shared/keys.js" */
/** @import { Editor } from "./editor.js" */
/** @import { Icon } from "./icons.js" */
/** @import { Picture } from "./picture.js" */

/** @typedef {{ act: (action: string) => void, mode: (tool: string, mode: string) => void, set: (settings: Partial<Settings>) => void }} ToolboxActs */
/** @typedef {{ tool: string, settings: Settings, undo: boolean, redo: boolean, suggests: boolean }} ToolboxState */

const STORE = "outfold.masks.view";
/** @type {("fill" | "contour" | "opacity" | "size")[]} */
const STORED = ["fill", "contour", "opacity", "size"];
const LARGEST_BRUSH = 256; // image pixels
/** @type {[title: string, tools: [tool: Icon, name: string][]][]} */
const GROUPS = [
  ["Paint", [["brush", "Brush"], ["eraser", "Eraser"], ["polygon", "Polygon"], ["fill", "Fill"], ["replace", "Replace class"], ["pick", "Pick class"]]],
  ["From the round", [["suggest", "Take suggestion"], ["suggest_brush", "Paint suggestion"], ["restore", "Restore given"]]],
];
const BRUSHES = new Set(["brush", "eraser", "suggest_brush", "restore"]);
/** @type {Record<string, string>} */
const ABOUT = {
  brush: "Paints the chosen class. Shift + click draws a line from where the last stroke ended.",
  eraser: "Makes pixels unlabelled: no class, and not an error.",
  polygon: "Click the corners; Enter, a double click or the first corner completes it.",
  fill: "Gives the chosen class to the connected pixels of one class.",
  replace: "Click a class in the image: it becomes the chosen one.",
  pick: "Click a class in the image to choose it. With any tool: Alt + click.",
  suggest: "Takes the suggested class where the pointer shows an outline. Shift: the whole suggested shape.",
  suggest_brush: "Paints the round's suggestion.",
  restore: "Restores the mask that came with the dataset.",
};
/** @type {Record<string, [mode: string, word: string, about: string][]>} */
const MODES = {
  polygon: [["add", "Add", "paint the chosen class"], ["subtract", "Subtract", "make its pixels unlabelled"]],
  replace: [["image", "Whole image", "everywhere"], ["region", "Region", "within the region's outline"]],
};

export class Settings {
  /** @param {Storage} storage */
  constructor(storage) {
    this.storage = storage;
    this.fill = true; // whether colours are shown
    this.contour = true;
    this.opacity = 0.5;
    this.size = 12; // of the brush, image pixels
    Object.assign(this, readStore(storage, this));
  }

  /** @param {Partial<Settings>} changes */
  set(changes) {
    Object.assign(this, changes);
    this.size = Math.min(LARGEST_BRUSH, Math.max(1, Math.round(this.size)));
    this.opacity = Math.round(100 * Math.min(1, Math.max(0, this.opacity))) / 100;
    try {
      const { fill, contour, opacity, size } = this;
      this.storage.setItem(STORE, JSON.stringify({ fill, contour, opacity, size }));
    } catch {
      // a forbidden storage: the choice holds until the page is left
    }
  }

  /** Return the next brush size in a direction; steps grow with the size. @param {number} direction */
  resized(direction) {
    const step = Math.max(1, Math.round(this.size * 0.18));
    return this.size + direction * step;
  }
}

/** Return stored values of the types that `settings` has. @param {Storage} storage @param {Settings} settings */
function readStore(storage, settings) {
  try {
    const stored = JSON.parse(storage.getItem(STORE) ?? "null") ?? {};
    return Object.fromEntries(STORED.filter((name) => typeof stored[name] === typeof settings[name]).map((name) => [name, stored[name]]));
  } catch {
    return {};
  }
}

export class Toolbox {
  /** `on` holds act(action), mode(tool, mode), set(settings). @param {{ keys: Keys, on: ToolboxActs }} options */
  constructor({ keys, on }) {
    this.keys = keys;
    this.on = on;
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map();
    /** @type {ToolboxState | null} */
    this.drawn = null;
    this.shownTool = "";
    /** @type {Record<string, string>} */
    this.modes = { polygon: "add", replace: "image" };
    this.tools = h("div", { class: "tools", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" });
    /** @type {HTMLInputElement} */
    this.size = h("input", { type: "range", min: 1, max: 100, "aria-label": "Brush size in pixels", oninput: () => on.set({ size: sizeAt(Number(this.size.value)) }) });
    this.sized = h("b", {});
    this.options = h("div", { class: "options" });
    /** @type {HTMLInputElement} */
    this.opacity = h("input", { type: "range", min: 0, max: 100, "aria-label": "Opacity of the colours", oninput: () => on.set({ opacity: Number(this.opacity.value) / 100 }) });
    this.toggles = h("div", { class: "seg2", role: "group", "aria-label": "What is shown" });
    this.history = h("div", { class: "seg2", role: "group", "aria-label": "Undo and redo" });
    this.element = h("aside", { class: "left", "aria-label": "Tools" }, this.tools, this.options,
      h("h2", {}, "Show"), this.toggles, h("label", { class: "slider" }, h("span", {}, "Opacity"), this.opacity),
      h("h2", {}, "Undo"), this.history);
    this.keysChanged();
  }

  /** Draw all parts that show a key. */
  keysChanged() {
    fill(this.tools, GROUPS.map(([title, tools]) => [h("h2", {}, title), tools.map(([tool, name]) => this.#tool(tool, name))]));
    fill(this.toggles, this.#toggle("overlay", "Colours"), this.#toggle("contour", "Contours"));
    fill(this.history, this.#toggle("undo", "Undo", icon("undo")), this.#toggle("redo", "Redo", icon("redo")));
    for (const action of ["undo", "redo"]) this.#of(action).removeAttribute("aria-pressed");
    if (this.drawn) this.draw(this.drawn);
  }

  /** @param {ToolboxState} state */
  draw({ tool, settings, undo, redo, suggests }) {
    this.drawn = { tool, settings, undo, redo, suggests };
    for (const [, tools] of GROUPS) for (const [name] of tools) this.#of(name).setAttribute("aria-pressed", String(name === tool));
    for (const name of ["suggest", "suggest_brush"]) this.#of(name).disabled = !suggests;
    this.#of("overlay").setAttribute("aria-pressed", String(settings.fill));
    this.#of("contour").setAttribute("aria-pressed", String(settings.contour));
    this.#of("undo").disabled = !undo;
    this.#of("redo").disabled = !redo;
    this.size.value = String(placeOf(settings.size));
    this.sized.textContent = `${settings.size} px`;
    this.opacity.value = String(Math.round(settings.opacity * 100));
    if (this.shownTool !== tool || MODES[tool]) this.#option(tool);
    this.shownTool = tool;
  }

  /** @param {string} tool */
  #option(tool) {
    const { keys } = this;
    fill(this.options,
      BRUSHES.has(tool) && h("label", { class: "slider" }, h("span", {}, "Size ", this.sized), this.size,
        h("span", { class: "caps" }, keys.cap("smaller"), keys.cap("larger"))),
      MODES[tool] && h("div", { class: "seg2", role: "group", "aria-label": "How it works" }, MODES[tool].map(([mode, word, about]) =>
        h("button", { type: "button", title: about, "aria-pressed": String(this.modes[tool] === mode), onpointerdown: keepFocus, onclick: () => this.choose(tool, mode) }, word))),
      h("p", { class: "about" }, ABOUT[tool]));
  }

  /** @param {string} tool @param {string} mode */
  choose(tool, mode) {
    this.modes[tool] = mode;
    this.#option(tool);
    this.on.mode(tool, mode);
  }

  /** Return the button of an action, which is there once the keys are drawn. @param {string} action */
  #of(action) {
    return /** @type {HTMLButtonElement} */ (this.buttons.get(action));
  }

  /** @param {Icon} tool @param {string} name */
  #tool(tool, name) {
    return this.#button(tool, name, h("span", { class: "tool-name" }, name), icon(tool), "tool");
  }

  /** @param {string} action @param {string} word @param {Element | null} [drawing] */
  #toggle(action, word, drawing = null) {
    return this.#button(action, word, drawing ? null : word, drawing, "");
  }

  /** @param {string} action @param {string} name @param {string | Element | null} word @param {Element | null} drawing @param {string} className */
  #button(action, name, word, drawing, className) {
    const key = this.keys.label(action);
    const button = h("button", {
      type: "button", class: className, title: `${name}${key && ` (${key})`}`, "aria-label": `${name}${key && `, key ${key}`}`,
      "aria-pressed": "false", onpointerdown: keepFocus, onclick: () => this.on.act(action),
    }, drawing, word, key && keycap(key.replace("Shift+", "⇧")));
    this.buttons.set(action, button);
    return button;
  }
}

/** Return the brush size at a place of the slider: fine for small ones. @param {number} place */
function sizeAt(place) {
  return Math.round(LARGEST_BRUSH ** (place / 100));
}

/** @param {number} size */
function placeOf(size) {
  return Math.round((100 * Math.log(size)) / Math.log(LARGEST_BRUSH));
}

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
      const why = editor.roundId ? "This round has no predictions for this image." : "No round has predicted this image yet.";
      editor.say(picture.loading ? "The round's suggestion is still being loaded." : why, { warning: true });
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
