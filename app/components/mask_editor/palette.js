// From class ids to pixels, through one look-up table, for a box of the image at a time.

/** Return a table class id -> RGBA as one little-endian number; a pixel nobody labelled is transparent. */
export function tableOf(colours, ignore) {
  const table = new Uint32Array(ignore + 1);
  colours.forEach((colour, id) => {
    const value = Number.parseInt(colour.slice(1), 16);
    table[id] = (0xff000000 | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
  });
  return table;
}

/** Write the colours of a box into `pixels`, a Uint32Array of box.width * box.height. */
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

/** Return a box larger to the left and above, where an edge of this thickness may begin or end, within the image. */
export function withEdges({ x, y, width, height }, thick = 1) {
  const left = Math.max(0, x - thick);
  const top = Math.max(0, y - thick);
  return { x: left, y: top, width: width + x - left, height: height + y - top };
}
