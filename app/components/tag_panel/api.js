// The panel's HTTP interface beside the review's.

import { createApi, createCalls, outliving } from "../review_grid/api.js";

export function createTagApi(base, fetcher) {
  const { call, post } = createCalls(base, fetcher);
  return {
    ...createApi(base, fetcher),
    panel: (dataset) => call(`/tags/${dataset}`),
    images: async (dataset, show, after, limit) => (await call(`/tags/${dataset}/images?show=${show}&after=${after}&limit=${limit}`)).items,
    image: (sample) => call(`/tags/image/${sample}`),
    send: (client, acts, { keepalive = false } = {}) => post("/tags", { client, acts }, outliving(keepalive)),
  };
}
