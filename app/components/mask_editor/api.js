// The editor's HTTP interface, and masks as bytes: whole masks arrive as the server's grey PNG, changed tiles leave as deflated labels.

import { createApi, createRequest, keepaliveOptions } from "../shared/api.js";
import { TILE } from "./grid.js";
/** @import { Labels, MaskInfo, MaskSave, MaskSaved, Tiles } from "../shared/types.d.ts" */
/** @import { Fetcher } from "../shared/api.js" */

const TIMEOUT_MS = 30_000;
const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CHUNK = 12; // bytes around a chunk's data: length, kind, checksum

/** @typedef {ReturnType<typeof createMaskApi>} MaskApi */
/** @typedef {{ items: { sample: number, name: string, hash: string, regions: number | null, undecided: number }[], next: number | null }} ImagePage */
/** @typedef {{ dataset: number, round: number | null, name: string, after: number | string | null }} ImagesQuery */
/** @typedef {Omit<MaskSave, "tiles" | "revision"> & { round: number | null }} MaskSend */

/** Return the editor's requests by name; those of the review are among them. @param {string} base @param {Fetcher} [fetcher] */
export function createMaskApi(base, fetcher) {
  const call = createRequest(base, fetcher, TIMEOUT_MS);

  /** @param {string} path @param {Pick<MaskInfo, "dtype" | "width" | "height">} about @returns {Promise<Labels>} */
  async function map(path, about) {
    const answer = await call(path);
    return readMask(new Uint8Array(await answer.arrayBuffer()), about);
  }

  return {
    ...createApi(base),
    /** @param {number} sample @param {number | null} round @returns {Promise<MaskInfo>} */
    mask: async (sample, round) => (await call(`/masks/${sample}${round ? `?round=${round}` : ""}`)).json(),
    /** Answer a page of images by name; `round` may be null: none has looked at them yet. @param {ImagesQuery} query @returns {Promise<ImagePage>} */
    images: async ({ dataset, round, name, after }) => (await call(`/masks?${new URLSearchParams({ dataset: String(dataset), round: String(round ?? ""), name, after: String(after ?? "") })}`)).json(),
    // the dtype is in the address because browsers keep the answer, and it changes when the classes outgrow a byte
    /** @param {MaskInfo} about @param {string} version @returns {Promise<Labels>} */
    labels: (about, version) => map(`/masks/${about.sample}/labels?version=${version}&dtype=${about.dtype}`, about),
    /** @param {MaskInfo} about @param {number} round @returns {Promise<Labels>} */
    predicted: (about, round) => map(`/masks/${about.sample}/predicted?round=${round}`, about),
    /**
     * Send the tiles that changed since a version, as the verdict on a finding, or made in a round, or by itself; `keepalive` outlives the page.
     *
     * @param {number} sample
     * @param {MaskSend} save
     * @returns {Promise<MaskSaved>}
     */
    save: async (sample, { client, seq, base: version, finding, round, body, keepalive }) => {
      const headers = {
        "Content-Type": "application/octet-stream", "X-Outfold": "1", "X-Outfold-Tiles": String(TILE), "X-Outfold-Base": version, "X-Outfold-Finding": String(finding ?? ""),
        "X-Outfold-Round": String(round ?? ""), "X-Outfold-Client": client, "X-Outfold-Seq": String(seq),
      };
      return (await call(`/masks/${sample}`, { method: "POST", headers, body, ...keepaliveOptions(keepalive) })).json();
    },
  };
}

/**
 * Return the bytes of tiles, Map tile -> labels: a zlib stream of, for each, its number (4 bytes, little-endian) and its
 * labels, little-endian, row by row.
 *
 * @param {Tiles} tiles
 */
export async function packTiles(tiles) {
  const parts = [...tiles].flatMap(([tile, labels]) => [Uint32Array.of(tile), labels]);
  const answer = new Response(new Blob(parts).stream().pipeThrough(new CompressionStream("deflate")));
  return new Uint8Array(await answer.arrayBuffer());
}

/**
 * Return the labels in a PNG of `width` x `height` greys of 8 or 16 bits, by `dtype`; throws on any other PNG.
 *
 * @param {Uint8Array<ArrayBuffer>} png
 * @param {Pick<MaskInfo, "dtype" | "width" | "height">} about
 * @returns {Promise<Labels>}
 */
export async function readMask(png, { dtype, width, height }) {
  const size = dtype === "uint16" ? 2 : 1;
  const { facts, data } = chunksOf(png);
  const found = new DataView(facts.buffer, facts.byteOffset, facts.byteLength);
  const [depth, kind, , , interlaced] = facts.subarray(8);
  if (found.getUint32(0) !== width || found.getUint32(4) !== height || depth !== 8 * size || kind !== 0 || interlaced) throw new Error("This is not a mask of the image.");
  const rows = new Rows(width * size, height, size);
  const reader = new Blob(data).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) rows.take(step.value);
  rows.end();
  return size === 1 ? rows.bytes : swapBytes(rows.bytes);
}

/** Return the header's data and the pieces of the compressed image. @param {Uint8Array<ArrayBuffer>} png */
function chunksOf(png) {
  if (SIGNATURE.some((byte, place) => png[place] !== byte)) throw new Error("The mask is damaged.");
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  /** @type {{ facts: Uint8Array | null, data: Uint8Array<ArrayBuffer>[] }} */
  const found = { facts: null, data: [] };
  for (let at = SIGNATURE.length; at + CHUNK <= png.length;) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...png.subarray(at + 4, at + 8));
    const data = png.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR") found.facts = data;
    if (kind === "IDAT") found.data.push(data);
    at += CHUNK + length;
  }
  if (!found.facts) throw new Error("The mask is damaged.");
  return { facts: found.facts, data: found.data };
}

/** Rows of a PNG as they come out of its zlib stream, a piece at a time: each begins with the number of its filter. */
class Rows {
  /** `size` is the bytes of a pixel. @param {number} width @param {number} height @param {number} size */
  constructor(width, height, size) {
    this.width = width;
    this.height = height;
    this.size = size;
    this.bytes = new Uint8Array(width * height);
    this.row = 0;
    this.column = -1;
    this.filter = 0;
  }

  /** @param {Uint8Array} piece */
  take(piece) {
    const { width, bytes } = this;
    for (let at = 0; at < piece.length;) {
      if (this.row >= this.height) throw new Error("The mask is damaged.");
      if (this.column < 0) {
        this.filter = piece[at];
        at += 1;
        this.column = 0;
      }
      const count = Math.min(width - this.column, piece.length - at);
      bytes.set(piece.subarray(at, at + count), this.row * width + this.column);
      at += count;
      this.column += count;
      if (this.column < width) continue;
      this.#unfilter();
      this.row += 1;
      this.column = -1;
    }
  }

  end() {
    if (this.row !== this.height) throw new Error("The mask is damaged.");
  }

  /** Undo the filter of a whole row; above the first row and left of the first pixel lie zeros. */
  #unfilter() {
    const { bytes, width, size, filter } = this;
    const start = this.row * width;
    if (filter === 0 || (filter === 2 && this.row === 0)) return;
    if (filter === 2) {
      for (let place = start; place < start + width; place += 1) bytes[place] += bytes[place - width];
      return;
    }
    for (let column = 0; column < width; column += 1) {
      const place = start + column;
      const left = column < size ? 0 : bytes[place - size];
      const above = this.row === 0 ? 0 : bytes[place - width];
      if (filter === 1) bytes[place] += left;
      else if (filter === 3) bytes[place] += (left + above) >> 1;
      else bytes[place] += paethPredictor(left, above, this.row === 0 || column < size ? 0 : bytes[place - width - size]);
    }
  }
}

/**
 * Return the neighbour that is nearest to left + above - corner (Paeth's predictor).
 *
 * @param {number} left
 * @param {number} above
 * @param {number} corner
 */
function paethPredictor(left, above, corner) {
  const [toLeft, toAbove, toCorner] = [Math.abs(above - corner), Math.abs(left - corner), Math.abs(left + above - 2 * corner)];
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/** Return labels of two bytes, the higher one first in PNG, as numbers. @param {Uint8Array<ArrayBuffer>} bytes */
function swapBytes(bytes) {
  const words = new Uint16Array(bytes.buffer);
  for (let place = 0; place < words.length; place += 1) words[place] = (words[place] << 8) | (words[place] >> 8);
  return words;
}
