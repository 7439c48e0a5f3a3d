// Dialogs: what to do when somebody else saved the same image meanwhile.

import { h, openDialog } from "../review_grid/dom.js";
import { number } from "../review_grid/format.js";

/** Ask which mask to go on with; resolves to "mine", "theirs" or null when it is put off. `counts` as of `merge`. */
export function askWhose({ root, counts }) {
  return new Promise((resolve) => {
    let chosen = null;
    const choose = (whose) => () => {
      chosen = whose;
      dialog.close();
    };
    const pixels = (count) => `${number(count)} pixel${count === 1 ? "" : "s"}`;
    const clash = counts.both ? `${pixels(counts.both)} of these were changed by you as well, to something else.` : "None of these were changed by you to something else.";
    const dialog = openDialog(root, { label: "Somebody else saved this mask", className: "whose", onclose: () => resolve(chosen) },
      h("h1", {}, "Somebody else saved this mask"),
      h("p", { class: "sub" }, `While you changed ${pixels(counts.mine)}, ${pixels(counts.theirs)} were changed and saved. ${clash} Nothing is lost yet.`),
      h("div", { class: "choices" },
        h("button", { type: "button", class: "primary", onclick: choose("mine") }, "Save mine over it"), h("span", {}, "Your pixels go on top of theirs; all others stay as they saved them."),
        h("button", { type: "button", class: "ghost", onclick: choose("theirs") }, "Load theirs"), h("span", {}, "Yours are put aside; undo brings them back.")));
  });
}
