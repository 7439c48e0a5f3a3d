// Undo and redo: what 64 x 64 tiles held before an act first touched them. Only what an act changed is kept.

export const TILE = 64;
const MOST_BYTES = 96 << 20; // the oldest acts are forgotten beyond it

export class History {
  /** `labels` is the map that is painted on, row by row; `note` of an act travels with it through undo and redo. */
  constructor(labels, width, height, mostBytes = MOST_BYTES) {
    Object.assign(this, { labels, width, height, mostBytes });
    this.columns = Math.ceil(width / TILE);
    this.undos = [];
    this.redos = [];
    this.bytes = 0;
    this.open = null;
  }

  begin(note = null) {
    this.open = { tiles: new Map(), note };
  }

  /** Keep what lies below a span, if nobody has since the act began; to be called before the span is painted. */
  touch(y, from, to) {
    const row = Math.floor(y / TILE) * this.columns;
    const last = row + Math.floor((to - 1) / TILE);
    for (let tile = row + Math.floor(from / TILE); tile <= last; tile += 1) {
      if (!this.open.tiles.has(tile)) this.open.tiles.set(tile, this.#read(tile));
    }
  }

  /** Close the act; returns whether it changed a pixel or has a note. */
  end() {
    const { tiles, note } = this.open;
    this.open = null;
    for (const [tile, before] of tiles) if (same(before, this.#read(tile))) tiles.delete(tile);
    if (!tiles.size && !note) return false;
    this.redos = [];
    this.undos.push({ tiles, note });
    this.#count();
    return true;
  }

  /** Take the last act back; returns {box, note}, null when there is none. `box` is null when no pixel changed. */
  undo() {
    return this.#swap(this.undos, this.redos);
  }

  redo() {
    return this.#swap(this.redos, this.undos);
  }

  /** Write what somebody else painted, {place: label}, also into what undo and redo would bring back. */
  adopt(changes) {
    for (const [place, label] of changes) {
      this.labels[place] = label;
      const [x, y] = [place % this.width, Math.floor(place / this.width)];
      const tile = Math.floor(y / TILE) * this.columns + Math.floor(x / TILE);
      const box = this.#box(tile);
      const index = (y - box.y) * box.width + x - box.x;
      for (const act of [...this.undos, ...this.redos, this.open]) if (act?.tiles.has(tile)) act.tiles.get(tile)[index] = label;
    }
  }

  #swap(source, target) {
    const act = source.pop();
    if (!act) return null;
    const now = new Map();
    let box = null;
    for (const [tile, before] of act.tiles) {
      now.set(tile, this.#read(tile));
      this.#write(tile, before);
      box = union(box, this.#box(tile));
    }
    target.push({ tiles: now, note: act.note });
    return { box, note: act.note };
  }

  #box(tile) {
    const x = (tile % this.columns) * TILE;
    const y = Math.floor(tile / this.columns) * TILE;
    return { x, y, width: Math.min(TILE, this.width - x), height: Math.min(TILE, this.height - y) };
  }

  #read(tile) {
    const { x, y, width, height } = this.#box(tile);
    const kept = new this.labels.constructor(width * height);
    for (let row = 0; row < height; row += 1) {
      const start = (y + row) * this.width + x;
      kept.set(this.labels.subarray(start, start + width), row * width);
    }
    return kept;
  }

  #write(tile, kept) {
    const { x, y, width, height } = this.#box(tile);
    for (let row = 0; row < height; row += 1) this.labels.set(kept.subarray(row * width, (row + 1) * width), (y + row) * this.width + x);
  }

  #count() {
    const size = ({ tiles }) => [...tiles.values()].reduce((sum, tile) => sum + tile.byteLength, 0);
    let bytes = this.undos.reduce((sum, act) => sum + size(act), 0);
    while (bytes > this.mostBytes && this.undos.length > 1) bytes -= size(this.undos.shift());
    this.bytes = bytes;
  }
}

function same(one, other) {
  for (let index = 0; index < one.length; index += 1) if (one[index] !== other[index]) return false;
  return true;
}

/** Return the smallest box around two; either may be null. */
export function union(one, other) {
  if (!one || !other) return one ?? other;
  const x = Math.min(one.x, other.x);
  const y = Math.min(one.y, other.y);
  return {
    x, y,
    width: Math.max(one.x + one.width, other.x + other.width) - x,
    height: Math.max(one.y + one.height, other.y + other.height) - y,
  };
}
