// How numbers, times and image addresses are written.

const EDGES = [96, 192, 384, 1024];
const CROP_EDGES = [192, 384, 1024];
const PIXELATED = 28; // pixels; anything up to this is shown as the squares it is made of

/** Rounds that only propose labels, where nobody gave any. */
export const RECIPES = { iterated: "teacher and student", "cross-training": "few masks, many tags", predictions: "predictions" };

export const number = (value) => Math.round(value).toLocaleString("en-GB");
export const percent = (value) => `${Math.floor(value * 100 + 1e-9)} %`; // 0.29 has 29, although 100 * 0.29 is a little less
export const fraction = (value) => value.toFixed(2);

export function clock(time) {
  const date = time ? new Date(time) : new Date();
  return date.toLocaleTimeString("en-GB", { hour12: false });
}

export function day(time) {
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

export function initials(name) {
  const words = name.trim().split(/\s+/u);
  const letters = words.length > 1 ? [words[0], words.at(-1)].map((word) => [...word][0]) : [...words[0]].slice(0, 2);
  return letters.join("").toUpperCase();
}

let greys = ""; // what addresses of images say of their greys

/** Draw greys of more than 8 bits by this range, [low, high], from now on; null: images have none. */
export function drawGreys(range) {
  greys = range ? `window=${range.join("-")}` : "";
}

/** Return the size of what a card shows: of a region the crop around it, else the whole image. */
export function shapeOf(item) {
  return item.region ? { width: item.region.crop[2], height: item.region.crop[3] } : item;
}

/** Return the address of one layer of a region's crop: image, contour or fill. */
export function layerUrl(base, item, layer, pixels) {
  const seen = greys && layer === "image" ? `&${greys}` : "";
  return `${base}/regions/${item.id}/${layer}/${CROP_EDGES.find((edge) => edge >= pixels) ?? CROP_EDGES.at(-1)}.webp?v=${item.region.version}${seen}`;
}

/** Return the address of the whole image. */
export function wholeUrl(base, item, pixels) {
  return `${base}/image/${item.hash}/${edgeFor(item, pixels)}.webp${greys && `?${greys}`}`;
}

/** Return the smallest stored size that fills `pixels` device pixels; small originals have one size only. */
export function edgeFor(item, pixels) {
  const longest = Math.max(item.width ?? 1024, item.height ?? 1024);
  return EDGES.find((edge) => edge >= Math.min(pixels, longest)) ?? 0;
}

/** Return the address of what a card shows. */
export function imageUrl(base, item, pixels) {
  return item.region ? layerUrl(base, item, "image", pixels) : wholeUrl(base, item, pixels);
}

/** Return the addresses of everything a card shows at first. */
export function cardUrls(base, item, pixels) {
  return [imageUrl(base, item, pixels), ...(item.region ? [layerUrl(base, item, "contour", pixels)] : [])];
}

/** Return the class names that decide how an image fills its frame of the given aspect. */
export function fitClass(item, aspect = 1) {
  const { width, height } = shapeOf(item);
  const own = width && height ? width / height : aspect;
  const near = Math.abs(Math.log(own / aspect)) < 0.12; // a few percent cropped at two edges; the details show the whole
  const tiny = Math.max(width ?? 99, height ?? 99) <= PIXELATED;
  return `${near ? "cover" : "contain"}${tiny ? " pixelated" : ""}`;
}
