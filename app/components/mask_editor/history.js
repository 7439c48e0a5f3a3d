// Acts to undo and redo, and unsaved changes; both keep the earlier labels of tiles.

import { sameLabels, TILE, unionBox } from "./grid.js";
/** @import { ActNote, Box, Labels, Tiles } from "../shared/types.d.ts" */
/** @import { Grid } from "./grid.js" */

const MOST_BYTES = 96 << 20; // the oldest acts are forgotten beyond it

/** Unsaved changes: the labels that the server's version of the mask has in each tile painted since. */
export class Changes {
  /** @param {Grid} grid */
  constructor(grid) {
    this.grid = grid;
    /** @type {Tiles} */
    this.before = new Map(); // tile -> its labels in the server's version
  }

  /** Remember a tile before it is painted on. @param {number} tile */
  keep(tile) {
    if (!this.before.has(tile)) this.before.set(tile, this.grid.read(tile));
  }

  /** Return the tiles that differ, as they are now. */
  now() {
    /** @type {Tiles} */
    const found = new Map();
    for (const [tile, before] of this.before) {
      const now = this.grid.read(tile);
      if (!sameLabels(before, now)) found.set(tile, now);
    }
    return found;
  }

  /** Return all that is needed to go on from here after a crash: tile -> {before, now}; also of tiles that were painted back. */
  record() {
    return new Map([...this.before].map(([tile, before]) => [tile, { before, now: this.grid.read(tile) }]));
  }

  /** Exchange classes in the server's version as in the mask: `swap(labels)` does so in place. @param {(labels: Labels) => void} swap */
  exchange(swap) {
    for (const labels of this.before.values()) swap(labels);
  }

  /** The server has these tiles now, in a version made from the one it had before. @param {Tiles} tiles */
  saved(tiles) {
    for (const [tile, labels] of tiles) if (this.before.has(tile)) this.before.set(tile, labels);
    for (const [tile, before] of this.before) if (sameLabels(before, this.grid.read(tile))) this.before.delete(tile);
  }

  /**
   * Start from another version of the server: the mask differs from it in these tiles only, `before` holds their labels there.
   *
   * @param {Tiles} before
   */
  rebase(before) {
    this.before = before;
  }
}

/** @typedef {{ tiles: Tiles, note: ActNote | null }} PaintedAct */

/** Acts to undo and redo, by the labels that tiles had before an act first changed them. */
export class History {
  /**
   * `changes` keeps every tile before it is written; an act's `note` travels with it through undo and redo.
   *
   * @param {Grid} grid
   * @param {Changes} changes
   */
  constructor(grid, changes, mostBytes = MOST_BYTES) {
    this.grid = grid;
    this.changes = changes;
    this.mostBytes = mostBytes;
    /** @type {PaintedAct[]} */
    this.undos = [];
    /** @type {PaintedAct[]} */
    this.redos = [];
    this.bytes = 0;
    /** @type {PaintedAct | null} */
    this.open = null;
  }

  /** @param {ActNote | null} [note] */
  begin(note = null) {
    this.open = { tiles: new Map(), note };
  }

  /**
   * Keep the tiles below a span that this act has not kept yet; call it before the span is painted.
   *
   * @param {number} y
   * @param {number} from
   * @param {number} to
   */
  touch(y, from, to) {
    const row = Math.floor(y / TILE) * this.grid.columns;
    const last = row + Math.floor((to - 1) / TILE);
    for (let tile = row + Math.floor(from / TILE); tile <= last; tile += 1) this.touchTile(tile);
  }

  /** @param {number} tile */
  touchTile(tile) {
    this.changes.keep(tile); // each time: a save during the act may have dropped it
    const { tiles } = this.#opened();
    if (!tiles.has(tile)) tiles.set(tile, this.grid.read(tile));
  }

  /** Close the act; returns whether it changed a pixel or has a note. */
  end() {
    const { tiles, note } = this.#opened();
    this.open = null;
    for (const [tile, before] of tiles) if (sameLabels(before, this.grid.read(tile))) tiles.delete(tile);
    if (!tiles.size && !note) return false;
    this.redos = [];
    this.undos.push({ tiles, note });
    this.#count();
    return true;
  }

  /** Close the act as an undone one: redo repeats it, and earlier redos stay available. */
  endTakenBack() {
    const { redos } = this;
    const act = this.end() && this.undos.pop();
    if (act) this.redos = [...redos, act];
  }

  /** Cancel the open act and restore its tiles; returns the box of the tiles written, null when there are none. */
  cancel() {
    const { tiles } = this.#opened();
    this.open = null;
    /** @type {Box | null} */
    let box = null;
    for (const [tile, before] of tiles) {
      this.changes.keep(tile);
      this.grid.write(tile, before);
      box = unionBox(box, this.grid.box(tile));
    }
    return box;
  }

  /** Take the last act back; returns {box, note}, null when there is none. `box` is null when no pixel changed. */
  undo() {
    return this.#swap(this.undos, this.redos);
  }

  redo() {
    return this.#swap(this.redos, this.undos);
  }

  /** Write another person's labels of a tile, into the states that undo and redo restore as well. @param {number} tile @param {Labels} labels */
  adopt(tile, labels) {
    const now = this.grid.read(tile);
    const acts = [...this.undos, ...this.redos, ...(this.open ? [this.open] : [])].filter((act) => act.tiles.has(tile));
    for (let index = 0; index < labels.length; index += 1) {
      if (labels[index] !== now[index]) for (const { tiles } of acts) /** @type {Labels} */ (tiles.get(tile))[index] = labels[index];
    }
    this.grid.write(tile, labels);
  }

  /** Exchange classes in all that undo and redo restore: `swap(labels)` does so in place. @param {(labels: Labels) => void} swap */
  exchange(swap) {
    for (const { tiles } of [...this.undos, ...this.redos, ...(this.open ? [this.open] : [])]) for (const labels of tiles.values()) swap(labels);
  }

  /** @param {PaintedAct[]} source @param {PaintedAct[]} target */
  #swap(source, target) {
    const act = source.pop();
    if (!act) return null;
    /** @type {Tiles} */
    const now = new Map();
    /** @type {Box | null} */
    let box = null;
    for (const [tile, before] of act.tiles) {
      now.set(tile, this.grid.read(tile));
      this.changes.keep(tile);
      this.grid.write(tile, before);
      box = unionBox(box, this.grid.box(tile));
    }
    target.push({ tiles: now, note: act.note });
    return { box, note: act.note };
  }

  /** Return the act that has begun. */
  #opened() {
    return /** @type {PaintedAct} */ (this.open);
  }

  #count() {
    /** @param {PaintedAct} act */
    const size = ({ tiles }) => [...tiles.values()].reduce((sum, tile) => sum + tile.byteLength, 0);
    let bytes = this.undos.reduce((sum, act) => sum + size(act), 0);
    while (bytes > this.mostBytes && this.undos.length > 1) bytes -= size(/** @type {PaintedAct} */ (this.undos.shift()));
    this.bytes = bytes;
  }
}
