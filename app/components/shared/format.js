// Format of numbers, times and states, and addresses of images.

/** @import { Finding, SaveState, SaveStatus } from "./types.d.ts" */

const EDGES = [96, 192, 384, 1024];
const CROP_EDGES = [192, 384, 1024];
const PIXELATED = 28; // pixels; anything up to this is shown as the squares it is made of

/** @type {Record<string, string>} Recipes that only propose labels for unlabelled images. */
export const RECIPES = { iterated: "teacher and student", "cross-training": "few masks, many tags", predictions: "predictions", labelling: "no suggestions yet" };

// one formatter each: toLocaleString makes a new one a call, which costs 0.1 ms and was most of drawing a matrix
const WHOLE = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", hour12: false });
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** @param {number} value */
export const number = (value) => WHOLE.format(Math.round(value));
/** @param {number} value */
export const percent = (value) => `${Math.floor(value * 100 + 1e-9)} %`; // 0.29 has 29, although 100 * 0.29 is a little less
/** @param {number} value */
export const fraction = (value) => value.toFixed(2);

/** @param {string | null} [time] */
export function clock(time) {
  return CLOCK.format(time ? new Date(time) : new Date());
}

const NAMED = 3; // images in a message

/** Return the first names of a list, and how many more there are. @param {string[]} names */
export function namesText(names) {
  const more = names.length - NAMED;
  return more > 0 ? `${names.slice(0, NAMED).join(", ")} and ${more} more` : names.join(", ");
}

/**
 * Return that acts on these images are kept by the browser while their round or dataset is deleted; `why` is the refusal.
 *
 * @param {string} what
 * @param {string[]} names
 * @param {string} why
 */
export function heldText(what, names, why) {
  const on = namesText([...new Set(names)]);
  return `${what} not stored${on && `, on ${on}`}: ${why}. This browser keeps them and stores them later.`;
}

/**
 * Return the long form of `savedText`, "" if there is none; `deleted` names what was deleted.
 *
 * @param {{ state: SaveState, held?: number }} status
 * @param {string} deleted
 */
export function savedTitle({ state, held = 0 }, deleted) {
  if (held) return `Their ${deleted} was deleted. This browser keeps them and stores them once it is restored on the Datasets page.`;
  return state === "offline" ? "Kept in this browser and sent as soon as the server answers again." : "";
}

/** Return the state of an outbox in words. @param {SaveStatus} status */
export function savedText({ state, unsaved, savedAt, held = 0 }) {
  if (held && state === "saved") return `⚠ ${held} not stored`;
  /** @type {Partial<Record<SaveState, string>>} */
  const texts = {
    saved: savedAt ? `✓ saved ${clock(savedAt)}` : "✓ all saved",
    saving: unsaved ? `↻ saving ${unsaved}` : "↻ loading",
    offline: `⚠ offline, ${unsaved} unsaved`,
    name: `⚠ ${unsaved} unsaved, your name is needed`,
  };
  return texts[state] ?? "";
}

/** @param {string} time */
export function day(time) {
  return DAY.format(new Date(time));
}

/** @param {string} name */
export function initials(name) {
  const words = name.trim().split(/\s+/u);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]].map((word) => [...word][0]) : [...words[0]].slice(0, 2);
  return letters.join("").toUpperCase();
}

let greys = ""; // parameter for greys in addresses of images

/** Draw greys of more than 8 bits by this range, [low, high], from now on; null: images have none. @param {number[] | null} range */
export function setGreyRange(range) {
  greys = range ? `window=${range.join("-")}` : "";
}

/**
 * Return the size of a card's picture: of a region the crop around it, else the whole image.
 *
 * @param {Pick<Finding, "region" | "width" | "height">} item
 */
export function shapeOf(item) {
  return item.region ? { width: item.region.crop[2], height: item.region.crop[3] } : item;
}

/**
 * Return the address of one layer of a region's crop: image, contour or fill.
 *
 * @param {string} base
 * @param {Finding} item
 * @param {string} layer
 * @param {number} pixels
 */
export function layerUrl(base, item, layer, pixels) {
  const seen = greys && layer === "image" ? `&${greys}` : "";
  return `${base}/regions/${item.id}/${layer}/${CROP_EDGES.find((edge) => edge >= pixels) ?? CROP_EDGES.at(-1)}.webp?v=${item.region?.version}${seen}`;
}

/** Return the address of the whole image. @param {string} base @param {Pick<Finding, "hash" | "width" | "height">} item @param {number} pixels */
export function wholeUrl(base, item, pixels) {
  return `${base}/image/${item.hash}/${edgeFor(item, pixels)}.webp${greys && `?${greys}`}`;
}

/**
 * Return the smallest stored size that fills `pixels` device pixels; small originals have one size only.
 *
 * @param {Pick<Finding, "width" | "height">} item
 * @param {number} pixels
 */
function edgeFor(item, pixels) {
  const longest = Math.max(item.width ?? 1024, item.height ?? 1024);
  return EDGES.find((edge) => edge >= Math.min(pixels, longest)) ?? 0;
}

/** Return the address of a card's picture. @param {string} base @param {Finding} item @param {number} pixels */
export function imageUrl(base, item, pixels) {
  return item.region ? layerUrl(base, item, "image", pixels) : wholeUrl(base, item, pixels);
}

/** Return the addresses of all pictures of a card. @param {string} base @param {Finding} item @param {number} pixels */
export function cardUrls(base, item, pixels) {
  return [imageUrl(base, item, pixels), ...(item.region ? [layerUrl(base, item, "contour", pixels)] : [])];
}

/** Return the class names that decide how an image fills its frame: whole, and a tiny one as the squares it is made of. @param {Finding} item */
export function fitClass(item) {
  const { width, height } = shapeOf(item);
  const tiny = Math.max(width ?? 99, height ?? 99) <= PIXELATED;
  return `contain${tiny ? " pixelated" : ""}`;
}
