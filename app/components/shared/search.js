// Dialogs that search by name: a class, for datasets with more classes than digit keys, or an image, of which the server answers a page at a
// time.

import { errorText } from "./api.js";
import { className, foldName, newName, offeredOf } from "./classes.js";
import { fill, h, keycap, openDialog } from "./dom.js";
import { percent } from "./format.js";
/** @import { Classes, ClassId, Finding, FoundImage, Root, Timers } from "./types.d.ts" */

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

/**
 * Options of a search: `search(name, after)` resolves to a page of images, `base` is where their pictures are.
 *
 * @typedef {object} ImageSearch
 * @property {Root} root
 * @property {string} base
 * @property {(name: string, after: PageEnd) => Promise<{ items: FoundImage[], next: PageEnd }>} search
 * @property {number | undefined} current Id of the open image.
 * @property {(id: number) => unknown} onpick
 * @property {Timers} [timers]
 */

/** @typedef {number | string | null} PageEnd Where the next page begins, null after the last one. */

const WAIT_MS = 120; // after the last key, until the request

/** Let the person choose an image. @param {ImageSearch} options */
export function openImageSearch({ root, base, search, current, onpick, timers = globalThis }) {
  const list = h("div", { class: "found images", role: "listbox", id: "found-images", "aria-label": "Images", onscroll: () => more() });
  const input = h("input", {
    type: "search", class: "big", placeholder: "Part of an image's name", autocomplete: "off", spellcheck: false,
    role: "combobox", "aria-label": "Image", "aria-expanded": "true", "aria-controls": "found-images", "aria-autocomplete": "list",
    oninput: () => later(), onkeydown: (event) => key(event),
  });
  const notice = h("p", { class: "sub", role: "status" });
  /** @type {FoundImage[]} */
  let items = [];
  /** @type {PageEnd} */
  let next = null;
  let at = 0;
  let requests = 0;
  /** @type {any} */
  let timer = null;
  let waits = true; // whether the list is older than the typed text
  let entered = false; // Enter was pressed while it was not
  const dialog = openDialog(root, { label: "Go to an image", className: "search image-search", onclose: () => timers.clearTimeout(timer) },
    input, list, notice, h("p", { class: "sub keys-hint" }, keycap("↑"), keycap("↓"), " choose ", keycap("↵"), " open"));
  input.focus();
  ask();

  function later() {
    waits = true;
    entered = false;
    requests += 1; // a pending answer is to an older text
    timers.clearTimeout(timer);
    timer = timers.setTimeout(() => ask(), WAIT_MS);
  }

  /**
   * Ask for the first page, or the one after `after`; an answer that was overtaken by another question counts no more.
   *
   * @param {PageEnd} [after]
   */
  async function ask(after = null) {
    const mine = (requests += 1);
    let answer;
    try {
      answer = await search(input.value.trim(), after);
    } catch (error) {
      if (mine === requests) notice.textContent = errorText(error);
      return;
    }
    if (mine !== requests) return;
    const known = after === null ? [] : items;
    items = [...known, ...answer.items];
    next = answer.next;
    if (after === null) at = Math.max(0, items.findIndex(({ id }) => id === current));
    const rows = answer.items.map((item, place) => row(item, known.length + place));
    if (after === null) fill(list, rows);
    else list.append(...rows);
    notice.textContent = items.length ? "" : "No image has these letters in its name.";
    mark(at);
    if (after === null) waits = false;
    if (entered && items.length) pick(items[at]);
  }

  /** @param {FoundImage} item @param {number} place */
  function row(item, place) {
    const picture = h("img", { src: `${base}/image/${item.hash}/192.webp`, alt: "", loading: "lazy" });
    return h("div", { role: "option", id: `found-image-${place}`, onclick: () => pick(item) }, picture, h("span", { title: item.name }, h("bdi", { dir: "ltr" }, item.name)), h("em", {}, item.id === current ? "open" : item.words));
  }

  /** @param {number} place */
  function mark(place) {
    at = Math.max(0, Math.min(place, items.length - 1));
    for (const [index, option] of [...list.children].entries()) {
      option.classList.toggle("on", index === at);
      option.setAttribute("aria-selected", String(index === at));
    }
    if (items.length) input.setAttribute("aria-activedescendant", `found-image-${at}`);
    else input.removeAttribute("aria-activedescendant");
    list.children[at]?.scrollIntoView?.({ block: "nearest" });
    more();
  }

  function more() {
    const near = at >= items.length - 2 || list.scrollTop + 2 * list.clientHeight > list.scrollHeight;
    if (next === null || !near) return;
    const after = next;
    next = null; // requested once
    ask(after);
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) mark(at + step);
    else if (event.key === "Enter" && waits) entered = true;
    else if (event.key === "Enter" && items.length) pick(items[at]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {FoundImage} image */
  function pick({ id }) {
    entered = false;
    dialog.close();
    onpick(id);
  }
}
