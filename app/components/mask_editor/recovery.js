// What to do with labels that a reload or a crash left unsaved, when the server's mask may have changed since.

import { equal, merge } from "./merge.js";

/**
 * Return {labels, base, state, sent?}: what to go on with, the version it is made from, and the state: "saved" when the server
 * has it all, "unsaved" when it has to be saved, "conflict" when somebody else painted other classes on the same pixels.
 *
 * `theirs` are the server's labels under `version`; `fetchLabels(version)` gets an older version's; `send` repeats a request
 * that got no answer: the server knows it again by its number and answers as it did, or should have done, then.
 */
export async function recover(record, { version, theirs, fetchLabels, send }) {
  const grown = record.labels.constructor !== theirs.constructor; // the classes have outgrown a byte since
  const labels = grown ? widened(record.labels) : record.labels;
  const sent = grown ? null : record.sent; // the server takes it no more
  if (labels.length !== theirs.length || equal(labels, theirs)) return { labels: theirs, base: version, state: "saved" };
  let { base } = record;
  let present = version;
  if (sent) {
    try {
      base = (await send({ ...sent, keepalive: false })).version;
      if (present === sent.base) present = base; // it had not arrived; now it has
    } catch (error) {
      if (error.status !== 409) return { labels, base, sent, state: "unsaved" };
    }
  }
  if (base === present) return { labels, base, state: "unsaved" };
  const merged = merge(await fetchLabels(base), labels, theirs);
  return merged.both ? { labels, base, state: "conflict" } : { labels: merged.labels, base: version, state: "unsaved" };
}

function widened(labels) {
  return Uint16Array.from(labels, (label) => (label === 255 ? 65_535 : label)); // IGNORE stays IGNORE
}
