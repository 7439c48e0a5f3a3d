// Which findings are shown: one value, kept in the page's URL, sent to the server as it is.

export const KINDS = ["suspicious", "agreeing", "unlabelled"];
export const STATUSES = ["open", "accept", "keep", "relabel", "ambiguous", "exclude", "bulk", "painted", "second_opinion"];
export const ORDERS = { suspicion: "most suspicious first", confidence: "most confident first", pair: "by class pair", similarity: "like beside like" };
const WORDS = ["todo", "decided", "any"];

export const DEFAULT = Object.freeze({
  show: "suspicious", status: "todo", given: null, pseudo: null, min: 0, max: 1, split: "", fold: null, by: "", path: "", min_area: 0, sample: null, similar: "", order: "suspicion",
});

/** Return the filter a query string holds; what makes no sense is left at its default. */
export function parse(query) {
  const params = new URLSearchParams(query);
  const min = bounded(params.get("min"), 0);
  const max = bounded(params.get("max"), 1);
  return {
    show: params.get("show") === "any" ? KINDS.join(",") : (listOf(params.get("show"), KINDS) ?? DEFAULT.show),
    status: WORDS.includes(params.get("status")) ? params.get("status") : (listOf(params.get("status"), STATUSES) ?? DEFAULT.status),
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
    similar: /^\d{1,10}(-\d{1,10})*$/.test(params.get("similar") ?? "") ? params.get("similar") : "",
    order: params.get("order") in ORDERS ? params.get("order") : DEFAULT.order,
  };
}

/** Return only what differs from the default, as strings. */
export function changed(filter) {
  return Object.fromEntries(
    Object.entries(filter).filter(([name, value]) => name in DEFAULT && value !== DEFAULT[name]).map(([name, value]) => [name, String(value)]),
  );
}

/** Return the URL's query with this filter in it; parameters that are not ours stay. */
export function serialise(filter, query) {
  const params = new URLSearchParams(query);
  for (const name of Object.keys(DEFAULT)) params.delete(name);
  for (const [name, value] of Object.entries(changed(filter))) params.set(name, value);
  return params.toString();
}

/** Return the filter as the server's parameters. */
export function toParams(filter, round, extra = {}) {
  return new URLSearchParams({ round: String(round), show: filter.show, status: filter.status, order: filter.order, ...changed(filter), ...extra });
}

/** Return how many settings narrow the queue (its order and kind do not). */
export function narrowed(filter) {
  return Object.keys(changed(filter)).filter((name) => !["order", "show"].includes(name)).length;
}

/** Return the filter in words, e.g. "suspicious, cat → dog, train". */
export function describe(filter, classes) {
  const words = [filter.show.split(",").join(" or ")];
  if (!["todo", "any"].includes(filter.status)) words.push(filter.status.replaceAll("_", " "));
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

function bounded(text, otherwise) {
  const value = Number.parseFloat(text);
  return Number.isFinite(value) && value >= 0 && value <= 1 ? value : otherwise;
}

function whole(text, least) {
  const value = Number(text);
  return text !== null && text !== "" && Number.isInteger(value) && value >= least ? value : null;
}

function listOf(text, allowed) {
  const kept = (text ?? "").split(",").filter((word) => allowed.includes(word));
  return kept.length ? kept.join(",") : null;
}
