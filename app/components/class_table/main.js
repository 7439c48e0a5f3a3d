// Mounting of the Classes page, and its HTTP interface.

import { createApi, createCalls } from "../shared/api.js";
import { mountComponent } from "../shared/mount.js";
import { newClient } from "../shared/open_outboxes.js";
import { ClassPage } from "./page.js";
/** @import { ClassId, ClassOverview, ClassUse, Entry, Mounting } from "../shared/types.d.ts" */
/** @import { Fetcher } from "../shared/api.js" */

/** @typedef {{ api: string, dataset: number, datasets: [id: number, name: string][], merge: [ClassId, ClassId] | null }} ClassData */
/** @typedef {ReturnType<typeof createClassApi>} ClassApi */

/** Mount, or bring up to date, the page in `parentElement`; returns the clean-up for its unmounting. @param {Mounting<ClassData>} component */
export function mount({ parentElement, data }) {
  const { dataset, datasets, merge } = data;
  return mountComponent(parentElement, JSON.stringify([dataset, merge]), (/** @type {Entry<ClassPage>} */ entry) => {
    entry.show(() => new ClassPage({ root: parentElement, api: createClassApi(data.api), client: newClient(), dataset, datasets, merge })).start();
  });
}

/** @param {string} base @param {Fetcher} [fetcher] */
export function createClassApi(base, fetcher) {
  const { call } = createCalls(base, fetcher);
  return {
    ...createApi(base, fetcher),
    /** @param {number} dataset @returns {Promise<ClassOverview>} */
    overview: (dataset) => call(`/classes/${dataset}`),
    /** @param {number} dataset @param {ClassId} from @param {ClassId} into @returns {Promise<{ use: ClassUse, settled: number }>} */
    mergePreview: (dataset, from, into) => call(`/classes/${dataset}/merge?class=${from}&into=${into}`),
  };
}
