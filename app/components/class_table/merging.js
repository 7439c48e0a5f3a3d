// Merge of a class into another: choice of the class, preview, one confirmation.

import { h, openDialog } from "../shared/dom.js";
import { number } from "../shared/format.js";
import { openSearch } from "../shared/search.js";
/** @import { ClassId, ClassUse, Classes, Root } from "../shared/types.d.ts" */

/** @typedef {{ from: string, into: string, use: ClassUse, settled: number, masks: boolean }} Consequences */
/**
 * Options of a merge: `look` resolves to its preview, `onmerge` makes it.
 *
 * @typedef {object} Merge
 * @property {Root} root
 * @property {ClassId} from
 * @property {ClassId} into
 * @property {Classes} classes
 * @property {boolean} masks
 * @property {(from: ClassId, into: ClassId) => Promise<Pick<Consequences, "use" | "settled">>} look
 * @property {(from: ClassId, into: ClassId) => void} onmerge
 */

/** @param {number} count @param {string} singular @param {string} plural */
const many = (count, singular, plural) => `${number(count)} ${count === 1 ? singular : plural}`;

/**
 * Return the number of labels of a class in words: "1,204 labels", of masks "the masks of 12 images".
 *
 * @param {Pick<ClassUse, "images" | "tagged">} use
 * @param {boolean} masks
 */
export function carriersText({ images, tagged }, masks) {
  if (!masks) return many(images, "label", "labels");
  return [images && `${many(images, "mask", "masks")}`, tagged && `the tags of ${many(tagged, "image", "images")}`].filter(Boolean).join(" and ") || "no mask";
}

/**
 * Return the effect of a merge, in lines; `use` counts the uses of the merged class, `settled` the findings that agree afterwards.
 *
 * @param {Consequences} options
 */
export function consequences({ from, into, use, settled, masks }) {
  const carried = carriersText(use, masks);
  const by = !masks && use.decided ? ` ${number(use.decided)} of them were given by verdicts.` : "";
  return [
    masks ? `${from} becomes ${into} in ${carried}.` : `${carried} of ${from} ${use.images === 1 ? "becomes" : "become"} ${into}.${by}`,
    use.open ? `${many(use.open, "open finding", "open findings")} of ${from} ${use.open === 1 ? "becomes one" : "become those"} of ${into}${settled ? `; ${number(settled)} between the two ${settled === 1 ? "agrees and leaves" : "agree and leave"} the queue` : ""}.` : null,
    `${from} is not offered any more. Undo restores everything.`,
  ].filter(Boolean);
}

/**
 * Let the person choose the class that `from` becomes, by typing; calls `onpick(into)`.
 *
 * @param {{ root: Root, from: ClassId, classes: Classes, offered: ClassId[], onpick: (into: ClassId) => void }} options
 */
export function askInto({ root, from, classes, offered, onpick }) {
  const others = Object.assign([...classes], { offered: offered.filter((id) => id !== from) });
  openSearch({ root, item: { likely: [] }, classes: others, label: `Merge ${classes[from]} into`, onpick });
}

/** Preview a merge, and merge on confirmation. @param {Merge} options */
export async function confirmMerge({ root, from, into, classes, masks, look, onmerge }) {
  const [merged, target] = [classes[from], classes[into]];
  const [moved, ...rest] = consequences({ from: merged, into: target, masks, ...(await look(from, into)) });
  const dialog = openDialog(root, { label: `Merge ${merged} into ${target}`, className: "merge" },
    h("h1", {}, "Merge ", h("s", {}, merged), " into ", h("b", {}, target)),
    h("p", { class: "moves" }, moved), rest.map((line) => h("p", { class: "sub" }, line)),
    h("div", { class: "btns" },
      h("button", { type: "button", class: "ghost", onclick: () => turn() }, `Merge ${target} into ${merged} instead`),
      h("span", {}),
      h("button", { type: "button", class: "ghost", onclick: () => dialog.close() }, "Cancel"),
      h("button", { type: "button", class: "primary", onclick: () => merge() }, "Merge")));
  /** @type {HTMLElement} */ (dialog.querySelector(".primary")).focus();

  function turn() {
    dialog.close();
    return confirmMerge({ root, from: into, into: from, classes, masks, look, onmerge });
  }

  function merge() {
    dialog.close();
    onmerge(from, into);
  }
}
