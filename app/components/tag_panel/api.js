// The panel's HTTP interface beside the review's.

import { ApiError, createApi } from "../review_grid/api.js";

const TIMEOUT_MS = 20_000;

export function createTagApi(base, fetcher = (...args) => fetch(...args)) {
  async function call(path, options = {}) {
    let answer;
    try {
      answer = await fetcher(base + path, { credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
    } catch {
      throw new ApiError(0, { error: "The server cannot be reached.", cure: "It is tried again by itself." });
    }
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new ApiError(answer.status, body);
    return body;
  }
  const headers = { "Content-Type": "application/json", "X-Outfold": "1" };
  return {
    ...createApi(base, fetcher),
    panel: (dataset) => call(`/tags/${dataset}`),
    images: async (dataset, show, after, limit) => (await call(`/tags/${dataset}/images?show=${show}&after=${after}&limit=${limit}`)).items,
    image: (sample) => call(`/tags/image/${sample}`),
    send: (client, acts, { keepalive = false } = {}) =>
      call("/tags", { method: "POST", headers, body: JSON.stringify({ client, acts }), ...(keepalive ? { keepalive, signal: null } : {}) }),
  };
}
