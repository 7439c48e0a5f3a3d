// Going to any image of the dataset: by a part of its name, searched by the server, a page at a time.

import { told } from "../review_grid/api.js";
import { fill, h, keycap, openDialog } from "../review_grid/dom.js";
import { number } from "../review_grid/format.js";

const WAIT_MS = 120; // after the last key, before the server is asked

/** Return what is said of an image's regions. */
export function regionsOf({ regions, undecided }) {
  if (!regions) return "";
  if (!undecided) return `${number(regions)} judged`;
  return undecided === regions ? `${number(regions)} region${regions === 1 ? "" : "s"}` : `${number(undecided)} of ${number(regions)} left`;
}

/** Ask for an image; `search(name, after)` resolves to {items, next}, `base` is where pictures are, `onpick(sample)`. */
export function openImageSearch({ root, base, search, current, onpick, timers = globalThis }) {
  const list = h("div", { class: "found images", role: "listbox", id: "found-images", "aria-label": "Images", onscroll: () => more() });
  const input = h("input", {
    type: "search", class: "big", placeholder: "Part of an image's name", autocomplete: "off", spellcheck: false,
    role: "combobox", "aria-label": "Image", "aria-expanded": "true", "aria-controls": "found-images", "aria-autocomplete": "list",
    oninput: () => later(), onkeydown: (event) => key(event),
  });
  const said = h("p", { class: "sub", role: "status" });
  let [items, next, at, asked, timer] = [[], null, 0, 0, null];
  const dialog = openDialog(root, { label: "Go to an image", className: "search image-search", onclose: () => timers.clearTimeout(timer) },
    input, list, said, h("p", { class: "sub keys-hint" }, keycap("↑"), keycap("↓"), " choose ", keycap("↵"), " open"));
  input.focus();
  ask();

  function later() {
    timers.clearTimeout(timer);
    timer = timers.setTimeout(() => ask(), WAIT_MS);
  }

  /** Ask for the first page, or the one after `after`; an answer that was overtaken by another question counts no more. */
  async function ask(after = null) {
    const mine = (asked += 1);
    let answer;
    try {
      answer = await search(input.value.trim(), after);
    } catch (error) {
      if (mine === asked) said.textContent = told(error);
      return;
    }
    if (mine !== asked) return;
    const known = after === null ? [] : items;
    items = [...known, ...answer.items];
    next = answer.next;
    if (after === null) at = Math.max(0, items.findIndex(({ sample }) => sample === current));
    const rows = answer.items.map((item, place) => row(item, known.length + place));
    if (after === null) fill(list, rows);
    else list.append(...rows);
    said.textContent = items.length ? "" : "No image has these letters in its name.";
    mark(at);
  }

  function row(item, place) {
    const picture = h("img", { src: `${base}/image/${item.hash}/192.webp`, alt: "", loading: "lazy" });
    return h("div", { role: "option", id: `found-image-${place}`, onclick: () => pick(item) }, picture, h("span", { title: item.name }, h("bdi", { dir: "ltr" }, item.name)), h("em", {}, item.sample === current ? "open" : regionsOf(item)));
  }

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
    next = null; // asked for once
    ask(after);
  }

  function key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) mark(at + step);
    else if (event.key === "Enter" && items.length) pick(items[at]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function pick({ sample }) {
    dialog.close();
    onpick(sample);
  }
}
