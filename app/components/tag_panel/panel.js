// The tag panel: holds the image at hand and what is marked on it, and wires the parts together.

import { told } from "../review_grid/api.js";
import { fill, h, keycap } from "../review_grid/dom.js";
import { troubleState } from "../review_grid/empty.js";
import { clock, initials, wholeUrl } from "../review_grid/format.js";
import { openHelp } from "../review_grid/help.js";
import { isTyping, shown } from "../review_grid/keys.js";
import { askName } from "../review_grid/name_dialog.js";
import { openSearch } from "../review_grid/search.js";
import { Toast } from "../review_grid/toast.js";
import { ClassRows, classOf } from "./class_rows.js";
import { Marks } from "./marks.js";
import { TagQueue } from "./queue.js";
import { Side } from "./side.js";

const AHEAD = 3; // images that are fetched before they are asked for
const HINTS = [["save", "save, next"], ["skip", "skip"], ["back", "back"], ["undo", "undo"], ["search", "search"], ["clear", "none"], ["help", "all keys"]];
const STREAMLIT = new Set(["r", "c"]); // rerun and clear cache: never meant here

/** Return the rows of the help that nobody can change. */
const fixedKeys = () => [[[keycap("1"), "–", keycap("9"), keycap("0")], "mark or unmark the class of that number; with Shift the 11th to 20th"]];

export class Panel {
  constructor({ root, api, keys, outbox, isAlive, dataset, datasets, sample }) {
    Object.assign(this, { root, api, keys, outbox, isAlive, dataset, wanted: sample, show: new URLSearchParams(location.search).get("show") ?? "todo", saved: [], ready: false });
    this.stop = new AbortController();
    this.marks = new Marks();
    this.toast = new Toast();
    this.live = h("div", { class: "live", role: "status" });
    this.side = new Side({ datasets, on: { show: (which) => this.choose({ show: which }), dataset: (id) => this.choose({ dataset: id }) } });
    this.rows = new ClassRows({ on: { toggle: (id) => this.toggle(id) } });
    this.title = h("h1", { class: "image-name" });
    this.said = h("span", { class: "dim said" });
    this.status = h("output", { class: "status", dataset: { unsaved: "0", state: "saved" } });
    this.who = h("button", { type: "button", class: "who", onclick: () => this.askName() });
    this.photo = h("img", { class: "photo", alt: "", decoding: "async", draggable: false });
    this.stage = h("div", { class: "stage", tabIndex: -1, role: "group", "aria-label": "Image" }, this.photo);
    this.hints = h("div", { class: "hints" });
    this.element = h("div", { class: "outfold tag-panel", dataset: { ready: "false" } });
    Object.assign(outbox, { onStatus: (status) => this.#saving(status), onResult: (entry, result) => this.#stored(entry, result), onRefused: (entry, error) => this.#refused(entry, error) });
  }

  /** Ask for everything, draw, begin. */
  async start() {
    this.#busy();
    try {
      const [me, info] = await Promise.all([this.api.me(), this.api.panel(this.dataset)]);
      Object.assign(this, { name: me.name, info });
      this.queue = new TagQueue((after, limit) => this.api.images(this.dataset, this.show, after, limit));
      const first = this.wanted ? await this.#asked(this.wanted) : null;
      await this.queue.fill();
      if (first) this.queue.goTo(first);
      this.wanted = null;
    } catch (error) {
      this.element.replaceChildren(troubleState(error, () => this.start()));
      return;
    }
    if (this.stop.signal.aborted) return;
    this.#build();
    this.outbox.identify(this.name);
    if (this.name) this.outbox.adopt(this.isAlive);
    this.#listen();
    this.#arrive();
    if (!this.name) await this.askName();
  }

  /** Return the image that the address names; one that is not there any more is told, and the page goes on without. */
  async #asked(sample) {
    try {
      return await this.api.image(sample);
    } catch (error) {
      if (error.status !== 404) throw error;
      this.toast.say(`${error.error ?? error.message}.`, null, { warning: true });
      return null;
    }
  }

  /** Go through other images, or another dataset. */
  choose(changes) {
    Object.assign(this, changes);
    this.saved = [];
    const query = new URLSearchParams({ dataset: this.dataset, ...(this.show === "todo" ? {} : { show: this.show }) });
    history.replaceState(history.state, "", `${location.pathname}?${query}`);
    return this.start();
  }

  get item() {
    return this.queue.current;
  }

  toggle(id) {
    if (!this.ready) return;
    this.marks.toggle(id);
    this.rows.reveal(id);
    this.live.textContent = `${this.info.classes[id]} ${this.marks.ids.has(id) ? "marked" : "not marked"}`;
    this.draw();
  }

  /** Say what is marked, and go on. */
  save() {
    const { item } = this;
    const classes = this.marks.list();
    if (!classes.length) {
      this.toast.say("Mark at least one class, or skip the image.", null, { warning: true });
      return;
    }
    this.toast.hide();
    this.saved.push({ item, before: item.tags });
    this.#say(item, classes);
    this.outbox.add({ op: "tag", sample: item.sample, classes });
    this.#step(1);
  }

  /** Take the last saved tags back; without any of this visit, the person's last ones before it. */
  undo() {
    const last = this.saved.pop();
    if (last) {
      this.#say(last.item, last.before);
      this.queue.goTo(last.item);
      this.#arrive();
    }
    this.outbox.add({ op: "undo", dataset: this.dataset });
  }

  async #step(by) {
    if (!this.queue.step(by)) {
      if (by < 0) this.toast.say("This is the first image.");
      return;
    }
    this.#arrive();
  }

  /** Show the image at hand, once it is known; what comes next is fetched meanwhile. */
  async #arrive() {
    const { queue } = this;
    if (!queue.current && !queue.ended) {
      this.#busy();
      await queue.fill().catch(() => {});
      if (queue !== this.queue) return;
    }
    const { item } = this;
    this.element.dataset.ready = "true";
    this.ready = Boolean(item);
    this.element.classList.toggle("at-end", !item);
    if (item) {
      this.marks.open(item);
      const url = this.#url(item);
      if (this.photo.getAttribute("src") !== url) this.photo.src = url;
      this.photo.hidden = false;
      this.live.textContent = item.name;
      history.replaceState(history.state, "", `${location.pathname}?${new URLSearchParams({ dataset: this.dataset, ...(this.show === "todo" ? {} : { show: this.show }) })}`);
      this.stage.focus({ preventScroll: true });
    }
    this.draw();
    for (const next of queue.ahead(AHEAD)) new Image().src = this.#url(next);
    queue.fill().then(() => queue === this.queue && !this.item && this.draw(), () => {});
  }

  draw() {
    const { item, info } = this;
    this.side.draw({ info, show: this.show });
    this.#end.hidden = Boolean(item);
    this.photo.hidden = !item;
    this.title.textContent = item?.name ?? "";
    this.title.title = item?.name ?? "";
    const changed = Boolean(item && this.marks.changed);
    this.said.classList.toggle("unsaved", changed);
    this.status.hidden = changed && this.status.dataset.state === "saved"; // "all saved" would be said of these marks too
    this.said.textContent = !item ? "" : changed ? "changed, not saved yet" : item.tags ? `tagged${item.by ? ` by ${item.by}` : ""}` : item.masked ? "as its mask says" : item.suggested.length ? "suggested, not saved yet" : "";
    if (item) this.rows.draw(this.marks, item);
  }

  #build() {
    this.#end = this.#finished();
    this.stage.replaceChildren(this.photo, this.#end);
    this.rows.open(this.info);
    this.keysChanged();
    this.#person();
    this.element.replaceChildren(this.side.element,
      h("section", { class: "centre", "aria-label": "Image and keys" },
        h("div", { class: "masthead" }, this.title, this.said, h("div", { class: "right-end" }, this.status, this.who)), this.stage, h("footer", {}, this.hints)),
      h("aside", { class: "right", "aria-label": "Classes" }, h("h2", {}, "What does the image show?"), this.rows.element,
        h("div", { class: "btns" }, h("button", { type: "button", class: "primary", onclick: () => this.ready && this.save() }, "Save, next"), h("button", { type: "button", class: "ghost", onclick: () => this.#step(1) }, "Skip"))),
      this.toast.element, this.live);
  }

  #finished() {
    const words = { todo: ["Nothing is left to tag", "Every other image has tags or a mask."], tagged: ["No more tagged images", ""], masked: ["No more images with a mask alone", ""], all: ["This was the last image", ""] };
    const [title, about] = words[this.show] ?? words.todo;
    const [other, word] = this.show === "todo" ? ["tagged", "Show tagged images"] : ["todo", "Continue with untagged images"];
    const link = (label, href, kind) => h("a", { class: `as-button ${kind}`, href }, label);
    return h("div", { class: "empty-state" }, h("h2", {}, title), h("p", {}, about), h("div", { class: "btns" },
      link("Start a round", `rounds?dataset=${this.dataset}`, "primary"), h("button", { type: "button", class: "ghost", onclick: () => this.choose({ show: other }) }, word)));
  }

  #end = h("div", {});

  #url(item) {
    return wholeUrl(this.api.base, item, 1024);
  }

  #busy() {
    this.ready = false;
    this.element.dataset.ready = "false";
  }

  /** Write down what is said of an image, and count it. */
  #say(item, tags) {
    const counted = Boolean(item.tags);
    this.marks.forget(item.sample);
    item.tags = tags;
    item.by = tags ? this.name : null;
    const change = Number(Boolean(tags)) - Number(counted);
    this.info.counts.tagged += change;
    if (!item.masked) this.info.counts.left -= change;
  }

  #saving({ state, unsaved, savedAt }) {
    const words = { saved: savedAt ? `✓ saved ${clock(savedAt)}` : "✓ all saved", saving: `↻ saving ${unsaved}`, offline: `⚠ offline, ${unsaved} unsaved`, name: `⚠ ${unsaved} unsaved, your name is needed` };
    Object.assign(this.status.dataset, { unsaved: String(unsaved), state });
    this.status.textContent = words[state];
    if (state !== "saved") this.status.hidden = false;
    this.status.title = state === "offline" ? "Kept in this browser and sent as soon as the server answers again." : "";
  }

  #stored({ act, own }, result) {
    if (!own || act.op !== "undo" || !this.queue) return;
    if (!result.image) this.toast.say("Nothing of yours is left to undo here.");
    else if (this.item?.sample !== result.image.sample) this.#returned(result.image.sample);
  }

  /** An act of an earlier visit was undone, or another than was thought: show its image as it stands. */
  async #returned(sample) {
    const item = await this.api.image(sample).catch(() => null);
    if (!item) return;
    Object.assign(this.info, await this.api.panel(this.dataset).catch(() => ({})));
    this.queue.goTo(item);
    this.#arrive();
  }

  async #refused({ act }, error) {
    this.toast.say(told(error), null, { warning: true, sticky: true });
    const item = act.op === "tag" && this.queue?.items.find(({ sample }) => sample === act.sample);
    if (!item) return;
    Object.assign(item, await this.api.image(act.sample).catch(() => ({})));
    Object.assign(this.info, await this.api.panel(this.dataset).catch(() => ({})));
    this.draw();
  }

  #person() {
    this.who.textContent = this.name ? initials(this.name) : "?";
    this.who.title = this.name ? `You tag as ${this.name}. Change the name` : "Say who you are";
    this.who.setAttribute("aria-label", this.who.title);
  }

  async askName() {
    await askName({ root: this.root, name: this.name, save: async (name) => { this.name = (await this.api.rename(name)).name ?? name; } });
    this.#person();
    this.outbox.identify(this.name);
    this.stage.focus({ preventScroll: true });
  }

  keysChanged() {
    fill(this.hints, HINTS.map(([action, word]) => {
      const [combo] = this.keys.combos(action);
      return h("button", { type: "button", class: "hint", dataset: { action }, onclick: () => this.#act(action) }, combo ? keycap(shown(combo)) : null, ` ${word}`);
    }), h("span", { class: "hint" }, keycap("1"), "–", keycap("0"), " class"));
  }

  #act(action, place) {
    if (action === "help") openHelp({ root: this.root, keys: this.keys, onchange: () => this.keysChanged(), about: "", fixed: fixedKeys() });
    else if (action === "undo") this.undo();
    else if (action === "back") this.#step(-1);
    else if (!this.ready) return;
    else if (action === "save") this.save();
    else if (action === "skip") this.#step(1);
    else if (action === "clear" || action === "suggest") {
      this.marks[action]();
      this.draw();
    } else if (action === "search") {
      const { item } = this;
      openSearch({ root: this.root, item: { likely: item.suggested, given: null, pseudo: null }, classes: this.info.classes, onpick: (id) => this.toggle(id) });
    } else if (action === "class") {
      const id = classOf(place, this.info.classes);
      if (id !== undefined) this.toggle(id);
    }
  }

  #listen() {
    if (this.listening) return;
    this.listening = true;
    addEventListener("keydown", (event) => {
      if (!this.element.isConnected || isTyping(event) || this.root.querySelector("dialog[open]")) return;
      const found = this.keys.lookup(event);
      if (!found) {
        if (STREAMLIT.has(event.key) && !event.ctrlKey && !event.metaKey) event.stopImmediatePropagation();
        return;
      }
      const { tagName } = event.composedPath()[0];
      if (tagName === "BUTTON" && [" ", "Enter"].includes(event.key)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (event.repeat && !["back", "skip", "undo"].includes(found.action)) return;
      this.#act(found.action, found.place);
    }, { capture: true, signal: this.stop.signal });
  }

  unmount() {
    this.stop.abort();
    this.element.remove();
  }
}
