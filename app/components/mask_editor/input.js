// From a key to what it does.

import { isTyping } from "../review_grid/keys.js";

const REPEATS = new Set(["smaller", "larger", "fainter", "stronger", "zoom_in", "zoom_out", "next_region", "previous_region", "undo", "redo", "back"]);
const STREAMLIT = new Set(["r", "c"]); // rerun and clear cache: never meant while painting
const PLAIN = new Set(["help", "close", "images"]); // work while nothing is open yet
const OPACITY_STEP = 0.1;

/** Return the table of actions; `leave()` goes back to the review. */
export function createActions(editor, leave) {
  const use = (tool) => () => editor.hand.use(tool);
  const tools = ["brush", "eraser", "polygon", "fill", "replace", "pick", "suggest", "suggest_brush", "restore"];
  const { settings, stage, pointer } = editor;
  return {
    ...Object.fromEntries(tools.map((tool) => [tool, use(tool)])),
    smaller: () => editor.set({ size: settings.resized(-1) }),
    larger: () => editor.set({ size: settings.resized(1) }),
    protect: () => editor.hand.lock(editor.tool === "eraser" ? editor.picture.about.ignore : editor.label),
    search: () => editor.classes.focusSearch(),
    class: (place) => place < editor.picture.about.classes.length && editor.hand.choose(place),
    next_region: () => editor.step(1),
    previous_region: () => editor.step(-1),
    accept: () => editor.judge("accept"),
    keep: () => editor.judge("keep"),
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

/** Listen to the keyboard while the editor is in the page, before Streamlit's own shortcuts. */
export function listen(editor, actions) {
  const options = { capture: true, signal: editor.stop.signal };
  let heldBy = null; // the key that hides the mask
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
      if (STREAMLIT.has(event.key) && !event.ctrlKey && !event.metaKey) event.stopImmediatePropagation();
      return;
    }
    if (ownKeys(event)) return;
    use(event);
    if ((event.repeat && !REPEATS.has(found.action)) || (!editor.ready && !PLAIN.has(found.action))) return;
    if (found.action === "hide") heldBy = event.code;
    actions[found.action](found.place);
  }, options);
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

/** Whether the element that has the keyboard's focus needs this key itself. */
function ownKeys(event) {
  const { tagName } = event.composedPath()[0];
  if (tagName === "INPUT") return /^(Arrow|Page|Home|End)/.test(event.key);
  return [" ", "Enter"].includes(event.key) && tagName === "BUTTON";
}
