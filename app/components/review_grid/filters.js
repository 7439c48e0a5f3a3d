// Filter of findings: one value, kept in the page's address, sent to the server as it is.

/** @import { ClassId, Classes, Filter, Kind } from "../shared/types.d.ts" */

/** @type {Kind[]} */
export const KINDS = ["suspicious", "agreeing", "unlabelled"];
const STATUSES = ["open", "accept", "keep", "relabel", "ambiguous", "exclude", "bulk", "painted", "second_opinion"];
/** @type {Record<string, string>} */
export const ORDERS = { suspicion: "most suspicious first", confidence: "most confident first", pair: "by class pair", similarity: "similar images together" };
const WORDS = ["todo", "decided", "any"];

/** @type {Readonly<Filter>} */
export const DEFAULT = Object.freeze({
  show: "suspicious", status: "todo", given: null, pseudo: null, min: 0, max: 1, split: "", fold: null, by: "", path: "", min_area: 0, sample: null, similar: "", order: "suspicion",
});

/**
 * Return the filter of a query string; invalid parts have their default.
 *
 * @param {string | URLSearchParams} query
 * @returns {Filter}
 */
export function parse(query) {
  const params = new URLSearchParams(query);
  const min = bounded(params.get("min"), 0);
  const max = bounded(params.get("max"), 1);
  const [status, similar, order] = ["status", "similar", "order"].map((name) => params.get(name) ?? "");
  return {
    show: params.get("show") === "any" ? KINDS.join(",") : (listOf(params.get("show"), KINDS) ?? DEFAULT.show),
    status: WORDS.includes(status) ? status : (listOf(status, STATUSES) ?? DEFAULT.status),
    given: whole(params.get("given"), -1),
    pseudo: whole(params.get("pseudo"), 0),
    min: min < max ? min : 0,
    max: min < max ? max : 1,
    split: params.get("split") ?? "",
    fold: whole(params.get("fold"), 0),
    by: params.get("by") ?? "",
    path: params.get("path") ?? "",
    min_area: whole(params.get("min_area"), 0) ?? 0,
    sample: whole(params.get("sample"), 1),
    similar: /^\d{1,10}(-\d{1,10})*$/.test(similar) ? similar : "",
    order: order in ORDERS ? order : DEFAULT.order,
  };
}

/** Return only what differs from the default, as strings. @param {Partial<Filter>} filter @returns {Record<string, string>} */
export function changedParts(filter) {
  return Object.fromEntries(
    Object.entries(filter).filter(([name, value]) => name in DEFAULT && value !== DEFAULT[/** @type {keyof Filter} */ (name)]).map(([name, value]) => [name, String(value)]),
  );
}

/** Return a query with this filter in it; other parameters stay. @param {Filter} filter @param {string} query */
export function serialise(filter, query) {
  const params = new URLSearchParams(query);
  for (const name of Object.keys(DEFAULT)) params.delete(name);
  for (const [name, value] of Object.entries(changedParts(filter))) params.set(name, value);
  return params.toString();
}

/** Return the filter as the server's parameters. @param {Filter} filter @param {number} round @param {Record<string, string>} extra */
export function toParams(filter, round, extra = {}) {
  return new URLSearchParams({ round: String(round), show: filter.show, status: filter.status, order: filter.order, ...changedParts(filter), ...extra });
}

/** Return the filter of all findings of a path, whatever their kind and status. @param {string} path @returns {Filter} */
export const filterOfPath = (path) => ({ ...DEFAULT, show: KINDS.join(","), status: "any", path });

/** Return the number of settings that narrow the queue (its order and kind do not). @param {Filter} filter */
export function countNarrowing(filter) {
  return Object.keys(changedParts(filter)).filter((name) => !["order", "show"].includes(name)).length;
}

/** Return the filter in words, e.g. "suspicious, cat → dog, train". @param {Filter} filter @param {Classes} classes */
export function describe(filter, classes) {
  const words = [filter.show.split(",").join(" or ")];
  if (!["todo", "any"].includes(filter.status)) words.push(filter.status.replaceAll("_", " "));
  /** @param {ClassId} id */
  const name = (id) => (id === -1 ? "no label" : (classes[id] ?? String(id)));
  if (filter.given !== null && filter.pseudo !== null) words.push(`${name(filter.given)} → ${name(filter.pseudo)}`);
  else if (filter.given !== null) words.push(`given ${name(filter.given)}`);
  else if (filter.pseudo !== null) words.push(`suggested ${name(filter.pseudo)}`);
  if (filter.max < 1) words.push(`confidence below ${filter.max.toFixed(2)}`);
  if (filter.split) words.push(filter.split);
  if (filter.fold !== null) words.push(`fold ${filter.fold + 1}`);
  if (filter.by) words.push(`by ${filter.by}`);
  if (filter.path) words.push(`path contains “${filter.path}”`);
  if (filter.min_area > 0) words.push(`from ${filter.min_area} px`);
  if (filter.sample !== null) words.push("one image");
  if (filter.similar) words.push("look-alikes of one card");
  return words.join(", ");
}

/** @param {string | null} text @param {number} otherwise */
function bounded(text, otherwise) {
  const value = Number.parseFloat(text ?? "");
  return Number.isFinite(value) && value >= 0 && value <= 1 ? value : otherwise;
}

/** @param {string | null} text @param {number} least */
function whole(text, least) {
  const value = Number(text);
  return text !== null && text !== "" && Number.isInteger(value) && value >= least ? value : null;
}

/** @param {string | null} text @param {string[]} allowed */
function listOf(text, allowed) {
  const kept = (text ?? "").split(",").filter((word) => allowed.includes(word));
  return kept.length ? kept.join(",") : null;
}
