// The review's HTTP interface. Failures are ApiErrors with the text and the cure the server wrote; status 0: no network.

const TIMEOUT_MS = 20_000;

export class ApiError extends Error {
  constructor(status, body) {
    super(body.error ?? `The server answered ${status}.`);
    this.status = status;
    this.cure = body.cure ?? "";
    this.body = body;
  }
}

/** Return what a failure says and its cure as one text, joined as the server joins them: a refusal reads alike everywhere. */
export function told({ error, message, cure }) {
  const what = error ?? message ?? "";
  if (!cure) return what;
  return /[.!?…]$/.test(what) ? `${what} ${cure}` : `${what}; ${cure}`;
}

/** Return `request(path, options)`, which resolves to the server's answer where that is a good one and throws ApiErrors. */
export function createRequest(base, fetcher = (...args) => fetch(...args), timeout = TIMEOUT_MS) {
  return async (path, options = {}) => {
    let answer;
    try {
      answer = await fetcher(base + path, { credentials: "same-origin", signal: AbortSignal.timeout(timeout), ...options });
    } catch (cause) {
      if (options.signal?.aborted && cause.name === "AbortError") throw cause;
      throw new ApiError(0, { error: "The server cannot be reached.", cure: "It is tried again by itself." });
    }
    if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => ({})));
    return answer;
  };
}

/** Return `call(path, options)` and `post(path, body, options)`, which resolve to what the answer's JSON holds. */
export function createCalls(base, fetcher) {
  const request = createRequest(base, fetcher);
  const call = async (path, options) => (await request(path, options)).json().catch(() => ({}));
  const post = (path, body, options = {}) =>
    call(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Outfold": "1" },
      body: JSON.stringify(body),
      ...options,
    });
  return { call, post };
}

/** What a page that goes sends outlives it: no time-out of the page's own. */
export const outliving = (keepalive) => (keepalive ? { keepalive, signal: null } : {});

export function createApi(base, fetcher) {
  const { call, post } = createCalls(base, fetcher);
  return {
    base,
    me: () => call("/me"),
    rename: (name) => post("/me", { name }),
    round: (id) => call(`/rounds/${id}`),
    findings: (params, signal) => call(`/findings?${params}`, { signal: signal ?? AbortSignal.timeout(TIMEOUT_MS) }),
    state: async () => (await call("/state")).state,
    counts: (params) => call(`/counts?${params}`),
    finding: (id) => call(`/findings/${id}`),
    mask: (sample, round) => call(`/masks/${sample}?round=${round}`),
    preview: (params) => call(`/accept_all?${params}`),
    audit: (id) => call(`/audits/${id}`),
    createAudit: (body) => post("/audits", body),
    auditCards: (id, body) => post("/audits/cards", { audit: id, ...body }),
    closeAudit: (id, closed) => post("/audits/close", { audit: id, closed }),
    quarters: (id) => post("/audits/quarters", { audit: id }),
    acceptAll: (body) => post("/accept_all", body, { signal: AbortSignal.timeout(120_000) }),
    send: (client, acts, { keepalive = false } = {}) => post("/acts", { client, acts }, outliving(keepalive)),
  };
}
