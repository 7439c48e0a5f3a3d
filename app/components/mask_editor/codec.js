// Masks on the way: raw labels, little-endian, row by row, as a zlib stream.

async function through(bytes, stream) {
  const answer = new Response(new Blob([bytes]).stream().pipeThrough(stream));
  return new Uint8Array(await answer.arrayBuffer());
}

/** Return the zlib stream of a map's bytes. */
export function deflate(labels) {
  return through(labels, new CompressionStream("deflate"));
}

/** Return the map in a zlib stream; throws when it has not `count` labels. */
export async function inflate(bytes, dtype, count) {
  const raw = await through(bytes, new DecompressionStream("deflate"));
  const size = dtype === "uint16" ? 2 : 1;
  if (raw.length !== count * size) throw new Error(`The mask has ${raw.length} bytes, ${count * size} were expected.`);
  return size === 2 ? new Uint16Array(raw.buffer) : raw;
}
