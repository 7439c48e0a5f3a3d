// Parts of a review page of regions, their keys, and the regions of one image.

import { number } from "../shared/format.js";
import { ACTIONS } from "../shared/keys.js";
import { digitsInOrder } from "../shared/regions.js";
import { REGION_DENSITIES } from "./grid.js";
import { Overlay } from "./overlay.js";
import { QueuePosition } from "./queue.js";
import { RegionFilters } from "./region_filters.js";
import { RegionInspector } from "./region_inspector.js";
import { RegionZoom } from "./region_zoom.js";
/** @import { Finding, KeyTable, RoundInfo } from "../shared/types.d.ts" */
/** @import { Api } from "../shared/api.js" */
/** @import { ButtonWord } from "./masthead.js" */
/** @import { Review } from "./review.js" */
/** @import { OwnParts } from "./wiring.js" */

/** @type {[singular: string, plural: string]} */
const NOUNS = ["region", "regions"];
/** @type {KeyTable} */
export const REGION_ACTIONS = [
  ["overlay", "contour, fill or no overlay", ["o"]],
  ["weaker", "overlay weaker", ["["]],
  ["stronger", "overlay stronger", ["]"]],
  ["blink", "hide the overlay while held", ["v"]],
  ["view", "given, suggested or difference", ["t"]],
  ["edit", "edit the mask", ["e"]],
];

/** @type {ButtonWord[]} Buttons of the footer; a key to hold is not a button. */
const REGION_BUTTONS = [
  ["accept", "accept this region"], ["keep", "keep"], ["class", "class"], ["edit", "edit mask"], ["view", "given / suggested / difference"],
  ["blink", "hold to hide"], ["ambiguous", "ambiguous"], ["exclude", "exclude"], ["second_opinion", "second opinion"], ["undo", "undo"], ["zoom", "zoom"], ["help", "all keys"],
];
const MOST = 500; // limit of the server
const IMAGES = 50; // in memory; a day's work passes thousands

/**
 * Return "6,412 boundary differences not shown", and as `noteTitle` their greatest width; nothing where they were not counted.
 *
 * @param {Pick<RoundInfo, "boundary_differences" | "round">} info
 * @returns {{ note?: string, noteTitle?: string }}
 */
export function boundaryNote({ boundary_differences: count, round }) {
  if (count === null || count === undefined) return {};
  const note = `${number(count)} boundary difference${count === 1 ? "" : "s"} not shown`;
  return { note, noteTitle: `${note}: at most ${round.config?.boundary ?? 3} px wide` };
}

/** Make the parts of regions; returns those of other parts. @param {Review} review @returns {OwnParts} */
export function regionParts(review) {
  const { info, api, keys, element } = review;
  const { colours } = info;
  keys.actions = [...ACTIONS, ...REGION_ACTIONS];
  element.classList.add("regions");
  const place = new QueuePosition({ review, storage: sessionStorage });
  const overlay = new Overlay({ element, storage: review.storage, onchange: (changes) => {
    review.sidebar.regions?.drawOverlay();
    if (!("view" in changes)) return;
    review.inspector.redraw();
    review.zoom.redraw();
  } });
  const { signal } = review.stop;
  addEventListener("keyup", (event) => overlay.release(event.code), { capture: true, signal });
  addEventListener("blur", () => overlay.release(), { signal });
  const known = new Siblings({ findings: api.findings, know: (item) => review.know(item), roundId: review.roundId });
  Object.assign(review, { place, overlay, siblings: known });
  /** @param {Finding} item */
  const siblings = async (item) => (review.audit ? [item] : known.of(item)); // of a sample no neighbour is judged along
  /** @param {Finding} item */
  const edit = (item) => place.edit(item);
  return {
    makeZoom: ({ on, ...options }) => new RegionZoom({ ...options, colours, overlay, siblings, shapes: (item) => shapes(api, item, review.roundId), on: { ...on, edit } }),
    makeInspector: ({ on, ...options }) => new RegionInspector({ ...options, colours, overlay, keys, siblings, on: { ...on, edit } }),
    digits: () => digitsInOrder(review.classes),
    topline: { noun: NOUNS[1], ...boundaryNote(info) }, nouns: NOUNS, buttons: REGION_BUTTONS, densities: REGION_DENSITIES,
    regions: new RegionFilters({ info, overlay, keys, filter: review.filter, on: { filter: (changes) => review.setFilter(changes) } }),
  };
}

/**
 * Resolve to the runs of every region of an item's image, by finding.
 *
 * @param {Api} api
 * @param {Finding} item
 * @param {number} roundId
 * @returns {Promise<Record<number, number[]>>}
 */
async function shapes(api, item, roundId) {
  const { regions } = await api.mask(item.sample_id, roundId);
  return Object.fromEntries(regions.map(({ id, runs }) => [id, runs]));
}

/** Return the actions of these keys. @param {Review} review @param {Overlay} overlay @returns {Review["actions"]} */
export function regionActions(review, overlay) {
  return {
    overlay: () => overlay.cycle(),
    weaker: () => overlay.weaker(),
    stronger: () => overlay.stronger(),
    blink: (_place, event) => event && overlay.hold(event.code),
    view: () => overlay.turn({ single: review.zoom.open }),
    edit: () => {
      const item = review.cursor.current();
      if (item) review.place?.edit(item);
    },
  };
}

/** @typedef {{ request: Promise<Finding[]>, ids: number[] }} ImageFindings Findings of an image. */

/**
 * Options: `know(item)` returns this page's one object of a finding.
 *
 * @typedef {{ findings: Api["findings"], know: (item: Finding) => Finding, roundId: number }} SiblingsOptions
 */

export class Siblings {
  /** @param {SiblingsOptions} options */
  constructor({ findings, know, roundId }) {
    this.findings = findings;
    this.know = know;
    this.roundId = roundId;
    /** @type {Map<number, ImageFindings>} */
    this.images = new Map(); // by sample, the one seen last at the end
  }

  /** Resolve to the findings of an item's image, most suspicious first. @param {Pick<Finding, "sample_id">} item */
  of({ sample_id: sample }) {
    const image = this.images.get(sample) ?? this.#ask(sample);
    this.images.delete(sample);
    this.images.set(sample, image);
    const [oldest] = this.images.keys();
    if (this.images.size > IMAGES) this.images.delete(oldest);
    return image.request;
  }

  /** Return the ids of all findings in memory. */
  ids() {
    return [...this.images.values()].flatMap(({ ids }) => ids);
  }

  /** @param {number} sample */
  #ask(sample) {
    const params = new URLSearchParams({ round: String(this.roundId), sample: String(sample), show: "suspicious", status: "any", limit: String(MOST) });
    const request = this.findings(params).then(({ items }) => {
      image.ids = items.map(({ id }) => id);
      return items.map((item) => this.know(item));
    });
    /** @type {ImageFindings} */
    const image = { request, ids: [] };
    request.catch(() => this.images.delete(sample)); // requested again the next time
    return image;
  }
}
