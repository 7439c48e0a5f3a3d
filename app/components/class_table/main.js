// The Classes page: its mounting, HTTP interface, state and acts.

import { askName, showAnnotator } from "../shared/annotator.js";
import { createApi, createCalls, errorText } from "../shared/api.js";
import { newName, offeredOf, shareClasses } from "../shared/classes.js";
import { fill, h, keycap, troubleState, Toast } from "../shared/dom.js";
import { clock, day, number } from "../shared/format.js";
import { isStreamlitKey, isTyping } from "../shared/keys.js";
import { mountComponent, newClient } from "../shared/mount.js";
import { askInto, carriersText, confirmMerge } from "./merging.js";
import { moveTo, Order, Rows, sortByName } from "./rows.js";
/** @import { Act, ClassActResult, Classes, ClassId, ClassOverview, ClassUse, Entry, Mounting, Root } from "../shared/types.d.ts" */
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
function createClassApi(base, fetcher) {
  const { call } = createCalls(base, fetcher);
  return {
    ...createApi(base, fetcher),
    /** @param {number} dataset @returns {Promise<ClassOverview>} */
    overview: (dataset) => call(`/classes/${dataset}`),
    /** @param {number} dataset @param {ClassId} from @param {ClassId} into @returns {Promise<{ use: ClassUse, settled: number }>} */
    mergePreview: (dataset, from, into) => call(`/classes/${dataset}/merge?class=${from}&into=${into}`),
  };
}

/**
 * Options of the page: `merge` are a class and the one that it would become, null for none; `client` numbers the acts of this page.
 *
 * @typedef {object} ClassPageOptions
 * @property {Root} root
 * @property {ClassApi} api
 * @property {string} client
 * @property {number} dataset
 * @property {[id: number, name: string][]} datasets
 * @property {[ClassId, ClassId] | null} merge
 */

/** @typedef {{ op: Act["op"], class?: ClassId, into?: ClassId, name?: string, order?: ClassId[], changeset?: number }} ClassAct */
/** @typedef {(answer: ClassActResult) => string} Done Returns the message about a stored act. */
/** @typedef {{ label: string } | null} Offer Button that undoes an act. */

const EVERY_MS = 2000; // between two looks for acts of others
const HINTS = [["↑ ↓", "row"], ["Alt+↑ ↓", "move the class"], ["Enter", "rename"], ["m", "merge"], ["/", "find or add"], ["u", "undo"]];

/** @param {number} dataset */
const addressOf = (dataset) => `${location.pathname}?${new URLSearchParams({ dataset: String(dataset) })}`;

class ClassPage {
  /** @type {ClassOverview} From `start` on. */ info;
  /** @type {Classes} */ classes;

  /** @param {ClassPageOptions} options */
  constructor({ root, api, client, dataset, datasets, merge }) {
    this.root = root;
    this.api = api;
    this.client = client;
    this.dataset = dataset;
    this.wanted = merge;
    this.seq = 0;
    this.waiting = 0;
    /** @type {Promise<unknown>} */
    this.acts = Promise.resolve();
    /** @type {string | null} */
    this.name = null;
    this.busy = false;
    this.state = 0; // number of the newest act that is known
    this.stale = false;
    this.failed = false;
    /** @type {string | null} */
    this.savedAt = null;
    this.stop = new AbortController();
    this.toast = new Toast();
    this.order = new Order({ store: (ids) => this.#act({ op: "reorder_classes", order: ids }, () => "Order changed.") });
    this.rows = new Rows({ on: {
      rename: (id, name) => this.rename(id, name), merge: (id, into) => this.merge(id, into), move: (id, by) => this.move(id, by), busy: (on) => this.#hold(on),
      place: (id, place) => this.#arrange(moveTo(this.order.ids, id, place), id),
    } });
    /** @type {HTMLSelectElement} */
    this.choice = h("select", { "aria-label": "Dataset", onchange: () => this.#choose(Number(this.choice.value)) }, datasets.map(([id, name]) => h("option", { value: String(id), selected: id === dataset }, name)));
    this.count = h("span", { class: "dim" });
    this.search = h("input", { type: "search", placeholder: "Find a class, or name a new one", "aria-label": "Find a class, or name a new one", autocomplete: "off", spellcheck: false, oninput: () => this.draw(), onkeydown: (event) => this.#searchKey(event) });
    this.new = h("button", { type: "button", class: "primary", onclick: () => this.add() });
    this.status = h("output", { class: "status", dataset: { state: "saved" } }, "✓ all saved");
    this.who = h("button", { type: "button", class: "who", onclick: () => this.askName() });
    this.alike = h("div", { class: "alike" });
    this.history = h("ul", { class: "acts-list" });
    this.element = h("div", { class: "outfold class-page", dataset: { ready: "false" } });
  }

  /** Fetch everything and draw the page. */
  async start() {
    try {
      const [me, info, { state }] = await Promise.all([this.api.me(), this.api.overview(this.dataset), this.api.state(new URLSearchParams())]);
      this.name = me.name;
      this.state = state;
      this.#know(info);
    } catch (error) {
      this.element.replaceChildren(troubleState(error, () => this.start()));
      return;
    }
    if (this.stop.signal.aborted) return;
    this.#build();
    this.draw();
    this.#listen();
    this.element.dataset.ready = "true";
    if (!this.name) await this.askName();
    const { wanted, dataset } = this;
    this.wanted = null;
    if (!wanted) return void this.rows.focus();
    history.replaceState(history.state, "", addressOf(dataset)); // a reload asks no second time
    this.merge(...wanted);
  }

  /** Add a class of the typed name. */
  add() {
    const name = newName(this.search.value, this.classes);
    if (!name) {
      this.search.focus();
      return;
    }
    this.search.value = "";
    this.draw();
    this.#act({ op: "add_class", name }, (answer) => {
      this.rows.focus(answer.class);
      return `Class ${answer.name} added.`;
    });
  }

  /** @param {ClassId} id @param {string} name */
  rename(id, name) {
    const before = this.classes[id];
    this.#act({ op: "rename_class", class: id, name }, () => `${before} is now called ${name}.`);
  }

  /**
   * Choose the target of a merge if it is not given, preview the merge, and merge on confirmation.
   *
   * @param {ClassId} from
   * @param {ClassId | null} [into]
   */
  merge(from, into = null) {
    const { root, classes, info } = this;
    const offered = offeredOf(classes);
    if (!offered.includes(from) || (into !== null && !offered.includes(into))) {
      this.toast.say("One of these classes no longer exists.", null, { warning: true });
      return;
    }
    if (offered.length < 2) {
      this.toast.say("There is no other class to merge it into.");
      return;
    }
    const masks = info.colours !== null;
    /** @param {ClassId} merged @param {ClassId} target */
    const look = (merged, target) => this.api.mergePreview(this.dataset, merged, target);
    /** @param {ClassId} other */
    const confirm = (other) => confirmMerge({ root, from, into: other, classes, masks, look, onmerge: (merged, target) => this.#merge(merged, target) })
      .catch((error) => this.toast.say(errorText(error), null, { warning: true }));
    if (into === null) askInto({ root, from, classes, offered, onpick: confirm });
    else confirm(into);
  }

  /** @param {ClassId} from @param {ClassId} into */
  #merge(from, into) {
    const { classes, info } = this;
    const message = `${classes[from]} is ${classes[into]} now: ${carriersText(info.uses[from], info.colours !== null)}.`;
    this.#act({ op: "merge_classes", class: from, into }, () => {
      this.rows.focus(into);
      return message;
    });
  }

  /** Move a class by this many places. @param {ClassId} id @param {number} by */
  move(id, by) {
    const { ids } = this.order;
    this.#arrange(moveTo(ids, id, ids.indexOf(id) + by), id);
  }

  /** List the classes in this order, with the keyboard on a class, else where it is. @param {ClassId[]} ids @param {ClassId} [id] */
  #arrange(ids, id) {
    if (!this.order.set(ids)) return;
    this.#report();
    this.draw();
    this.rows.focus(id);
  }

  /** Take back an act; without one, this person's newest that counts. @param {number | null} [changeset] */
  undo(changeset = null) {
    this.order.flush();
    this.acts.then(() => {
      const target = changeset ?? this.info.history.find((act) => act.live && act.by === this.name)?.changeset;
      if (target === undefined) this.toast.say("You have nothing left to undo here.");
      else this.#act({ op: "undo", changeset: target }, (answer) => `Undone: ${answer.undone?.text}.`, null);
    });
  }

  /**
   * Store an act after earlier ones; `done(answer)` returns the message. After a network failure it is sent again under the same number.
   *
   * @param {ClassAct} body
   * @param {Done} done
   * @param {Offer} [offer]
   */
  #act(body, done, offer = { label: "Undo" }) {
    if (body.op !== "reorder_classes") this.order.flush();
    const numbered = { client: this.client, seq: (this.seq += 1), dataset: this.dataset, ...body };
    this.waiting += 1;
    this.#report();
    const stored = this.acts.then(() => this.#store(numbered, done, offer));
    this.acts = stored.finally(() => {
      this.waiting -= 1;
      this.#report();
    });
    return this.acts;
  }

  /** @param {ClassAct} body @param {Done} done @param {Offer} offer */
  async #store(body, done, offer) {
    this.toast.pass();
    let answer;
    try {
      answer = await this.api.act(body);
    } catch (error) {
      this.failed = !error.status; // after a refusal nothing is unsaved
      const again = this.failed ? { label: "Try again", run: () => this.#again(body, done, offer) } : null;
      this.toast.say(this.failed ? "Not saved: the server cannot be reached." : errorText(error), again, { warning: true, sticky: true });
      await this.refresh();
      return;
    }
    this.failed = false;
    this.savedAt = answer.saved_at ?? new Date().toISOString();
    await this.refresh();
    const message = done(answer);
    const undo = answer.changeset !== null && offer ? { ...offer, run: () => this.undo(answer.changeset) } : null;
    this.toast.say(message, undo, { passing: true });
  }

  /** @param {ClassAct} body @param {Done} done @param {Offer} offer */
  #again(body, done, offer) {
    this.acts = this.acts.then(() => this.#store(body, done, offer)).finally(() => this.#report());
  }

  /** Fetch everything again. */
  async refresh() {
    const info = await this.api.overview(this.dataset).catch(() => null);
    if (!info || this.stop.signal.aborted) return;
    this.#know(info);
    this.draw();
  }

  /** @param {ClassOverview} info */
  #know(info) {
    this.info = info;
    this.classes = shareClasses(info);
    this.order.know(info.offered);
  }

  /** Pause drawing while a name is edited or a row dragged; later changes are drawn afterwards. @param {boolean} on */
  #hold(on) {
    this.busy = on;
    if (!on && this.stale) this.draw();
  }

  draw() {
    const { info, classes, order } = this;
    this.stale = Boolean(this.busy);
    if (this.stale) return;
    const name = newName(this.search.value, classes);
    this.new.textContent = name ? `Add "${name}"` : "Add class";
    this.count.textContent = `${number(order.ids.length)} ${order.ids.length === 1 ? "class" : "classes"}`;
    this.rows.draw({ ids: order.ids, classes, colours: info.colours, uses: info.uses, filter: this.search.value });
    fill(this.alike, info.alike.map(({ classes: [merged, target], why }) => h("p", {}, why, " ",
      h("button", { type: "button", class: "link", onclick: () => this.merge(merged, target) }, `Merge ${classes[merged]} into ${classes[target]}`))),
    !info.alike.length && h("p", { class: "dim" }, "No two classes look alike."));
    fill(this.history, info.history.map((act) => h("li", { class: act.live ? "" : "undone" },
      h("span", {}, h("span", { class: "what" }, act.text), h("small", { title: day(act.at) }, ` ${act.by}, ${day(act.at)}${act.live ? "" : ", undone"}`)),
      act.live && h("button", { type: "button", class: "link", "aria-label": `Undo: ${act.text}`, onclick: () => this.undo(act.changeset) }, "Undo"))),
    !info.history.length && h("li", { class: "dim" }, "Nothing was changed yet."));
  }

  #build() {
    this.#person();
    this.element.replaceChildren(
      h("section", { class: "centre", "aria-label": "Classes" },
        h("div", { class: "masthead" }, h("h1", {}, "Classes"), this.choice, this.count, h("div", { class: "right-end" }, this.status, this.who)),
        h("div", { class: "tools" }, this.search, this.new, h("button", { type: "button", class: "ghost", onclick: () => this.#arrange(sortByName(this.order.ids, this.classes)) }, "Sort A to Z")),
        this.rows.element,
        h("footer", {}, h("div", { class: "hints" }, HINTS.map(([key, word]) => h("span", { class: "hint" }, keycap(key), ` ${word}`))))),
      h("aside", { class: "right", "aria-label": "Suggestions and history" }, h("h2", {}, "May be one class"), this.alike, h("h2", {}, "History"), this.history),
      this.toast.element);
  }

  #report() {
    const state = this.failed ? "offline" : this.waiting || this.order.wanted ? "saving" : "saved";
    const words = { saved: this.savedAt ? `✓ saved ${clock(this.savedAt)}` : "✓ all saved", saving: "↻ saving", offline: "⚠ not saved" };
    this.status.dataset.state = state;
    this.status.textContent = words[state];
  }

  #person() {
    showAnnotator(this.who, this.name, "change classes");
  }

  async askName() {
    await askName({ root: this.root, name: this.name, save: async (name) => { this.name = (await this.api.rename(name)).name ?? name; } });
    this.#person();
    this.rows.focus();
  }

  /** @param {number} dataset */
  #choose(dataset) {
    this.order.flush();
    history.replaceState(history.state, "", addressOf(dataset));
    this.acts.then(() => {
      this.dataset = dataset;
      this.order.stored = [];
      this.search.value = "";
      return this.refresh();
    });
  }

  /** @param {KeyboardEvent} event */
  #searchKey(event) {
    if (event.key === "Escape" && this.search.value) {
      this.search.value = "";
      this.draw();
    } else if (event.key === "Enter" && newName(this.search.value, this.classes)) this.add();
    else if (event.key === "Enter" || event.key === "ArrowDown") this.rows.focus();
    else return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { rows, order } = this;
    const { key, altKey, ctrlKey, metaKey, shiftKey } = event;
    const onRow = /** @type {Element} */ (event.composedPath()[0]).tagName === "TR";
    const last = order.ids.length;
    /** @type {Record<string, number>} */
    const moves = { ArrowUp: -1, ArrowDown: 1, Home: -last, End: last };
    if (altKey && key in moves && rows.at !== null) this.move(rows.at, moves[key]);
    else if (altKey) return false;
    else if ((ctrlKey || metaKey) && key.toLowerCase() === "z" && !shiftKey) this.undo();
    else if (ctrlKey || metaKey) return false;
    else if (key === "/") this.search.focus();
    else if (key === "u") this.undo();
    else if (key in moves && rows.at !== null) rows.step(moves[key]);
    else if (key === "F2" || (key === "Enter" && onRow)) rows.rename();
    else if (key === "m" && rows.at !== null) this.merge(rows.at);
    else return false;
    return true;
  }

  #listen() {
    const { signal } = this.stop;
    addEventListener("keydown", (event) => {
      if (!this.element.isConnected || isTyping(event) || this.root.querySelector("dialog[open]")) return;
      const taken = this.#key(event);
      if (taken) event.preventDefault();
      if (taken || isStreamlitKey(event)) event.stopImmediatePropagation();
    }, { capture: true, signal });
    addEventListener("pagehide", () => {
      const { wanted } = this.order;
      if (wanted) this.api.act({ client: this.client, seq: (this.seq += 1), dataset: this.dataset, op: "reorder_classes", order: wanted }, { keepalive: true }).catch(() => {});
    }, { signal });
    const look = async () => {
      if (document.visibilityState === "visible" && !this.busy && !this.waiting && !this.order.wanted && !this.root.querySelector("dialog[open]")) {
        const answer = await this.api.state(new URLSearchParams()).catch(() => null);
        if (answer && answer.state !== this.state && !this.waiting && !this.busy) {
          this.state = answer.state;
          await this.refresh();
        }
      }
      if (!signal.aborted) this.timer = setTimeout(look, EVERY_MS);
    };
    this.timer = setTimeout(look, EVERY_MS);
  }

  unmount() {
    this.order.flush();
    this.stop.abort();
    clearTimeout(this.timer);
    this.element.remove();
  }
}
