// Stand-ins for what a browser gives: storage, timers that only run when told, a server that can be away.

export class FakeStorage {
  constructor(entries = {}) {
    this.map = new Map(Object.entries(entries));
  }
  get length() {
    return this.map.size;
  }
  key(index) {
    return [...this.map.keys()][index] ?? null;
  }
  getItem(key) {
    return this.map.get(key) ?? null;
  }
  setItem(key, value) {
    this.map.set(key, String(value));
  }
  removeItem(key) {
    this.map.delete(key);
  }
}

/** Keeps acts like the browser's database: shared by all outboxes of a test. */
export class FakeKept {
  constructor(records = []) {
    this.records = new Map();
    for (const { client, name, act } of records) this.put(client, name, [act]);
  }
  put(client, name, acts) {
    for (const act of acts) this.records.set(JSON.stringify([client, act.seq]), { client, name, act });
    return Promise.resolve(true);
  }
  remove(client, seqs) {
    for (const seq of seqs) this.records.delete(JSON.stringify([client, seq]));
    return Promise.resolve(true);
  }
  async all() {
    return [...this.records.values()];
  }
}

/** The browser's database with one store, as far as it is used: requests of a transaction are done when it is committed. */
export class FakeDatabase {
  constructor(keyPath) {
    Object.assign(this, { keyPath, records: new Map() });
  }
  transaction() {
    const changes = [];
    const transaction = {
      objectStore: () => ({
        put: (record) => changes.push(() => this.records.set(JSON.stringify(this.keyPath.map((field) => record[field])), structuredClone(record))),
        delete: (key) => changes.push(() => this.records.delete(JSON.stringify(key))),
        getAll: () => {
          const request = { result: [...this.records.values()] };
          queueMicrotask(() => request.onsuccess());
          return request;
        },
      }),
      commit: () => {
        for (const change of changes) change();
        queueMicrotask(() => transaction.oncomplete());
      },
    };
    return transaction;
  }
}

export class FakeTimers {
  constructor() {
    this.waiting = new Map();
    this.last = 0;
  }
  setTimeout = (run, milliseconds) => {
    this.last += 1;
    this.waiting.set(this.last, { run, milliseconds });
    return this.last;
  };
  clearTimeout = (id) => this.waiting.delete(id);
  /** Run everything that waits, once; returns the delays. */
  async run() {
    const due = [...this.waiting.values()];
    this.waiting.clear();
    for (const { run } of due) run();
    await settle();
    return due.map(({ milliseconds }) => milliseconds);
  }
}

/** Stores acts by (client, seq) like the real one: a retry finds its first try. */
export class FakeServer {
  constructor() {
    this.stored = [];
    this.calls = [];
    this.failure = null;
    this.judge = () => null; // act -> {error, status} or null
  }
  send = async (client, acts, options = {}) => {
    this.calls.push({ client, seqs: acts.map((act) => act.seq), ...options });
    if (this.failure) throw Object.assign(new Error("away"), this.failure);
    return { results: acts.map((act) => this.judge(act) ?? this.#store(client, act)) };
  };
  #store(client, act) {
    const known = this.stored.some((one) => one.client === client && one.seq === act.seq);
    if (!known) this.stored.push({ client, ...act });
    return { changeset: this.stored.length, saved_at: "2026-11-21T12:03:07Z", items: [] };
  }
}

export async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

export function finding(id, over = {}) {
  return {
    id, name: `train/cat/${id}.png`, hash: String(id), width: 8, height: 8, given: 0, pseudo: 1, confidence: 0.9, likely: [[1, 0.9], [0, 0.1]],
    status: "open", label: null, by: null, kind: "suspicious", ...over,
  };
}

/** An element that keeps everything a real one would show: compare two by `dump()`. */
class FakeElement {
  constructor(tag) {
    Object.assign(this, { tag, children: [], attributes: {}, dataset: {}, listeners: {}, className: "", value: "" });
    this.style = { setProperty: (name, value) => { this.style[name] = value; } };
    this.classList = { add: (name) => { this.className += ` ${name}`; }, toggle() {} };
  }
  get isConnected() {
    return true;
  }
  get firstChild() {
    return this.children[0] ?? null;
  }
  set textContent(text) {
    this.children = [String(text)];
  }
  get textContent() {
    return this.children.map((child) => child.textContent ?? child).join("");
  }
  addEventListener(type, run) {
    this.listeners[type] = run;
  }
  before() {}
  showModal() {
    this.open = true;
  }
  close() {
    this.open = false;
  }
  focus() {}
  removeAttribute(name) {
    delete this.attributes[name];
  }
  setAttribute(name, value) {
    this.attributes[name] = String(value);
  }
  append(...children) {
    this.children.push(...children);
  }
  insertBefore(child, next) {
    const others = this.children.filter((other) => other !== child);
    others.splice(next === null ? others.length : others.indexOf(next), 0, child);
    this.children = others;
  }
  replaceChildren(...children) {
    this.children = children;
  }
  querySelector(selector) {
    const wanted = selector.split(" ").at(-1).replace(/^\./, "");
    for (const child of this.children) {
      if (child.className?.split(" ").includes(wanted)) return child;
      const found = child.querySelector?.(selector);
      if (found) return found;
    }
    return null;
  }
  querySelectorAll() {
    return [];
  }
  /** Return all that can be seen of it, from outside or by a look into the document. */
  dump() {
    const { tag, className, attributes, dataset, style, children, title, src, alt, href, hidden } = this;
    return JSON.stringify({
      tag, className, attributes, dataset, style, title, src, alt, href, hidden, children: children.map((child) => (child instanceof FakeElement ? JSON.parse(child.dump()) : String(child))),
    });
  }
}

/** Let modules draw without a browser. */
export function fakeDocument() {
  globalThis.document = { createElement: (tag) => new FakeElement(tag), createElementNS: (_, tag) => new FakeElement(tag) };
  globalThis.Image = class {};
  return new FakeElement("root");
}

/** A small generator of whole numbers below a bound, the same ones each time. */
export function seeded(seed) {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}
