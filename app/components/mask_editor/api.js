// The editor's HTTP interface: what the review has, and masks as bytes.

import { createApi, createRequest, outliving } from "../review_grid/api.js";
import { inflate } from "./codec.js";

const TIMEOUT_MS = 30_000;

export function createMaskApi(base, fetcher) {
  const call = createRequest(base, fetcher, TIMEOUT_MS);

  async function map(path, { dtype, width, height }) {
    const answer = await call(path);
    return inflate(await answer.arrayBuffer(), dtype, width * height);
  }

  return {
    ...createApi(base),
    mask: async (sample, round) => (await call(`/masks/${sample}${round ? `?round=${round}` : ""}`)).json(),
    /** Answer a page of images by name; `round` may be null: none has looked at them yet. */
    images: async ({ dataset, round, name, after }) => (await call(`/masks?${new URLSearchParams({ dataset, round: round ?? "", name, after: after ?? "" })}`)).json(),
    // the dtype is in the address because browsers keep the answer, and it changes when the classes outgrow a byte
    labels: (about, version) => map(`/masks/${about.sample}/labels?version=${version}&dtype=${about.dtype}`, about),
    predicted: (about, round) => map(`/masks/${about.sample}/predicted?round=${round}`, about),
    /** Send a whole mask, as the verdict on a finding, or made in a round, or by itself; `keepalive` outlives the page. */
    save: async (sample, { client, seq, base: version, finding, round, body, keepalive }) => {
      const headers = {
        "Content-Type": "application/octet-stream", "X-Outfold": "1", "X-Outfold-Base": version, "X-Outfold-Finding": String(finding ?? ""),
        "X-Outfold-Round": String(round ?? ""), "X-Outfold-Client": client, "X-Outfold-Seq": String(seq),
      };
      return (await call(`/masks/${sample}`, { method: "POST", headers, body, ...outliving(keepalive) })).json();
    },
  };
}
