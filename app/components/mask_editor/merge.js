// Merge of two versions of one mask that began with the same version.

import { sameLabels } from "./grid.js";
/** @import { Labels, Tiles } from "../shared/types.d.ts" */
/** @import { Painting } from "./painting.js" */

/**
 * Compare the changes of the mask here since its version with another version, a map of the same shape.
 *
 * Returns {tiles, before, mine, theirs, both}: the other version with the changes of here on top, as far as it differs from the mask here
 * (Map tile -> labels); the other version's labels of the tiles in which that differs from it; the number of pixels that each changed and
 * that both changed differently.
 *
 * @param {Pick<Painting, "grid" | "changes">} painting
 * @param {Labels} labels
 */
export function merge({ grid, changes }, labels) {
  /** @type {{ tiles: Tiles, before: Tiles, mine: number, theirs: number, both: number }} */
  const found = { tiles: new Map(), before: new Map(), mine: 0, theirs: 0, both: 0 };
  for (const tile of new Set([...changes.before.keys(), ...grid.differing(labels)])) {
    const [now, theirs] = [grid.read(tile), grid.read(tile, labels)];
    const put = mergeTile(changes.before.get(tile) ?? now, now, theirs);
    if (!sameLabels(put.labels, now)) found.tiles.set(tile, put.labels);
    if (!sameLabels(put.labels, theirs)) found.before.set(tile, theirs);
    found.mine += put.mine;
    found.theirs += put.theirs;
    found.both += put.both;
  }
  return found;
}

/** Return {labels, mine, theirs, both} of one tile. @param {Labels} base @param {Labels} mine @param {Labels} theirs */
export function mergeTile(base, mine, theirs) {
  const labels = theirs.slice();
  const counts = { mine: 0, theirs: 0, both: 0 };
  for (let place = 0; place < base.length; place += 1) {
    const changed = mine[place] !== base[place];
    const moved = theirs[place] !== base[place];
    if (changed) {
      labels[place] = mine[place];
      counts.mine += 1;
    }
    if (moved) counts.theirs += 1;
    if (changed && moved && mine[place] !== theirs[place]) counts.both += 1;
  }
  return { labels, ...counts };
}
