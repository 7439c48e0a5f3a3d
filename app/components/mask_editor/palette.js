// Colours of class ids as pixels, through one look-up table, for a box of the image at a time.

/** @import { Box, Labels } from "../shared/types.d.ts" */
/** @import { Painting } from "./painting.js" */
/** @import { View } from "./view.js" */

/**
 * Return a table class id -> RGBA as one little-endian number; unlabelled pixels are transparent.
 *
 * @param {string[]} colours
 * @param {number} ignore
 */
export function tableOf(colours, ignore) {
  const table = new Uint32Array(ignore + 1);
  colours.forEach((colour, id) => {
    const value = Number.parseInt(colour.slice(1), 16);
    table[id] = (0xff000000 | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
  });
  return table;
}

/**
 * Write the colours of a box into `pixels`, a Uint32Array of box.width * box.height.
 *
 * @param {Uint32Array} pixels
 * @param {Labels} labels
 * @param {number} width
 * @param {Box} box
 * @param {Uint32Array} table
 */
export function fillPixels(pixels, labels, width, box, table) {
  for (let row = 0; row < box.height; row += 1) {
    let place = (box.y + row) * width + box.x;
    const end = (row + 1) * box.width;
    for (let index = row * box.width; index < end; index += 1, place += 1) pixels[index] = table[labels[place]];
  }
}

/**
 * Write the colours of a box only where a pixel's class ends: within `thick` pixels to the right or below begins another.
 * Thick contours are for images shown smaller than they are.
 *
 * @param {Uint32Array} pixels
 * @param {Labels} labels
 * @param {number} width
 * @param {number} height
 * @param {Box} box
 * @param {Uint32Array} table
 * @param {number} [thick]
 */
export function edgePixels(pixels, labels, width, height, box, table, thick = 1) {
  for (let row = 0; row < box.height; row += 1) {
    const y = box.y + row;
    for (let column = 0; column < box.width; column += 1) {
      const x = box.x + column;
      const place = y * width + x;
      const label = labels[place];
      let other = label;
      for (let step = 1; step <= thick && other === label; step += 1) {
        if (x + step < width) other = labels[place + step];
        if (other === label && y + step < height) other = labels[place + step * width];
      }
      pixels[row * box.width + column] = other === label ? 0 : table[label] || table[other];
    }
  }
}

/**
 * Return a box larger to the left and above, where an edge of this thickness may begin or end, within the image.
 *
 * @param {Box} box
 * @param {number} [thick]
 */
export function withEdges({ x, y, width, height }, thick = 1) {
  const left = Math.max(0, x - thick);
  const top = Math.max(0, y - thick);
  return { x: left, y: top, width: width + x - left, height: height + y - top };
}

/**
 * Write what a window shows of a mask into `fill` and, unless null, its contours into `edge`, both of `stride` pixels a row: a box of the
 * window, where `view` (view.js) lays the image. A contour is as wide as a pixel of the image, or of the window where that is more.
 *
 * @param {Uint32Array} fill
 * @param {Uint32Array | null} edge
 * @param {Pick<Painting, "labels" | "width" | "height">} painting
 * @param {Box} box
 * @param {number} stride
 * @param {Pick<View, "x" | "y" | "scale">} view
 * @param {Uint32Array} table
 */
export function viewPixels(fill, edge, { labels, width, height }, box, stride, { x, y, scale }, table) {
  const columns = places(box.x, box.width + 1, x, scale, width);
  const rows = places(box.y, box.height + 1, y, scale, height);
  const step = scale < 1 ? 0 : 1; // of an image shown smaller the neighbours in the window are compared, else those in the image
  for (let row = 0; row < box.height; row += 1) {
    const start = (box.y + row) * stride + box.x;
    if (rows[row] < 0) {
      fill.fill(0, start, start + box.width);
      edge?.fill(0, start, start + box.width);
      continue;
    }
    const base = rows[row] * width;
    const next = step ? rows[row] + 1 : rows[row + 1];
    const below = next < 0 || next >= height ? base : next * width;
    for (let column = 0; column < box.width; column += 1) {
      const at = columns[column];
      if (at < 0) {
        fill[start + column] = 0;
        if (edge) edge[start + column] = 0;
        continue;
      }
      const label = labels[base + at];
      fill[start + column] = table[label];
      if (!edge) continue;
      const right = step ? at + 1 : columns[column + 1];
      let other = right < 0 || right >= width ? label : labels[base + right];
      if (other === label) other = labels[below + at];
      edge[start + column] = other === label ? 0 : table[label] || table[other];
    }
  }
}

/**
 * Return the image's row or column under each of `count` pixels of the window from `first` on, -1 beside the image.
 *
 * @param {number} first
 * @param {number} count
 * @param {number} offset
 * @param {number} scale
 * @param {number} length
 */
function places(first, count, offset, scale, length) {
  const found = new Int32Array(count);
  for (let index = 0; index < count; index += 1) {
    const place = Math.floor((first + index + 0.5 - offset) / scale);
    found[index] = place < 0 || place >= length ? -1 : place;
  }
  return found;
}
