// Choosing a class by typing: for datasets with more classes than number keys.

import { className } from "./card.js";
import { fill, h, openDialog } from "./dom.js";
import { percent } from "./format.js";

const LISTED = 30;

/** Return class ids that match, best first: whole name, beginning, beginning of a word, anywhere; then by likelihood. */
export function matches(query, classes, likely) {
  const wanted = query.trim().toLowerCase();
  const chance = new Map(likely);
  const scored = classes.flatMap((name, id) => {
    const lower = name.toLowerCase();
    const at = lower.indexOf(wanted);
    if (at < 0) return [];
    const score = lower === wanted ? 0 : at === 0 ? 1 : /[\s_\-/]/u.test(lower[at - 1]) ? 2 : 3;
    return [{ id, score: wanted ? score : 0, chance: chance.get(id) ?? 0 }];
  });
  return scored.sort((a, b) => a.score - b.score || b.chance - a.chance || a.id - b.id).map(({ id }) => id);
}

/** Ask for a class; `onpick(id)`. */
export function openSearch({ root, item, classes, onpick }) {
  const list = h("div", { class: "found", role: "listbox", id: "found-classes", "aria-label": "Classes" });
  const input = h("input", {
    type: "search", class: "big", placeholder: "Type a class", autocomplete: "off", spellcheck: false,
    role: "combobox", "aria-label": "Class", "aria-expanded": "true", "aria-controls": "found-classes", "aria-autocomplete": "list",
    oninput: () => draw(0), onkeydown: (event) => key(event),
  });
  const chance = new Map(item.likely.filter(([, probability]) => probability !== null));
  let found = [];
  let at = 0;
  const dialog = openDialog(root, { label: "Search a class", className: "search" }, input, list);
  input.focus();
  draw(0);

  function draw(index) {
    if (index === 0) found = matches(input.value, classes, item.likely).slice(0, LISTED);
    at = Math.max(0, Math.min(index, found.length - 1));
    fill(list, found.map((id, place) => h("div", {
      role: "option", id: `found-${id}`, class: place === at ? "on" : "", "aria-selected": String(place === at), onclick: () => pick(id),
    }, h("span", {}, className(classes, id)), h("em", {}, id === item.given ? "given" : id === item.pseudo ? "suggested" : chance.has(id) ? percent(chance.get(id)) : ""))),
    !found.length && h("p", { class: "dim", role: "option", "aria-selected": "false" }, "no class has these letters"));
    if (found.length) input.setAttribute("aria-activedescendant", `found-${found[at]}`);
    else input.removeAttribute("aria-activedescendant");
    list.children[at]?.scrollIntoView?.({ block: "nearest" });
  }

  function key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) draw(Math.max(0, at + step) || (step < 0 ? 0 : at + step));
    else if (event.key === "Enter" && found.length) pick(found[at]);
    else return;
    event.preventDefault();
  }

  function pick(id) {
    dialog.close();
    onpick(id);
  }
}
