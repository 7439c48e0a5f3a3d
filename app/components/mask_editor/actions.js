// Actions of the mask editor: table of keys, effect of each action, and the keyboard listener.
//
// Digits stand for classes, in the order of the list. A letter of the review (a, k, q, b, x, s, e, n, u, g, o, v, z) has the same effect
// here; tools and steps have other keys.

import { offeredOf } from "../shared/classes.js";
import { isStreamlitKey, isTyping } from "../shared/keys.js";
/** @import { KeyTable } from "../shared/types.d.ts" */
/** @import { Editor } from "./editor.js" */

/** @type {KeyTable} */
export const ACTIONS = [
  ["brush", "edit the mask: brush of the chosen class", ["p", "e"]],
  ["eraser", "eraser: paint unlabelled", ["d"]],
  ["polygon", "polygon: add to or remove from the class", ["y"]],
  ["fill", "fill connected pixels", ["f"]],
  ["replace", "replace one class by the chosen one", ["m"]],
  ["pick", "pick the class under the pointer", ["i"]],
  ["suggest", "accept the suggestion, one region per click", ["h"]],
  ["suggest_brush", "paint the suggestion", ["Shift+h"]],
  ["restore", "paint the given mask back", ["r"]],
  ["smaller", "smaller brush", ["["]],
  ["larger", "larger brush", ["]"]],
  ["protect", "protect the chosen class", ["l"]],
  ["search", "search a class by typing, or add it", ["/"]],
  ["next_region", "next region", ["."]],
  ["previous_region", "previous region", [","]],
  ["accept", "accept the region's suggestion", ["a"]],
  ["keep", "keep the region as given", ["k", "q"]],
  ["ambiguous", "ambiguous: both classes fit the region", ["b"]],
  ["exclude", "exclude the region: no class fits", ["x"]],
  ["second_opinion", "ask for a second opinion on the region", ["n"]],
  ["skip", "skip to the next region that is not judged", ["s"]],
  ["next_image", "next image", ["PageDown"]],
  ["previous_image", "previous image", ["PageUp"]],
  ["images", "go to any image, by its name", ["g"]],
  ["undo", "undo", ["u", "Ctrl+z"]],
  ["redo", "redo", ["Ctrl+Shift+z", "Ctrl+y"]],
  ["overlay", "show or hide the classes' colours", ["o"]],
  ["contour", "show or hide the contours", ["c"]],
  ["hide", "hide everything while held", ["v"]],
  ["fainter", "fainter colours", ["{"]],
  ["stronger", "stronger colours", ["}"]],
  ["zoom_in", "zoom in", ["+", "="]],
  ["zoom_out", "zoom out", ["-"]],
  ["fit", "show the whole image", ["z"]],
  ["complete", "complete the polygon", ["Enter"]],
  ["back", "remove the polygon's last corner", ["Backspace"]],
  ["save", "save now; every stroke is saved anyway", ["Ctrl+s"]],
  ["close", "drop the polygon; back to the review", ["Escape"]],
  ["help", "all keys", ["?"]],
];

/** @typedef {Record<string, (place?: number) => unknown>} Actions Actions by name; `place` is that of a digit key. */

export const STORE = "outfold.keys.masks";
const REPEATS = new Set(["smaller", "larger", "fainter", "stronger", "zoom_in", "zoom_out", "next_region", "previous_region", "undo", "redo", "back"]);
const PLAIN = new Set(["help", "close", "images"]); // available before an image is open
const OPACITY_STEP = 0.1;

/** Return the actions by name; `leave()` returns to the review. @param {Editor} editor @param {() => void} leave @returns {Actions} */
export function createActions(editor, leave) {
  /** @param {string} tool */
  const use = (tool) => () => editor.hand.use(tool);
  const tools = ["brush", "eraser", "polygon", "fill", "replace", "pick", "suggest", "suggest_brush", "restore"];
  const { settings, stage, pointer } = editor;
  return {
    ...Object.fromEntries(tools.map((tool) => [tool, use(tool)])),
    smaller: () => editor.set({ size: settings.resized(-1) }),
    larger: () => editor.set({ size: settings.resized(1) }),
    protect: () => editor.hand.lock(editor.tool === "eraser" ? editor.picture.about.ignore : editor.label),
    search: () => editor.classes.focusSearch(),
    class: (place = -1) => {
      const id = offeredOf(editor.picture.about.classes)[place];
      if (id !== undefined) editor.hand.choose(id);
    },
    next_region: () => editor.step(1),
    previous_region: () => editor.step(-1),
    accept: () => editor.judge("accept"),
    keep: () => editor.judge("keep"),
    ambiguous: () => editor.judge("ambiguous"),
    exclude: () => editor.judge("exclude"),
    second_opinion: () => editor.judge("second_opinion"),
    skip: () => editor.skip(),
    next_image: () => editor.turn(editor.picture.about.next, "last"),
    previous_image: () => editor.turn(editor.picture.about.previous, "first"),
    images: () => editor.choose(),
    undo: () => editor.undo(),
    redo: () => editor.redo(),
    overlay: () => editor.set({ fill: !settings.fill }),
    contour: () => editor.set({ contour: !settings.contour }),
    hide: () => stage.hide(true),
    fainter: () => editor.set({ opacity: settings.opacity - OPACITY_STEP }),
    stronger: () => editor.set({ opacity: settings.opacity + OPACITY_STEP }),
    zoom_in: () => stage.zoom(1),
    zoom_out: () => stage.zoom(-1),
    fit: () => stage.fitAll(),
    complete: () => pointer.complete(),
    back: () => pointer.back(),
    save: () => editor.picture.saver.flush(),
    close: () => {
      editor.toast.hide();
      if (!pointer.drop()) leave();
    },
    help: () => editor.help(),
  };
}

/** Listen to the keyboard while the editor is in the page, before Streamlit's own shortcuts. @param {Editor} editor @param {Actions} actions */
export function listen(editor, actions) {
  const options = { capture: true, signal: editor.stop.signal };
  /** @type {string | null} */
  let heldBy = null; // code of the key that hides the mask
  /** @param {Event} event */
  const use = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  addEventListener("keydown", (event) => {
    if (!editor.element.isConnected || isTyping(event) || editor.root.querySelector("dialog[open]")) return;
    if (event.key === " " && !ownKeys(event)) {
      use(event);
      if (!event.repeat && editor.ready) editor.pointer.space(true);
      return;
    }
    const found = editor.keys.lookup(event);
    if (!found) {
      if (isStreamlitKey(event)) event.stopImmediatePropagation();
      return;
    }
    if (ownKeys(event)) return;
    use(event);
    if ((event.repeat && !REPEATS.has(found.action)) || (!editor.ready && !PLAIN.has(found.action))) return;
    if (found.action === "hide") heldBy = event.code;
    actions[found.action](found.place);
  }, options);
  /** @param {string} [code] */
  const released = (code) => {
    if (heldBy === null || (code && code !== heldBy)) return;
    heldBy = null;
    editor.stage.hide(false);
  };
  addEventListener("keyup", (event) => {
    if (event.key === " " && editor.pointer.spaced) editor.pointer.space(false);
    released(event.code);
  }, options);
  addEventListener("blur", () => {
    released();
    if (editor.pointer.spaced) editor.pointer.space(false);
  }, options);
}

/** Return whether the focused element handles this key itself. @param {KeyboardEvent} event */
function ownKeys(event) {
  const { tagName } = /** @type {Element} */ (event.composedPath()[0]);
  if (tagName === "INPUT") return /^(Arrow|Page|Home|End)/.test(event.key);
  return [" ", "Enter"].includes(event.key) && tagName === "BUTTON";
}
