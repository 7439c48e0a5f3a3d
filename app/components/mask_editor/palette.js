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

/** Write the colours of a box only where a pixel's class ends: at the right or below it begins another. */
export function edgePixels(pixels, labels, width, height, box, table) {
  const last = labels.length - 1;
  for (let row = 0; row < box.height; row += 1) {
    const y = box.y + row;
    for (let column = 0; column < box.width; column += 1) {
      const place = y * width + box.x + column;
      const label = labels[place];
      const right = box.x + column + 1 < width ? labels[place + 1] : label;
      const below = y + 1 < height ? labels[Math.min(last, place + width)] : label;
      const other = right === label ? below : right;
      pixels[row * box.width + column] = other === label ? 0 : table[label] || table[other];
    }
  }
}

/** Return a box one pixel larger to the left and above, where an edge may begin or end, within the image. */
export function withEdges({ x, y, width, height }) {
  const left = Math.max(0, x - 1);
  const top = Math.max(0, y - 1);
  return { x: left, y: top, width: width + x - left, height: height + y - top };
}

/** Return black or white, whichever reads better on a colour. */
export function inkOn(colour) {
  const value = Number.parseInt(colour.slice(1), 16);
  const light = 0.299 * (value >> 16) + 0.587 * ((value >> 8) & 0xff) + 0.114 * (value & 0xff);
  return light > 140 ? "#000" : "#fff";
}
