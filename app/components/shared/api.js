// Client of the server's HTTP interface. Failures are ApiErrors with the server's message and cure; status 0: no network.

/** @import { Act, ActResult, AuditState, BulkPreview, ClassActResult, Counts, Failure, Finding, FindingDetail, MaskInfo, News, RoundInfo } from "./types.d.ts" */

const TIMEOUT_MS = 20_000;

/** @typedef {(path: string, options: RequestInit) => Promise<Response>} Fetcher */

export class ApiError extends Error {
  /**
   * @param {number} status HTTP status, 0 without a network
   * @param {{ error?: string, cure?: string } & Record<string, any>} body
   */
  constructor(status, body) {
    super(body.error ?? `The server answered ${status}.`);
    this.status = status;
    this.cure = body.cure ?? "";
    this.body = body;
  }
}

/** Return a failure's message and cure as one text, joined as the server joins them. @param {Failure} failure */
export function errorText({ error, message, cure }) {
  const what = error ?? message ?? "";
  if (!cure) return what;
  return /[.!?…]$/.test(what) ? `${what} ${cure}` : `${what}; ${cure}`;
}

/**
 * Return `request(path, options)`, which resolves to the server's answer and throws ApiErrors.
 *
 * @param {string} base
 * @param {Fetcher} [fetcher]
 * @param {number} [timeout]
 * @returns {(path: string, options?: RequestInit) => Promise<Response>}
 */
export function createRequest(base, fetcher = (path, options) => fetch(path, options), timeout = TIMEOUT_MS) {
  return async (path, options = {}) => {
    let answer;
    try {
      answer = await fetcher(base + path, { credentials: "same-origin", signal: AbortSignal.timeout(timeout), ...options });
    } catch (cause) {
      if (options.signal?.aborted && cause.name === "AbortError") throw cause;
      throw new ApiError(0, { error: "The server cannot be reached.", cure: "The request is repeated automatically." });
    }
    const login = answer.status === 401 ? answer.headers.get("X-Outfold-Login") : null;
    if (login) location.assign(`${login}?next=${encodeURIComponent(location.pathname + location.search)}`); // what is unsaved is kept here
    if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => ({})));
    return answer;
  };
}

/**
 * Return `call(path, options)` and `post(path, body, options)`, which resolve to the answer's JSON.
 *
 * @param {string} base
 * @param {Fetcher} [fetcher]
 */
export function createCalls(base, fetcher) {
  const request = createRequest(base, fetcher);
  /** @param {string} path @param {RequestInit} [options] @returns {Promise<any>} */
  const call = async (path, options) => (await request(path, options)).json().catch(() => ({}));
  /** @param {string} path @param {object} body @param {RequestInit} [options] */
  const post = (path, body, options = {}) =>
    call(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Outfold": "1" },
      body: JSON.stringify(body),
      ...options,
    });
  return { call, post };
}

/** Options of a request that outlives its page: no time-out of the page's own. @param {boolean | undefined} keepalive @returns {RequestInit} */
export const keepaliveOptions = (keepalive) => (keepalive ? { keepalive, signal: null } : {});

/** @typedef {ReturnType<typeof createApi>} Api */

/** Return the review's requests by name. @param {string} base @param {Fetcher} [fetcher] */
export function createApi(base, fetcher) {
  const { call, post } = createCalls(base, fetcher);
  return {
    base,
    /** @returns {Promise<{ name: string | null }>} */
    me: () => call("/me"),
    /** @param {string} name @returns {Promise<{ name?: string }>} */
    rename: (name) => post("/me", { name }),
    /** @param {number} id @returns {Promise<RoundInfo>} */
    round: (id) => call(`/rounds/${id}`),
    /** @param {URLSearchParams} params @param {AbortSignal} [signal] @returns {Promise<{ items: Finding[], next: string | null }>} */
    findings: (params, signal) => call(`/findings?${params}`, { signal: signal ?? AbortSignal.timeout(TIMEOUT_MS) }),
    /** @param {URLSearchParams} params @returns {Promise<News>} */
    state: (params) => call(`/state?${params}`),
    /** @param {URLSearchParams} params @returns {Promise<Counts>} */
    counts: (params) => call(`/counts?${params}`),
    /**
     * @param {Record<string, unknown>} body
     * @param {{ keepalive?: boolean }} [options]
     * @returns {Promise<ClassActResult>}
     */
    act: (body, { keepalive = false } = {}) => post("/acts", body, keepaliveOptions(keepalive)),
    /** @param {number} id @returns {Promise<FindingDetail>} */
    finding: (id) => call(`/findings/${id}`),
    /** @param {number} sample @param {number} round @returns {Promise<MaskInfo>} */
    mask: (sample, round) => call(`/masks/${sample}?round=${round}`),
    /** @param {URLSearchParams} params @returns {Promise<{ images: number, text: string }>} */
    removal: (params) => call(`/removal?${params}`),
    /** @param {object} body @returns {Promise<{ images: number }>} */
    removeImages: (body) => post("/removal", body, { signal: AbortSignal.timeout(120_000) }),
    /** @param {URLSearchParams} params @returns {Promise<BulkPreview>} */
    preview: (params) => call(`/accept_all?${params}`),
    /** @param {number} id @returns {Promise<AuditState>} */
    audit: (id) => call(`/audits/${id}`),
    /** @param {object} body @returns {Promise<AuditState>} */
    createAudit: (body) => post("/audits", body),
    /** @param {number} id @param {object} body @returns {Promise<{ items: Finding[], next: number | null, audit: AuditState }>} */
    auditCards: (id, body) => post("/audits/cards", { audit: id, ...body }),
    /** @param {number} id @param {boolean} closed @returns {Promise<AuditState>} */
    closeAudit: (id, closed) => post("/audits/close", { audit: id, closed }),
    /** @param {number} id @returns {Promise<AuditState>} */
    quarters: (id) => post("/audits/quarters", { audit: id }),
    /** @param {object} body @returns {Promise<{ size: number, changeset: number }>} */
    acceptAll: (body) => post("/accept_all", body, { signal: AbortSignal.timeout(120_000) }),
    /** @param {string} client @param {Act[]} acts @param {{ keepalive?: boolean }} [options] @returns {Promise<{ results: ActResult[] }>} */
    send: (client, acts, { keepalive = false } = {}) => post("/acts", { client, acts }, keepaliveOptions(keepalive)),
  };
}
