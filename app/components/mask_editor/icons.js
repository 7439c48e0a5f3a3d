// Line drawings of tools, as paths in a square of 24.

import { shape } from "../shared/dom.js";

const PATHS = {
  brush: "M20 4c-5 2-8 5.500-10 9l2 2c3.500-2 6.500-5.500 8-11zM9.500 14.500c-3 0-3 4-6 4.500 3 2 8.500 1.500 8.500-2",
  eraser: "M8.500 19.500h11M4 14.500l9.500-10 6 5.500-9 9.500H8z M8.500 9.800l6 5.500",
  polygon: "M5 8.500l8-4.500 7 6-3 9.500-10 .5z",
  fill: "M4.500 11.500l7-7 7.500 7.500-7 7zM4.500 12h14M11.500 4.500L9.500 2.500M20.500 16c1.500 2.500 1.500 4.500 0 4.500s-1.500-2 0-4.500z",
  replace: "M4 8.500h14.500l-3.500-3.500M20 15.500H5.500l3.500 3.500",
  pick: "M4 20l1-4 8-8 3 3-8 8zM11.500 6.500l6 6M15 8.500l2.500-3.500a1.800 1.800 0 0 1 2.500 2.500L16 10",
  suggest: "M4.500 19.500l9.500-9.500M16.500 3v4.500M14.250 5.250h4.500M19.500 11v3M18 12.500h3M9 4v2.500M7.750 5.250h2.500",
  suggest_brush: "M17 7c-4 1.500-6.500 4-8 7l2 2c3-1.500 5-4 6-9zM8.500 15.500c-2.500 0-2.500 3-5 3.500 2.500 1.500 7 1 7-1.500M20 2.500v4M18 4.500h4",
  restore: "M5 12a7.200 7.200 0 1 0 2.300-5.200M4.500 4v4h4.200",
  undo: "M8.500 6.500l-4.500 4 4.500 4M4 10.500h10.500a5 5 0 0 1 0 9.500H12",
  redo: "M15.500 6.500l4.500 4-4.500 4M20 10.500H9.500a5 5 0 0 0 0 9.500H12",
  locked: "M7.500 11V8.500a4.500 4.500 0 0 1 9 0V11M6 11h12v8.500H6z",
  open: "M7.500 11V8.500a4.500 4.500 0 0 1 8.600-1.800M6 11h12v8.500H6z",
};

/** @typedef {keyof typeof PATHS} Icon */

/** Return an icon; its meaning is in the button's text or label. @param {Icon} name */
export function icon(name) {
  return shape("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon" }, shape("path", { d: PATHS[name] }));
}
