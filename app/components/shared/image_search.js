// Dialog that searches the images of a dataset by a part of their name; the server answers a page at a time.

import { errorText } from "./api.js";
import { fill, h, keycap, openDialog } from "./dom.js";
/** @import { FoundImage, Root, Timers } from "./types.d.ts" */

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
