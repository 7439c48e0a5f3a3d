// Who judges: asked once, kept by a cookie of the server.

import { told } from "./api.js";
import { h, openDialog } from "./dom.js";

const LONGEST = 60;

/** Ask for a name; `save(name)` may reject with an error that has a cure. Resolves when the dialog is closed. */
export function askName({ root, name, save }) {
  return new Promise((resolve) => {
    const input = h("input", { type: "text", class: "big", value: name ?? "", maxLength: LONGEST, autocomplete: "name", "aria-label": "Your name", placeholder: "Your name" });
    const problem = h("p", { class: "problem", role: "alert" });
    const form = h("form", { method: "dialog", onsubmit: submit },
      h("h1", {}, "Who is judging?"),
      h("p", { class: "sub" }, "Every verdict is kept with a name. It is asked once and can be changed at any time."),
      input, problem,
      h("div", { class: "btns" }, h("span", {}),
        name ? h("button", { type: "button", class: "ghost", onclick: () => dialog.close() }, "Cancel") : null,
        h("button", { type: "submit", class: "primary" }, "Begin")));
    const dialog = openDialog(root, { label: "Who is judging?", className: "name", onclose: resolve }, form);
    if (!name) dialog.addEventListener("cancel", (event) => event.preventDefault()); // nothing can be judged without one
    input.focus();
    input.select();

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
        problem.textContent = told(error);
      }
    }
  });
}
