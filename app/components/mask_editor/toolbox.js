// The left side: tools with their keys, what the tool at hand can be set to, and how the mask is shown.

import { fill, h, keycap } from "../review_grid/dom.js";
import { shown } from "../review_grid/keys.js";
import { icon } from "./icons.js";
import { LARGEST_BRUSH } from "./settings.js";

const GROUPS = [
  ["Paint", [["brush", "Brush"], ["eraser", "Eraser"], ["polygon", "Polygon"], ["fill", "Fill"], ["replace", "Replace class"], ["pick", "Pick class"]]],
  ["From the round", [["suggest", "Take suggestion"], ["suggest_brush", "Paint suggestion"], ["restore", "Restore given"]]],
];
const BRUSHES = new Set(["brush", "eraser", "suggest_brush", "restore"]);
const ABOUT = {
  brush: "Paints the chosen class. Shift + click draws a line from where the last stroke ended.",
  eraser: "Makes pixels unlabelled: no class, and no error either.",
  polygon: "Click the corners; Enter, a double click or the first corner completes it.",
  fill: "Gives the chosen class to the connected pixels of one class.",
  replace: "Click a class in the image: it becomes the chosen one.",
  pick: "Click a class in the image to choose it. With any tool: Alt + click.",
  suggest: "Takes the suggested class where the pointer shows an outline. Shift: the whole suggested shape.",
  suggest_brush: "Uncovers what the round suggests.",
  restore: "Brings back the mask that came with the dataset.",
};
const MODES = {
  polygon: [["add", "Add", "paint the chosen class"], ["subtract", "Subtract", "make its pixels unlabelled"]],
  replace: [["image", "Whole image", "everywhere"], ["region", "Region", "within the region's outline"]],
};

/** Take the pointer's press without the keyboard's focus, so that the keys go on to the image. */
const keepFocus = (event) => event.preventDefault();

export class Toolbox {
  /** `on` holds act(action), mode(tool, mode), set(settings). */
  constructor({ keys, on }) {
    Object.assign(this, { keys, on, buttons: new Map(), modes: { polygon: "add", replace: "image" } });
    this.tools = h("div", { class: "tools", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" });
    this.size = h("input", { type: "range", min: 1, max: 100, "aria-label": "Brush size in pixels", oninput: () => on.set({ size: sizeAt(Number(this.size.value)) }) });
    this.sized = h("b", {});
    this.options = h("div", { class: "options" });
    this.opacity = h("input", { type: "range", min: 0, max: 100, "aria-label": "Opacity of the colours", oninput: () => on.set({ opacity: this.opacity.value / 100 }) });
    this.toggles = h("div", { class: "seg2", role: "group", "aria-label": "What is shown" });
    this.history = h("div", { class: "seg2", role: "group", "aria-label": "Undo and redo" });
    this.element = h("aside", { class: "left", "aria-label": "Tools" }, this.tools, this.options,
      h("h2", {}, "Show"), this.toggles, h("label", { class: "slider" }, h("span", {}, "Opacity"), this.opacity),
      h("h2", {}, "Undo"), this.history);
    this.keysChanged();
  }

  /** Draw everything that carries a key. */
  keysChanged() {
    fill(this.tools, GROUPS.map(([title, tools]) => [h("h2", {}, title), tools.map(([tool, name]) => this.#button(tool, name))]));
    fill(this.toggles, this.#toggle("overlay", "Colours"), this.#toggle("contour", "Contours"));
    fill(this.history, this.#toggle("undo", "Undo", icon("undo")), this.#toggle("redo", "Redo", icon("redo")));
    for (const action of ["undo", "redo"]) this.buttons.get(action).removeAttribute("aria-pressed");
    if (this.drawn) this.draw(this.drawn);
  }

  draw({ tool, settings, undo, redo, suggests }) {
    this.drawn = { tool, settings, undo, redo, suggests };
    for (const [, tools] of GROUPS) for (const [name] of tools) this.buttons.get(name).setAttribute("aria-pressed", String(name === tool));
    for (const name of ["suggest", "suggest_brush"]) this.buttons.get(name).disabled = !suggests;
    this.buttons.get("overlay").setAttribute("aria-pressed", String(settings.fill));
    this.buttons.get("contour").setAttribute("aria-pressed", String(settings.contour));
    this.buttons.get("undo").disabled = !undo;
    this.buttons.get("redo").disabled = !redo;
    this.size.value = placeOf(settings.size);
    this.sized.textContent = `${settings.size} px`;
    this.opacity.value = Math.round(settings.opacity * 100);
    if (this.shownTool !== tool || MODES[tool]) this.#option(tool);
    this.shownTool = tool;
  }

  #option(tool) {
    const { keys } = this;
    fill(this.options,
      BRUSHES.has(tool) && h("label", { class: "slider" }, h("span", {}, "Size ", this.sized), this.size,
        h("span", { class: "caps" }, keycap(shown(keys.combos("smaller")[0] ?? "")), keycap(shown(keys.combos("larger")[0] ?? "")))),
      MODES[tool] && h("div", { class: "seg2", role: "group", "aria-label": "How it works" }, MODES[tool].map(([mode, word, about]) =>
        h("button", { type: "button", title: about, "aria-pressed": String(this.modes[tool] === mode), onpointerdown: keepFocus, onclick: () => this.choose(tool, mode) }, word))),
      h("p", { class: "about" }, ABOUT[tool]));
  }

  choose(tool, mode) {
    this.modes[tool] = mode;
    this.#option(tool);
    this.on.mode(tool, mode);
  }

  #button(tool, name) {
    return this.#named(tool, name, h("span", { class: "tool-name" }, name), icon(tool), "tool");
  }

  #toggle(action, word, drawing = null) {
    return this.#named(action, word, drawing ? null : word, drawing, "");
  }

  #named(action, name, word, drawing, className) {
    const combo = this.keys.combos(action)[0];
    const button = h("button", {
      type: "button", class: className, title: `${name}${combo ? ` (${shown(combo)})` : ""}`, "aria-label": `${name}${combo ? `, key ${shown(combo)}` : ""}`,
      "aria-pressed": "false", onpointerdown: keepFocus, onclick: () => this.on.act(action),
    }, drawing, word, combo && keycap(shown(combo).replace("Shift+", "⇧")));
    this.buttons.set(action, button);
    return button;
  }
}

/** Return the brush size at a place of the slider: fine for small ones. */
function sizeAt(place) {
  return Math.round(LARGEST_BRUSH ** (place / 100));
}

function placeOf(size) {
  return Math.round((100 * Math.log(size)) / Math.log(LARGEST_BRUSH));
}
