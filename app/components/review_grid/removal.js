// Removal of the images of the filter: preview, one confirmation, restorable for a week.

import { errorText } from "../shared/api.js";
import { h, openDialog } from "../shared/dom.js";
import { number } from "../shared/format.js";
import { describe, toParams } from "./filters.js";
/** @import { Filter } from "../shared/types.d.ts" */
/** @import { Review } from "./review.js" */

const LONGEST = 200; // characters of the filter's words that the server takes
const LAST_ACT_MS = 1500; // how long the verdicts before it may take to be stored

/** Return a filter as the server's parameters, without the round and the order. @param {Filter} filter @param {number} round */
export function parametersOf(filter, round) {
  const parameters = Object.fromEntries(toParams(filter, round));
  delete parameters.round;
  delete parameters.order;
  return parameters;
}

/** Fields of the page that a removal uses. @typedef {Pick<Review, "root" | "api" | "roundId" | "filter" | "classes" | "outbox" | "toast" | "reload" | "bulk">} RemovalPage */

/** Show the images that the filter holds, and remove them on confirmation; queue and counts are read again then. @param {RemovalPage} review */
export function openRemoval(review) {
  const { api, filter, roundId, classes } = review;
  let images = 0;
  const title = h("h1", {}, "Remove images");
  const line = h("p", { class: "told", role: "status" }, "Counting…");
  const problem = h("p", { class: "problem", role: "alert" });
  const button = h("button", { type: "button", class: "primary", disabled: true, onclick: remove }, "Remove");
  const dialog = openDialog(review.root, { label: "Remove images", className: "removal" },
    title,
    h("p", { class: "sub" }, `Filter: ${describe(filter, classes)}.`),
    line,
    h("p", { class: "sub" }, "They leave the queue, the counts, exports and later rounds. The image files stay where they are. You can restore them from Deleted on the Datasets page for a week; then they are gone for good."),
    problem,
    h("div", { class: "btns" }, h("span", {}), h("button", { type: "button", class: "ghost", onclick: () => dialog.close() }, "Cancel"), button));
  ask();
  return dialog;

  async function ask() {
    try {
      if (!(await review.outbox.settled(LAST_ACT_MS))) throw new Error("Some verdicts are not saved yet. Try again when they are.");
      const seen = await api.removal(toParams(filter, roundId));
      ({ images } = seen);
      line.textContent = images ? `Remove ${seen.text}.` : "The filter holds no image.";
      Object.assign(button, { disabled: !images, textContent: images ? `Remove ${number(images)} ${images === 1 ? "image" : "images"}` : "Remove" });
      if (images) button.focus();
    } catch (error) {
      problem.textContent = errorText(error);
    }
  }

  async function remove() {
    if (button.disabled) return; // a double click is one act
    button.disabled = true;
    problem.textContent = "";
    try {
      ({ images } = await api.removeImages({ round: roundId, filter: parametersOf(filter, roundId), expected: images, what: describe(filter, classes).slice(0, LONGEST) }));
    } catch (error) {
      problem.textContent = errorText(error);
      await ask();
      return;
    }
    dialog.close();
    review.toast.say(`removed ${images === 1 ? "one image" : `${number(images)} images`}; restore them on the Datasets page, under Deleted`);
    await review.reload();
    review.bulk.refresh();
  }
}
