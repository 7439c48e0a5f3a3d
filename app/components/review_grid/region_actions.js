// The keys and buttons that only regions have.

// [action, what it does, combinations]
export const REGION_ACTIONS = [
  ["overlay", "contour, fill or no overlay", ["o"]],
  ["weaker", "overlay weaker", ["["]],
  ["stronger", "overlay stronger", ["]"]],
  ["blink", "hide the overlay while held", ["v"]],
  ["view", "given, suggested or difference", ["t"]],
  ["edit", "edit the mask", ["e"]],
];

// what the footer offers; a key that is held is no button
export const REGION_BUTTONS = [
  ["accept", "accept this region"], ["keep", "keep"], ["class", "class"], ["edit", "edit mask"], ["view", "given / suggested / difference"],
  ["blink", "hold to hide"], ["ambiguous", "ambiguous"], ["exclude", "exclude"], ["second_opinion", "second opinion"], ["undo", "undo"], ["zoom", "zoom"], ["help", "all keys"],
];

/** Return what these keys do on a review page of regions. */
export function regionActions(review) {
  const { overlay } = review;
  return {
    overlay: () => overlay.cycle(),
    weaker: () => overlay.weaker(),
    stronger: () => overlay.stronger(),
    blink: (_place, event) => event && overlay.hold(event.code),
    view: () => overlay.turn({ single: review.zoom.open }),
    edit: () => review.cursor.current() && review.place.edit(review.cursor.current()),
  };
}
