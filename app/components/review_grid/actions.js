// Actions of the review page, by key or button.

import { classAt, classesByDigit, isStreamlitKey, isTyping, openHelp } from "../shared/keys.js";
import { openImageSearch, openSearch } from "../shared/search.js";
import { auditActions } from "./audit.js";
import { labellingActions } from "./labelling.js";
import { regionActions } from "./region_parts.js";
/** @import { Verdict } from "../shared/types.d.ts" */
/** @import { Review } from "./review.js" */

const REPEATS = /^(left|right|up|down|extend_\w+|next_page|previous_page|weaker|stronger)$/; // a held key never repeats a verdict
const NATIVE = new Set([" ", "Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);
/** Actions that need no cards: available while they load, and when none is left. */
export const ALWAYS = new Set(["help", "find", "undo", "redo", "previous_page", "clear"]);
const IN_ZOOM = /^(accept|keep|ambiguous|exclude|second_opinion|note|skip|undo|redo|search|class|zoom|left|right|up|down|overlay|weaker|stronger|blink|view|edit)$/;

/** Return the actions of a review page by name. @param {Review} review @returns {Review["actions"]} */
export function createActions(review) {
  const actions = actionsOfQueue(review);
  return review.audit ? auditActions(review, actions) : actions;
}

/** @param {Review} review @returns {Review["actions"]} */
function actionsOfQueue(review) {
  const { cursor, judging } = review;
  /** @param {Verdict} verdict */
  const judge = (verdict) => () => judging.verdict(cursor.targets(), verdict) && cursor.moveOn();
  /** @param {number} columns @param {number} rows */
  const move = (columns, rows) => () => (review.zoom.open ? cursor.step(columns || rows, { cards: rows !== 0 }) : cursor.move(columns + rows * review.grid.columns));
  /** @param {number} columns @param {number} rows */
  const extend = (columns, rows) => () => cursor.extend(columns + rows * review.grid.columns);
  return {
    accept: judge("accept"),
    keep: judge("keep"),
    ambiguous: judge("ambiguous"),
    exclude: judge("exclude"),
    second_opinion: judge("second_opinion"),
    skip: () => judging.skip(cursor.targets()) && cursor.moveOn(),
    class: (place = -1) => {
      const item = cursor.current();
      const id = item && classAt(place, item, review.digits);
      if (id !== undefined) review.pick(id);
    },
    search: () => {
      const item = cursor.current();
      if (item) openSearch({ root: review.root, item: review.face.blind ? { likely: item.likely } : item, classes: review.classes, onpick: (id) => review.pick(id), onadd: (name) => review.pickNew(name) });
    },
    note: () => review.note(cursor.current()),
    undo: () => judging.undo(),
    redo: () => judging.redo(),
    select: () => cursor.toggle(cursor.focus),
    accept_many: () => judging.verdict(cursor.selectionOrRow(), "accept") && cursor.moveOn(),
    clear: () => {
      review.toast.hide();
      review.element.classList.remove("show-filters");
      cursor.clear();
    },
    zoom: () => (review.zoom.open ? review.zoom.close() : cursor.openZoom(cursor.current()?.id)),
    left: move(-1, 0),
    right: move(1, 0),
    up: move(0, -1),
    down: move(0, 1),
    extend_left: extend(-1, 0),
    extend_right: extend(1, 0),
    extend_up: extend(0, -1),
    extend_down: extend(0, 1),
    first: () => cursor.move(-Infinity),
    last: () => cursor.move(Infinity),
    next_page: () => cursor.turn(1),
    previous_page: () => cursor.turn(-1),
    ...(review.overlay ? regionActions(review, review.overlay) : {}),
    find: () => openImageSearch({
      root: review.root, base: review.api.base, current: cursor.current()?.id, search: (name, after) => review.find(name, after), onpick: (id) => cursor.openZoom(id),
    }),
    ...(review.labelling ? labellingActions(review) : {}),
    help: () => openHelp({ root: review.root, keys: review.keys, byDigit: byDigit(review), onchange: () => review.footer.keysChanged() }),
  };
}

/** Return the meaning of a digit key where it is not a place among the likeliest classes. @param {Review} review */
function byDigit({ audit, classes, digits, overlay, labelling }) {
  if (audit || labelling) return "the class with that key beside it";
  if (!digits) return "";
  if (overlay) return "the class with that key in the list";
  return classesByDigit(classes) ? "the class of that name" : "the class chosen for that key, see Digit keys on the left";
}

/**
 * Return the listener for keydown on the window, in the capture phase: before Streamlit's own shortcuts.
 *
 * @param {Review} review
 * @param {Review["actions"]} actions
 * @returns {(event: KeyboardEvent) => void}
 */
export function createKeyListener(review, actions) {
  return (event) => {
    if (!review.element.isConnected || isTyping(event) || insideForeignDialog(event, review)) return;
    const found = review.keys.lookup(event);
    const dialog = review.root.querySelector("dialog[open]");
    if (dialog && !(review.zoom.open && dialog === review.zoom.dialog && found && IN_ZOOM.test(found.action))) {
      if (isStreamlitKey(event) && !dialog.querySelector(".waiting")) event.stopImmediatePropagation(); // r can be a new key
      return;
    }
    if (!found) {
      if (isStreamlitKey(event)) event.stopImmediatePropagation();
      return;
    }
    if (NATIVE.has(event.key) && !event.shiftKey && ownKeys(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.repeat && !REPEATS.test(found.action)) return;
    if (!review.ready && !ALWAYS.has(found.action)) return;
    actions[found.action](found.place, event);
  };
}

/** Return whether the focused element handles this key itself. @param {KeyboardEvent} event */
function ownKeys(event) {
  const { tagName } = /** @type {Element} */ (event.composedPath()[0]);
  return tagName === "INPUT" || ([" ", "Enter"].includes(event.key) && ["BUTTON", "A", "SUMMARY"].includes(tagName));
}

/** @param {Event} event @param {Review} review */
function insideForeignDialog(event, review) {
  return event.composedPath().some((node) => /** @type {Partial<Element>} */ (node).getAttribute?.("role") === "dialog" && !review.root.contains(/** @type {Element} */ (node)));
}
