// What the editor asks and tells: whose mask to go on with, what was recovered, which keys there are.

import { told } from "../review_grid/api.js";
import { h, keycap, openDialog } from "../review_grid/dom.js";
import { clock, number } from "../review_grid/format.js";
import { openHelp } from "../review_grid/help.js";

/** Let the person choose between two masks of the image, until one is chosen. */
export async function settleConflict(editor) {
  const { picture, root } = editor;
  const again = (label) => ({ label, run: () => settleConflict(editor) });
  try {
    const whose = await askWhose({ root, counts: await picture.compared() });
    if (whose === "mine") await picture.putMine();
    else if (whose === "theirs") await picture.takeTheirs();
    else editor.say("Your changes are kept in this browser, not saved yet.", { warning: true, action: again("Decide"), sticky: true });
  } catch (error) {
    editor.say(told(error), { warning: true, action: again("Try again"), sticky: true });
  }
  editor.draw();
}

/** Say what an earlier visit left unsaved, of this image or of another one. */
export function tellRecovered(editor) {
  const { recovered, elsewhere } = editor.picture;
  const other = elsewhere.find(({ round }) => round === editor.roundId);
  if (recovered && !recovered.saved) editor.say(`Recovered unsaved changes from ${clock(recovered.at)}.`, { action: { label: "Undo", run: () => editor.undo() }, passing: true });
  else if (other) editor.say(`${other.image} has changes that are not saved yet.`, { action: { label: "Open it", run: () => editor.open(other.sample) } });
}

/** Show all keys, and what the pointer does. */
export function openKeys({ root, keys }, onchange) {
  openHelp({ root, keys, onchange, about: "Everything is saved by itself after each stroke.", fixed: [
    [[keycap("1"), "–", keycap("9"), keycap("0")], "the class of that number; with Shift the 11th to 20th"],
    [[keycap("wheel")], "zoom at the pointer"],
    [[keycap("Space"), "or middle button + drag"], "move the image"],
    [[keycap("Alt"), "+ click"], "pick the class under the pointer"],
    [[keycap("Shift"), "+ click"], "a straight line from the last stroke"],
  ] });
}

/** Ask which mask to go on with; resolves to "mine", "theirs" or null when it is put off. `counts` as of `merge`. */
function askWhose({ root, counts }) {
  return new Promise((resolve) => {
    let chosen = null;
    const choose = (whose) => () => {
      chosen = whose;
      dialog.close();
    };
    const pixels = (count) => `${number(count)} pixel${count === 1 ? "" : "s"}`;
    const clash = counts.both ? `${pixels(counts.both)} of these were changed by you as well, to something else.` : "None of these were changed by you to something else.";
    const dialog = openDialog(root, { label: "Another annotator saved this mask", className: "whose", onclose: () => resolve(chosen) },
      h("h1", {}, "Another annotator saved this mask"),
      h("p", { class: "sub" }, `While you changed ${pixels(counts.mine)}, ${pixels(counts.theirs)} were changed and saved. ${clash} Nothing is lost yet.`),
      h("div", { class: "choices" },
        h("button", { type: "button", class: "primary", onclick: choose("mine") }, "Save mine over it"), h("span", {}, "Your pixels go on top of theirs; all others stay as they saved them."),
        h("button", { type: "button", class: "ghost", onclick: choose("theirs") }, "Load theirs"), h("span", {}, "Yours are put aside; undo brings them back.")));
  });
}
