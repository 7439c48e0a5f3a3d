// From a key or a button to what it does.

import { auditActions } from "./audit.js";
import { openHelp } from "./help.js";
import { classAt, isTyping } from "./keys.js";
import { regionActions } from "./region_actions.js";
import { openSearch } from "./search.js";

const REPEATS = /^(left|right|up|down|extend_\w+|next_page|previous_page|weaker|stronger)$/; // a verdict is never repeated by a held key
const NATIVE = new Set([" ", "Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);
const STREAMLIT = new Set(["r", "c"]); // rerun and clear cache: never meant while judging
/** What works without cards: while they load, and when none is left. */
export const ALWAYS = new Set(["help", "undo", "redo", "previous_page", "clear"]);
const IN_ZOOM = /^(accept|keep|ambiguous|exclude|second_opinion|skip|undo|redo|search|class|zoom|left|right|up|down|overlay|weaker|stronger|blink|view|edit)$/;

/** Return the table of actions for a review page. */
export function createActions(review) {
  const actions = actionsOfQueue(review);
  return review.audit ? auditActions(review, actions) : actions;
}

function actionsOfQueue(review) {
  const { cursor, judging } = review;
  const judge = (verdict) => () => judging.verdict(cursor.targets(), verdict) && cursor.moveOn();
  const move = (columns, rows) => () => (review.zoom.open ? cursor.step(columns || rows, { cards: rows !== 0 }) : cursor.move(columns + rows * review.grid.columns));
  const extend = (columns, rows) => () => cursor.extend(columns + rows * review.grid.columns);
  return {
    accept: judge("accept"),
    keep: judge("keep"),
    ambiguous: judge("ambiguous"),
    exclude: judge("exclude"),
    second_opinion: judge("second_opinion"),
    skip: () => judging.skip(cursor.targets()) && cursor.moveOn(),
    class: (place) => {
      const item = cursor.current();
      const id = item && classAt(place, item, review.digits);
      if (id !== undefined) review.pick(id);
    },
    search: () => {
      const item = cursor.current();
      if (item) openSearch({ root: review.root, item: review.face.blind ? { likely: item.likely } : item, classes: review.classes, onpick: (id) => review.pick(id) });
    },
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
    ...(review.overlay ? regionActions(review) : {}),
    help: () => openHelp({ root: review.root, keys: review.keys, byDigit: byDigit(review), onchange: () => review.footer.keysChanged() }),
  };
}

/** Return what a number key means where it is not the place of a likelihood. */
function byDigit({ audit, digits, overlay }) {
  if (audit) return "the class with that key beside it";
  return digits && (overlay ? "the class with that key in the list" : "the class of that name");
}

/** Return the listener for keydown on the window, in the capture phase: before Streamlit's own shortcuts. */
export function createKeyListener(review, actions) {
  return (event) => {
    if (!review.element.isConnected || isTyping(event) || insideForeignDialog(event, review)) return;
    const found = review.keys.lookup(event);
    const dialog = review.root.querySelector("dialog[open]");
    if (dialog && !(review.zoom.open && dialog === review.zoom.dialog && found && IN_ZOOM.test(found.action))) {
      if (STREAMLIT.has(event.key) && !dialog.querySelector(".waiting")) event.stopImmediatePropagation(); // r can be a new key
      return;
    }
    if (!found) {
      if (STREAMLIT.has(event.key) && !event.ctrlKey && !event.metaKey) event.stopImmediatePropagation();
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

/** Whether the element that has the keyboard's focus needs this key itself. */
function ownKeys(event) {
  const { tagName } = event.composedPath()[0];
  return tagName === "INPUT" || ([" ", "Enter"].includes(event.key) && ["BUTTON", "A", "SUMMARY"].includes(tagName));
}

function insideForeignDialog(event, review) {
  return event.composedPath().some((node) => node.getAttribute?.("role") === "dialog" && !review.root.contains(node));
}
