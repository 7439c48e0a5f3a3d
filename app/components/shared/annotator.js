// The annotator: the dialog that asks for the name, which the server keeps in a cookie, and the button that shows it.

import { errorText } from "./api.js";
import { h, openDialog } from "./dom.js";
import { initials } from "./format.js";
/** @import { Root } from "./types.d.ts" */

const LONGEST = 60;

/**
 * Ask for a name; `save(name)` may reject with an error that has a cure. Resolves when the dialog is closed.
 *
 * @param {{ root: Root, name: string | null, save: (name: string) => Promise<unknown> }} options
 */
export function askName({ root, name, save }) {
  return /** @type {Promise<void>} */ (new Promise((resolve) => {
    const input = h("input", { type: "text", class: "big", value: name ?? "", maxLength: LONGEST, autocomplete: "name", "aria-label": "Your name", placeholder: "Your name" });
    const problem = h("p", { class: "problem", role: "alert" });
    const form = h("form", { method: "dialog", onsubmit: submit },
      h("h1", {}, "Who is judging?"),
      h("p", { class: "sub" }, "Every verdict is stored with a name. You are asked once and can change it at any time."),
      input, problem,
      h("div", { class: "btns" }, h("span", {}),
        name ? h("button", { type: "button", class: "ghost", onclick: () => dialog.close() }, "Cancel") : null,
        h("button", { type: "submit", class: "primary" }, "Begin")));
    const dialog = openDialog(root, { label: "Who is judging?", className: "name", onclose: () => resolve() }, form);
    if (!name) dialog.addEventListener("cancel", (event) => event.preventDefault()); // a verdict needs a name
    input.focus();
    input.select();

    /** @param {Event} event */
    async function submit(event) {
      event.preventDefault();
      const wanted = input.value.trim();
      if (!wanted) {
        problem.textContent = "Please write a name; initials are enough.";
        return;
      }
      try {
        await save(wanted);
        dialog.close();
      } catch (error) {
        problem.textContent = errorText(error);
      }
    }
  }));
}

/** Show the annotator's initials on the button that changes the name; `does`: "judge". @param {HTMLElement} button @param {string | null} name @param {string} does */
export function showAnnotator(button, name, does) {
  button.textContent = name ? initials(name) : "?";
  button.title = name ? `You ${does} as ${name}. Change the name` : "Enter your name";
  button.setAttribute("aria-label", button.title);
}
