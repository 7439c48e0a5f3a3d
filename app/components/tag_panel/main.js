// Mounting of the tag panel, its keys and its HTTP interface.

import { createApi, createCalls, keepaliveOptions } from "../shared/api.js";
import { Keys } from "../shared/keys.js";
import { mountComponent, findLiving, isAlive, leaveOutbox, openOutbox } from "../shared/mount.js";
import { Panel } from "./panel.js";
/** @import { Act, ActResult, Entry, KeyTable, Mounting, TagImage, TagInfo } from "../shared/types.d.ts" */
/** @import { Fetcher } from "../shared/api.js" */

/** @type {KeyTable} Actions of the panel. Digits stand for classes, in the order of the list. */
const ACTIONS = [
  ["save", "save the marked classes, next image", ["Enter"]],
  ["skip", "next image, without tagging this one", ["s", "ArrowRight", "PageDown"]],
  ["back", "previous image", ["ArrowLeft", "PageUp"]],
  ["undo", "undo the last saved tags", ["u", "Ctrl+z"]],
  ["search", "mark a class by typing, or add it", ["/"]],
  ["clear", "unmark all classes", ["c"]],
  ["suggest", "mark the suggested classes", ["a"]],
  ["help", "all keys", ["?"]],
];

const STORE = "outfold.tags.keys";

/** @typedef {{ api: string, dataset: number, datasets: [id: number, name: string][], sample: number | null }} TagData */
/** @typedef {ReturnType<typeof createTagApi>} TagApi */

/** Mount, or bring up to date, the panel in `parentElement`; returns the clean-up for its unmounting. @param {Mounting<TagData>} component */
export function mount({ parentElement, data }) {
  return mountComponent(parentElement, data.dataset, async (/** @type {Entry<Panel>} */ entry) => {
    const api = createTagApi(data.api);
    const outbox = openOutbox(api.send, "tags");
    entry.onGone = () => leaveOutbox(outbox);
    await findLiving();
    if (entry.gone) return;
    entry.show(() => new Panel({
      root: parentElement, api, keys: new Keys(localStorage, ACTIONS, STORE), outbox, isAlive, dataset: data.dataset, datasets: data.datasets, sample: data.sample,
    })).start();
  }, (panel) => panel.dataset === data.dataset);
}

/** @param {string} base @param {Fetcher} [fetcher] */
function createTagApi(base, fetcher) {
  const { call, post } = createCalls(base, fetcher);
  return {
    ...createApi(base, fetcher),
    /** @param {number} dataset @returns {Promise<TagInfo>} */
    panel: (dataset) => call(`/tags/${dataset}`),
    /** @param {number} dataset @param {string} show @param {number} after @param {number} limit @returns {Promise<TagImage[]>} */
    images: async (dataset, show, after, limit) => (await call(`/tags/${dataset}/images?show=${show}&after=${after}&limit=${limit}`)).items,
    /** @param {number} sample @returns {Promise<TagImage>} */
    image: (sample) => call(`/tags/image/${sample}`),
    /** @param {string} client @param {Act[]} acts @param {{ keepalive?: boolean }} [options] @returns {Promise<{ results: ActResult[] }>} */
    send: (client, acts, { keepalive = false } = {}) => post("/tags", { client, acts }, keepaliveOptions(keepalive)),
  };
}
