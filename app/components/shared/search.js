// Dialog that searches a class by its name, for datasets with more classes than digit keys.

import { className, foldName, newName, offeredOf } from "./classes.js";
import { fill, h, openDialog } from "./dom.js";
import { percent } from "./format.js";
/** @import { ClassId, Classes, Finding, Root } from "./types.d.ts" */

/**
 * Options of a search: with `onadd(name)` a new name can be added; `label` is the title.
 *
 * @typedef {object} ClassSearch
 * @property {Root} root
 * @property {{ likely: Finding["likely"], given?: ClassId | null, pseudo?: ClassId | null }} item
 * @property {Classes} classes
 * @property {(id: ClassId) => unknown} onpick
 * @property {((name: string) => unknown) | null} [onadd]
 * @property {string} [label]
 */

const LISTED = 30;
const SEARCH = "Search a class";

/**
 * Return offered class ids that match, best first: whole name, beginning, beginning of a word, anywhere; then by likelihood.
 *
 * @param {string} query
 * @param {Classes} classes
 * @param {Finding["likely"]} likely
 */
export function matches(query, classes, likely) {
  const wanted = foldName(query.trim());
  const chance = new Map(likely);
  const scored = offeredOf(classes).flatMap((id, place) => {
    const folded = foldName(classes[id]);
    const at = folded.indexOf(wanted);
    if (at < 0) return [];
    const score = folded === wanted ? 0 : at === 0 ? 1 : /[\s_\-/]/u.test(folded[at - 1]) ? 2 : 3;
    return [{ id, place, score: wanted ? score : 0, chance: chance.get(id) ?? 0 }];
  });
  return scored.sort((a, b) => a.score - b.score || b.chance - a.chance || a.place - b.place).map(({ id }) => id);
}

/** Let the person choose a class. @param {ClassSearch} options */
export function openSearch({ root, item, classes, onpick, onadd = null, label = SEARCH }) {
  const list = h("div", { class: "found", role: "listbox", id: "found-classes", "aria-label": "Classes" });
  const input = h("input", {
    type: "search", class: "big", placeholder: "Type a class", autocomplete: "off", spellcheck: false,
    role: "combobox", "aria-label": "Class", "aria-expanded": "true", "aria-controls": "found-classes", "aria-autocomplete": "list",
    oninput: () => draw(0), onkeydown: (event) => key(event),
  });
  const chance = new Map(item.likely);
  /** @type {ClassId[]} */
  let found = [];
  /** @type {string | null} */
  let adding = null;
  let at = 0;
  const dialog = openDialog(root, { label, className: "search" }, label !== SEARCH && h("h1", {}, label), input, list);
  input.focus();
  draw(0);

  /** @param {number} index */
  function draw(index) {
    if (index === 0) found = matches(input.value, classes, item.likely).slice(0, LISTED);
    adding = onadd && newName(input.value, classes);
    at = Math.max(0, Math.min(index, found.length - (adding ? 0 : 1)));
    fill(list, found.map((id, place) => h("div", {
      role: "option", id: `found-${id}`, class: place === at ? "on" : "", "aria-selected": String(place === at), onclick: () => pick(id),
    }, h("span", {}, className(classes, id)), h("em", {}, id === item.given ? "given" : id === item.pseudo ? "suggested" : chanceText(id)))),
    adding && h("div", { role: "option", id: "found-new", class: at === found.length ? "on" : "", "aria-selected": String(at === found.length), onclick: add }, h("span", {}, `Add class "${adding}"`)),
    !found.length && !adding && h("p", { class: "dim", role: "option", "aria-selected": "false" }, "no class has these letters"));
    if (found.length || adding) input.setAttribute("aria-activedescendant", `found-${found[at] ?? "new"}`);
    else input.removeAttribute("aria-activedescendant");
    list.children[at]?.scrollIntoView?.({ block: "nearest" });
  }

  /** @param {ClassId} id */
  function chanceText(id) {
    const probability = chance.get(id) ?? null;
    return probability === null ? "" : percent(probability);
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step) draw(Math.max(0, at + step) || (step < 0 ? 0 : at + step));
    else if (event.key === "Enter" && at < found.length) pick(found[at]);
    else if (event.key === "Enter" && adding) add();
    else return;
    event.preventDefault();
  }

  function add() {
    dialog.close();
    if (adding) onadd?.(adding);
  }

  /** @param {ClassId} id */
  function pick(id) {
    dialog.close();
    onpick(id);
  }
}
