// Keys: table of actions, combinations of keyboard events, rebinding and switching off (WCAG 2.1.4), and the dialog for it.

import { offeredOf } from "./classes.js";
import { fill, h, keycap, openDialog } from "./dom.js";
/** @import { Child, ClassId, Classes, Finding, KeyTable, Root } from "./types.d.ts" */

/** @typedef {[caps: Child[], description: string]} FixedKey Row of the help that stays. */

/**
 * Options of the help. `byDigit` describes digits that are not a place among the likeliest classes.
 *
 * @typedef {object} Help
 * @property {Root} root
 * @property {Keys} keys
 * @property {() => void} onchange
 * @property {string} [byDigit]
 * @property {string} [about]
 * @property {FixedKey[]} [fixed]
 */

const STORE = "outfold.keys";

/** @type {KeyTable} Actions of the review. Digits are not in the table: they stand for a place in a list. */
export const ACTIONS = [
  ["accept", "accept the suggestion", ["a"]],
  ["keep", "keep the given label", ["k", "q"]],
  ["search", "search a class by typing", ["/"]],
  ["ambiguous", "ambiguous: both fit", ["b"]],
  ["exclude", "exclude: no class fits, or broken", ["x"]],
  ["second_opinion", "ask for a second opinion", ["n"]],
  ["note", "write a note on the card", ["w"]],
  ["skip", "skip: show it again at the end", ["s"]],
  ["undo", "undo", ["u", "Ctrl+z"]],
  ["redo", "redo", ["Ctrl+Shift+z", "Ctrl+y"]],
  ["select", "select or unselect the card", ["Space"]],
  ["accept_many", "accept the selection, else the row", ["Shift+a"]],
  ["clear", "clear the selection, close", ["Escape"]],
  ["zoom", "zoom", ["z", "Enter"]],
  ["left", "move left", ["ArrowLeft"]],
  ["right", "move right", ["ArrowRight"]],
  ["up", "move up", ["ArrowUp"]],
  ["down", "move down", ["ArrowDown"]],
  ["extend_left", "extend the selection left", ["Shift+ArrowLeft"]],
  ["extend_right", "extend the selection right", ["Shift+ArrowRight"]],
  ["extend_up", "extend the selection up", ["Shift+ArrowUp"]],
  ["extend_down", "extend the selection down", ["Shift+ArrowDown"]],
  ["first", "first card of the page", ["Home"]],
  ["last", "last card of the page", ["End"]],
  ["next_page", "next page", ["PageDown"]],
  ["previous_page", "previous page", ["PageUp"]],
  ["find", "find an image by its name", ["g"]],
  ["help", "all keys", ["?"]],
];

/** @type {Record<string, string>} */
const SHOWN = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", PageDown: "Page ↓", PageUp: "Page ↑" };
const TYPING = /^(text|search|email|url|tel|password|number|date|time)$/;

// Characters of a US keyboard by key, for layouts whose letters are not Latin
/** @type {Record<string, string>} */
const PLACES = { BracketLeft: "[", BracketRight: "]", Semicolon: ";", Quote: "'", Backquote: "`", Comma: ",", Period: ".", Slash: "/", Backslash: "\\" };
const OF_REVIEW = "Verdict keys act on the selection if there is one, else on the focused card.";

/**
 * Return the combination of a keyboard event, e.g. "a", "Shift+a", "Ctrl+z", "?", "Space". A letter that is not Latin counts by its key's place.
 *
 * @param {KeyboardEvent} event
 */
export function comboOf(event) {
  return comboWith(event, latin(event));
}

/** Return a key's character; on a layout without Latin letters, its character on a US keyboard. @param {{ key: string, code?: string }} event */
function latin({ key, code = "" }) {
  if (!/^(?!\p{Script=Latin})\p{L}$/u.test(key)) return key;
  return /^Key([A-Z])$/.exec(code)?.[1].toLowerCase() ?? PLACES[code] ?? key;
}

/** @param {KeyboardEvent} event @param {string} typed */
function comboWith(event, typed) {
  const key = typed === " " ? "Space" : typed.length === 1 ? typed.toLowerCase() : typed;
  const letter = key.length > 1 || key.toLowerCase() !== key.toUpperCase();
  const parts = [];
  if (!letter && event.getModifierState?.("AltGraph")) return key; // where brackets lie on the third level
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && letter) parts.push("Shift"); // of "?" the shift is already part
  return [...parts, key].join("+");
}

/** Return the place of a digit key: 0 for "1" to 9 for "0", with shift 10 to 19; null for other keys. @param {KeyboardEvent} event */
export function placeOf(event) {
  const match = /^(?:Digit|Numpad)(\d)$/.exec(event.code ?? "");
  if (!match || event.ctrlKey || event.metaKey || event.altKey) return null;
  return ((Number(match[1]) + 9) % 10) + (event.shiftKey ? 10 : 0);
}

/**
 * Return the class of each place, or null if places count down the likeliest classes. Where all class names are digits, or each
 * of the ten digits is a class, a digit key means the class of that name, also after another class was added.
 *
 * @param {Classes} classes
 */
export function classesByDigit(classes) {
  const offered = offeredOf(classes);
  const byDigit = Array.from({ length: 10 }, (_, place) => offered.find((id) => classes[id] === String((place + 1) % 10)) ?? -1);
  return offered.every((id) => /^\d$/.test(classes[id])) || !byDigit.includes(-1) ? byDigit : null;
}

/**
 * Return the class of a place on a card, undefined if there is none.
 *
 * @param {number} place
 * @param {Finding} item
 * @param {ClassId[] | null} byDigit
 */
export function classAt(place, item, byDigit) {
  const id = byDigit ? byDigit[place] : item.likely[place]?.[0];
  return id === -1 ? undefined : id;
}

/** Return the key of a place in a list: "1", "⇧3", or "" if none has it. @param {number} place */
export const keyAt = (place) => (place < 0 || place > 19 ? "" : `${place > 9 ? "⇧" : ""}${(place + 1) % 10}`);

/**
 * Return the key that picks a class on a card, "" if none does.
 *
 * @param {ClassId} id
 * @param {Pick<Finding, "likely">} item
 * @param {ClassId[] | null} byDigit
 */
export function keyFor(id, item, byDigit) {
  return keyAt(byDigit ? byDigit.indexOf(id) : item.likely.findIndex(([other]) => other === id));
}

/** Return whether the event comes from an element that a person types into. @param {Event} event */
export function isTyping(event) {
  const target = /** @type {HTMLInputElement | null} Or any other element. */ (event.composedPath?.()[0] ?? event.target);
  if (!target?.tagName) return false;
  if (target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  return target.tagName === "INPUT" && TYPING.test(target.type || "text");
}

/** Return whether a key is Streamlit's own shortcut, rerun or clear cache: never intended beside a component. @param {KeyboardEvent} event */
export const isStreamlitKey = ({ key, ctrlKey, metaKey }) => (key === "r" || key === "c") && !ctrlKey && !metaKey;

/** Return "Ctrl+Shift+Z" for "Ctrl+Shift+z", "←" for "ArrowLeft". @param {string} combo */
export function keyLabel(combo) {
  return combo
    .split("+")
    .map((part) => SHOWN[part] ?? (part.length === 1 && combo !== part ? part.toUpperCase() : part))
    .join("+");
}

/** @param {string} combo */
const isCharacter = (combo) => !/^(Ctrl|Alt)\+/.test(combo) && combo.replace("Shift+", "").length === 1;

export class Keys {
  /**
   * @param {Storage} storage Keeps changed combinations, under the name `store`.
   * @param {KeyTable} actions
   */
  constructor(storage, actions = ACTIONS, store = STORE) {
    this.storage = storage;
    this.actions = actions;
    this.store = store;
    const stored = readStore(storage, store);
    this.on = stored.on ?? true;
    /** @type {Record<string, string[]>} Combinations that a person chose, by action. */
    this.changed = {};
    /** @type {Set<string>} */
    this.taken = new Set();
    this.#change(stored.changed ?? {});
  }

  /**
   * Return an action's combinations; a default that a person has given to another action is that one's alone.
   *
   * @param {string} action
   * @returns {string[]}
   */
  combos(action) {
    if (this.changed[action]) return this.changed[action];
    const defaults = this.actions.find(([name]) => name === action)?.[2] ?? [];
    return defaults.filter((combo) => !this.taken.has(combo));
  }

  /** Return the label of an action's first key, "" if it has none. @param {string} action */
  label(action) {
    return this.combos(action).slice(0, 1).map(keyLabel).join("");
  }

  /** Return the cap of an action's first key, null if it has none. @param {string} action */
  cap(action) {
    const label = this.label(action);
    return label ? keycap(label) : null;
  }

  /** Return the action of an event; `place` for digits. @param {KeyboardEvent} event @returns {{ action: string, place?: number } | null} */
  lookup(event) {
    if (event.isComposing) return null;
    const combo = comboOf(event);
    const asTyped = comboWith(event, event.key); // a key may have been bound to a letter that is not Latin
    const found = [asTyped, combo].map((typed) => this.actions.find(([action]) => this.combos(action).includes(typed))).find(Boolean);
    if (found && (this.on || !isCharacter(combo))) return { action: found[0] };
    const place = this.on && !found ? placeOf(event) : null;
    return place === null ? null : { action: "class", place };
  }

  /** Assign `combo` to `action`, and remove it from any other action. @param {string} action @param {string} combo */
  bind(action, combo) {
    const changed = { ...this.changed };
    for (const [other] of this.actions) {
      if (this.combos(other).includes(combo)) changed[other] = this.combos(other).filter((present) => present !== combo);
    }
    changed[action] = [combo];
    this.#change(changed);
    this.#save();
  }

  reset() {
    this.#change({});
    this.#save();
  }

  /** @param {boolean} on */
  switch(on) {
    this.on = on;
    this.#save();
  }

  /** @param {Record<string, string[]>} changed */
  #change(changed) {
    this.changed = changed;
    this.taken = new Set(Object.values(changed).flat());
  }

  #save() {
    try {
      this.storage.setItem(this.store, JSON.stringify({ on: this.on, changed: this.changed }));
    } catch {
      // a forbidden storage: the keys hold until the page is left
    }
  }
}

/** @param {Storage} storage @param {string} store @returns {{ on?: boolean, changed?: Record<string, string[]> }} */
function readStore(storage, store) {
  try {
    return JSON.parse(storage.getItem(store) ?? "null") ?? {};
  } catch {
    return {};
  }
}

/**
 * Show every key; a click on one waits for its new combination.
 *
 * @param {Help} options
 */
export function openHelp({ root, keys, onchange, byDigit = "", about = OF_REVIEW, fixed = fixedOfReview(byDigit) }) {
  const table = h("div", { class: "keys" });
  const hint = h("p", { class: "sub", "aria-live": "polite" });
  const toggle = h("input", { type: "checkbox", checked: keys.on, onchange: () => { keys.switch(toggle.checked); onchange(); } });
  const dialog = openDialog(root, { label: "All keys", className: "help" },
    h("h1", {}, "Keys"), hint, table,
    h("div", { class: "btns" },
      h("label", { class: "check" }, toggle, " single-letter keys are on"), h("span", {}),
      h("button", { type: "button", class: "ghost", onclick: () => { keys.reset(); onchange(); draw(); } }, "Back to the defaults"),
      h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Done")));
  /** @type {string | null} Action that waits for its new key. */
  let waiting = null;
  draw();
  dialog.addEventListener("keydown", (event) => {
    if (!waiting || ["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key !== "Escape") keys.bind(waiting, comboOf(event));
    waiting = null;
    onchange();
    draw();
  });

  function draw() {
    hint.textContent = waiting ? "Press the new key, or Esc to keep the current one." : `Click a key to change it. ${about}`;
    fill(table, keys.actions.map(([action, does]) => h("div", {}, h("button", {
      type: "button", class: waiting === action ? "waiting" : "", "aria-label": `${does}: ${keys.combos(action).map(keyLabel).join(" or ") || "no key"}. Change`,
      onclick: () => { waiting = action; draw(); /** @type {HTMLElement | null} */ (table.querySelector(".waiting"))?.focus(); },
    }, waiting === action ? "press a key" : keys.combos(action).length ? keys.combos(action).map((combo) => keycap(keyLabel(combo))) : "none"), h("span", {}, does))),
    fixed.map(([how, does]) => h("div", {}, h("span", { class: "fixed" }, how), h("span", {}, does))));
  }
}

/** @param {string} byDigit @returns {FixedKey[]} */
function fixedOfReview(byDigit) {
  /** @type {FixedKey[]} */
  const rows = [[[keycap("1"), "–", keycap("9"), keycap("0")], byDigit || "relabel to the 1st to 10th likeliest class"]];
  if (!byDigit) rows.push([[keycap("Shift+1"), "–", keycap("0")], "relabel to the 11th to 20th"]);
  rows.push([[keycap("Shift"), "+ click"], "select up to a card; Ctrl + click adds one"]);
  return rows;
}
