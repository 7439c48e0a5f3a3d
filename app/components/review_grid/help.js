// All keys: read, change, switch off.

import { fill, h, keycap, openDialog } from "./dom.js";
import { comboOf, shown } from "./keys.js";

const OF_REVIEW = "Verdict keys act on the selection if there is one, else on the focused card.";

/** Show every key; a click on one waits for its new combination. `byDigit` says what digits mean where it is not a likelihood's place; `fixed` are rows of [key caps and text, what it does] that stay. */
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
    hint.textContent = waiting ? "Press the new key, or Esc to leave it as it is." : `Click a key to change it. ${about}`;
    fill(table, keys.actions.map(([action, does]) => h("div", {}, h("button", {
      type: "button", class: waiting === action ? "waiting" : "", "aria-label": `${does}: ${keys.combos(action).map(shown).join(" or ") || "no key"}. Change`,
      onclick: () => { waiting = action; draw(); table.querySelector(".waiting")?.focus(); },
    }, waiting === action ? "press a key" : keys.combos(action).length ? keys.combos(action).map((combo) => keycap(shown(combo))) : "none"), h("span", {}, does))),
    fixed.map(([how, does]) => h("div", {}, h("span", { class: "fixed" }, how), h("span", {}, does))));
  }
}

function fixedOfReview(byDigit) {
  const rows = [[[keycap("1"), "–", keycap("9"), keycap("0")], byDigit || "relabel to the 1st to 10th likeliest class"]];
  if (!byDigit) rows.push([[keycap("Shift+1"), "–", keycap("0")], "relabel to the 11th to 20th"]);
  return [...rows, [[keycap("Shift"), "+ click"], "select up to a card; Ctrl + click adds one"]];
}
