// Keys: what each does, which combination asks for it, rebinding and switching off (WCAG 2.1.4).

const STORE = "outfold.keys";

// [action, what it does, combinations]; the digits are not in the table: they stand for a place in a list
export const ACTIONS = [
  ["accept", "accept the suggestion", ["a"]],
  ["keep", "keep the given label", ["k", "q"]],
  ["search", "search a class by typing", ["/"]],
  ["ambiguous", "ambiguous: both fit", ["b"]],
  ["exclude", "exclude: no class fits, or broken", ["x"]],
  ["second_opinion", "ask for a second opinion", ["n"]],
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
  ["help", "all keys", ["?"]],
];

const SHOWN = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", PageDown: "Page ↓", PageUp: "Page ↑" };
const TYPING = /^(text|search|email|url|tel|password|number|date|time)$/;

/** Return the combination a keyboard event stands for, e.g. "a", "Shift+a", "Ctrl+z", "?", "Space". */
export function comboOf(event) {
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const letter = key.length > 1 || key.toLowerCase() !== key.toUpperCase();
  const parts = [];
  if (!letter && event.getModifierState?.("AltGraph")) return key; // where brackets lie on the third level
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && letter) parts.push("Shift"); // of "?" the shift is already part
  return [...parts, key].join("+");
}

/** Return the place a digit key stands for: 0 for "1" to 9 for "0", with shift 10 to 19; null for other keys. */
export function placeOf(event) {
  const match = /^(?:Digit|Numpad)(\d)$/.exec(event.code ?? "");
  if (!match || event.ctrlKey || event.metaKey || event.altKey) return null;
  return ((Number(match[1]) + 9) % 10) + (event.shiftKey ? 10 : 0);
}

/**
 * Return which class each place stands for, or null where places count down the likeliest classes. Where classes are
 * called "0" to "9", a digit key means the class of that name: whoever sees a seven presses 7.
 */
export function classesByDigit(classes) {
  if (!classes.every((name) => /^\d$/.test(name))) return null;
  return Array.from({ length: 10 }, (_, place) => classes.indexOf(String((place + 1) % 10)));
}

/** Return the class a place stands for on a card, undefined where there is none. */
export function classAt(place, item, byDigit) {
  const id = byDigit ? byDigit[place] : item.likely[place]?.[0];
  return id === -1 ? undefined : id;
}

/** Return the key that picks a class on a card: "1", "⇧3", or "" where none does. */
export function keyFor(id, item, byDigit) {
  const place = byDigit ? byDigit.indexOf(id) : item.likely.findIndex(([other]) => other === id);
  if (place < 0 || place > 19) return "";
  return `${place > 9 ? "⇧" : ""}${(place + 1) % 10}`;
}

/** Return whether somebody is writing into the element the event comes from. */
export function isTyping(event) {
  const target = event.composedPath?.()[0] ?? event.target;
  if (!target?.tagName) return false;
  if (target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  return target.tagName === "INPUT" && TYPING.test(target.type || "text");
}

/** Return "Ctrl+Shift+Z" for "Ctrl+Shift+z", "←" for "ArrowLeft". */
export function shown(combo) {
  return combo
    .split("+")
    .map((part) => SHOWN[part] ?? (part.length === 1 && combo !== part ? part.toUpperCase() : part))
    .join("+");
}

const isCharacter = (combo) => !/^(Ctrl|Alt)\+/.test(combo) && combo.replace("Shift+", "").length === 1;

export class Keys {
  /** `actions` is a table like ACTIONS; what is changed in it is kept in `storage` under the name `store`. */
  constructor(storage, actions = ACTIONS, store = STORE) {
    Object.assign(this, { storage, actions, store });
    const stored = readStore(storage, store);
    this.on = stored.on ?? true;
    this.changed = stored.changed ?? {};
  }

  combos(action) {
    return this.changed[action] ?? this.actions.find(([name]) => name === action)?.[2] ?? [];
  }

  /** Return {action} or {action: "class", place} for an event, or null. */
  lookup(event) {
    if (event.isComposing) return null;
    const combo = comboOf(event);
    const found = this.actions.find(([action]) => this.combos(action).includes(combo));
    if (found && (this.on || !isCharacter(combo))) return { action: found[0] };
    const place = this.on && !found ? placeOf(event) : null;
    return place === null ? null : { action: "class", place };
  }

  /** Give `combo` to `action` alone; whoever had it before loses it. */
  bind(action, combo) {
    for (const [other] of this.actions) {
      if (this.combos(other).includes(combo)) this.changed[other] = this.combos(other).filter((one) => one !== combo);
    }
    this.changed[action] = [combo];
    this.#save();
  }

  reset() {
    this.changed = {};
    this.#save();
  }

  switch(on) {
    this.on = on;
    this.#save();
  }

  #save() {
    try {
      this.storage.setItem(this.store, JSON.stringify({ on: this.on, changed: this.changed }));
    } catch {
      // a forbidden storage: the keys hold until the page is left
    }
  }
}

function readStore(storage, store) {
  try {
    return JSON.parse(storage.getItem(store)) ?? {};
  } catch {
    return {};
  }
}
