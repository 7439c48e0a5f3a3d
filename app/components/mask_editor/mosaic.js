// Photo of a large image, from tiles: visible tiles are loaded at the size they are shown, over a small picture of the whole.

/** @import { View } from "./view.js" */

export const EDGE = 512; // pixels of a tile's side
const OVERVIEW = 1024; // pixels of the longer side of the picture of the whole
const KEPT = 96; // tiles; about a MiB each when decoded
const AT_ONCE = 4; // requests
const PUT_OFF_MS = 5000; // until a failed tile is requested again

/** @typedef {Pick<View, "x" | "y" | "scale" | "stageWidth" | "stageHeight" | "ratio">} Sight */

/**
 * Return how often the image is halved to be shown at a scale: as far as each of its pixels still fills one of the window's.
 *
 * @param {number} scale
 * @param {number} width
 * @param {number} height
 */
export function levelOf(scale, width, height) {
  const most = Math.max(0, Math.ceil(Math.log2(Math.max(width, height) / OVERVIEW))); // from here on the overview is as good
  return Math.max(0, Math.min(most, Math.floor(Math.log2(1 / scale))));
}

/**
 * Return the tiles in sight at a level as {level, column, row}, those in the middle first; none where the overview is as good.
 *
 * @param {Sight} view
 * @param {number} width
 * @param {number} height
 */
export function tilesInSight({ x, y, scale, stageWidth, stageHeight, ratio }, width, height) {
  const level = levelOf(scale, width, height);
  if (Math.max(width, height) / 2 ** level <= OVERVIEW) return [];
  const side = EDGE * 2 ** level;
  /** @param {number} offset @param {number} room @param {number} length */
  const range = (offset, room, length) => [Math.max(0, Math.floor(-offset / scale / side)), Math.min(Math.ceil(length / side), Math.ceil((room - offset) / scale / side))];
  const [left, right] = range(x, stageWidth * ratio, width);
  const [top, bottom] = range(y, stageHeight * ratio, height);
  const found = [];
  for (let row = top; row < bottom; row += 1) for (let column = left; column < right; column += 1) found.push({ level, column, row });
  const [middle, centre] = [(left + right - 1) / 2, (top + bottom - 1) / 2];
  /** @param {{ column: number, row: number }} tile */
  const away = ({ column, row }) => Math.hypot(column - middle, row - centre);
  return found.sort((a, b) => away(a) - away(b));
}

export class Mosaic {
  /**
   * `onload()` is called when there is more to draw than before.
   *
   * @param {{ url: string, width: number, height: number, onload: () => void }} options
   */
  constructor({ url, width, height, onload }) {
    this.url = url;
    this.width = width;
    this.height = height;
    this.onload = onload;
    /** @type {Map<string, HTMLImageElement>} */
    this.kept = new Map(); // address -> image, the one drawn last at the end
    /** @type {string[]} */
    this.wanted = [];
    /** @type {Set<string>} */
    this.loading = new Set();
    /** @type {Map<string, number>} */
    this.failed = new Map(); // address -> when
    /** @type {HTMLImageElement | null} */
    this.overview = null;
    loadImage(`${url}/${OVERVIEW}.webp`).then((image) => {
      this.overview = image;
      this.onload();
    });
  }

  /** Draw the loaded tiles of a view, and load the others. @param {CanvasRenderingContext2D} context @param {Sight} view */
  draw(context, view) {
    const { x, y, scale } = view;
    const { width, height, kept } = this;
    const { canvas } = context;
    context.clearRect(0, 0, canvas.width, canvas.height);
    /** @param {CanvasImageSource} image @param {number} left @param {number} top @param {number} right @param {number} bottom */
    const put = (image, left, top, right, bottom) => {
      const [from, to] = [Math.round(left * scale + x), Math.round(top * scale + y)]; // whole pixels, so that no seam is seen
      context.drawImage(image, from, to, Math.round(right * scale + x) - from, Math.round(bottom * scale + y) - to);
    };
    if (this.overview) put(this.overview, 0, 0, width, height);
    const missing = [];
    for (const { level, column, row } of tilesInSight(view, width, height)) {
      const address = `${this.url}/tiles/${level}/${column}/${row}.webp`;
      const image = kept.get(address);
      if (!image) {
        missing.push(address);
        continue;
      }
      kept.delete(address);
      kept.set(address, image);
      const side = EDGE * 2 ** level;
      put(image, column * side, row * side, Math.min(width, (column + 1) * side), Math.min(height, (row + 1) * side));
    }
    this.wanted = missing;
    this.#next();
  }

  close() {
    this.wanted = [];
    this.kept.clear();
    this.onload = () => {};
  }

  #next() {
    for (const address of this.wanted) {
      if (this.loading.size >= AT_ONCE) return;
      if (this.loading.has(address) || performance.now() - (this.failed.get(address) ?? -Infinity) < PUT_OFF_MS) continue;
      this.loading.add(address);
      loadImage(address).then((image) => {
        this.loading.delete(address);
        if (image) this.#keep(address, image);
        else this.failed.set(address, performance.now());
        this.wanted = this.wanted.filter((other) => other !== address);
        this.#next();
      });
    }
  }

  /** @param {string} address @param {HTMLImageElement} image */
  #keep(address, image) {
    this.kept.set(address, image);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= KEPT) break;
      this.kept.delete(oldest);
    }
    this.onload();
  }
}

/** Resolve to a picture ready to be drawn, null if the server has none. @param {string} address @returns {Promise<HTMLImageElement | null>} */
async function loadImage(address) {
  const image = new Image();
  image.src = address;
  return image.decode().then(() => image, () => null);
}
