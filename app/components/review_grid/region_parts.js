// What a review page of regions has beside, or instead of, the usual parts.

import { REGION_DENSITIES } from "./grid.js";
import { number } from "./format.js";
import { ACTIONS } from "./keys.js";
import { Overlay } from "./overlay.js";
import { Place } from "./place.js";
import { REGION_ACTIONS, REGION_BUTTONS } from "./region_actions.js";
import { RegionFilters } from "./region_filters.js";
import { RegionInspector } from "./region_inspector.js";
import { RegionZoom } from "./region_zoom.js";
import { digitsInOrder } from "./regions.js";
import { Siblings } from "./siblings.js";

const NOUNS = ["region", "regions"];

/** Return "6,412 regions of boundary wobble not shown", and as `told` how thin these are; nothing where none is known of. */
export function wobbleNote({ wobble, round }) {
  if (wobble === null || wobble === undefined) return {};
  const note = `${number(wobble)} ${NOUNS[wobble === 1 ? 0 : 1]} of boundary wobble not shown`;
  return { note, told: `${note}: differences of up to ${round.config?.boundary ?? 3} px are set apart` };
}

/** Make them; returns what the page's parts are made with. */
export function regionParts(review) {
  const { info, api, keys, element } = review;
  keys.actions = [...ACTIONS, ...REGION_ACTIONS];
  element.classList.add("regions");
  review.place = new Place({ review, storage: sessionStorage });
  review.overlay = new Overlay({ element, storage: review.storage, onchange: (changes) => {
    review.sidebar.regions?.drawOverlay(); // an audit has no filters
    if (!("view" in changes)) return;
    review.inspector.redraw();
    review.zoom.redraw();
  } });
  const { signal } = review.stop;
  addEventListener("keyup", (event) => review.overlay.release(event.code), { capture: true, signal });
  addEventListener("blur", () => review.overlay.release(), { signal });
  review.siblings = new Siblings({ findings: api.findings, know: (item) => review.know(item), roundId: review.roundId });
  const siblings = review.audit ? async (item) => [item] : (item) => review.siblings.of(item); // of a sample no neighbour is judged along
  const shared = { colours: info.colours, overlay: review.overlay, keys, siblings, shapes: (item) => shapes(api, item, review.roundId) };
  return {
    Zoom: RegionZoom, Inspector: RegionInspector, shared,
    on: { edit: (item) => review.place.edit(item) },
    digits: digitsInOrder(review.classes),
    topline: { noun: NOUNS[1], ...wobbleNote(info) }, bar: { nouns: NOUNS }, footer: { words: REGION_BUTTONS }, grid: { densities: REGION_DENSITIES },
    sidebar: { regions: new RegionFilters({ info, overlay: review.overlay, keys, on: { filter: (changes) => review.setFilter(changes) } }) },
  };
}

/** Resolve to the runs of every region of an item's image, by finding. */
async function shapes(api, item, roundId) {
  const { regions } = await api.mask(item.sample_id, roundId);
  return Object.fromEntries(regions.map(({ id, runs }) => [id, runs]));
}
