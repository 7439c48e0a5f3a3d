// How numbers, times and image addresses are written.

const EDGES = [96, 192, 384, 1024];
const PIXELATED = 28; // pixels; anything up to this is shown as the squares it is made of

export const number = (value) => Math.round(value).toLocaleString("en-GB");
export const percent = (value) => `${Math.floor(value * 100)} %`;
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

/** Return the smallest stored size that fills `pixels` device pixels; small originals have one size only. */
export function edgeFor(item, pixels) {
  const longest = Math.max(item.width ?? 1024, item.height ?? 1024);
  return EDGES.find((edge) => edge >= Math.min(pixels, longest)) ?? 0;
}

export function imageUrl(base, item, pixels) {
  return `${base}/image/${item.hash}/${edgeFor(item, pixels)}.webp`;
}

/** Return the class names that decide how an image fills its frame of the given aspect. */
export function fitClass(item, aspect = 1) {
  const own = item.width && item.height ? item.width / item.height : aspect;
  const near = Math.abs(Math.log(own / aspect)) < 0.12; // a few percent cropped at two edges; the details show the whole
  const tiny = Math.max(item.width ?? 99, item.height ?? 99) <= PIXELATED;
  return `${near ? "cover" : "contain"}${tiny ? " pixelated" : ""}`;
}
