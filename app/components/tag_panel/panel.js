// The tag panel: the current image, the classes marked on it, and the panel's parts.

import { askName, showAnnotator } from "../shared/annotator.js";
import { errorText } from "../shared/api.js";
import { offeredOf, renewClasses, shareClasses } from "../shared/classes.js";
import { fill, h, keycap, TO_DATASETS, Toast, troubleState } from "../shared/dom.js";
import { heldText, savedText, savedTitle, wholeUrl } from "../shared/format.js";
import { isStreamlitKey, isTyping, openHelp } from "../shared/keys.js";
import { watchClasses } from "../shared/other_people.js";
import { openSearch } from "../shared/search.js";
import { TagQueue } from "./queue.js";
import { classOf, ClassRows, Marks, Side } from "./sides.js";
/** @import { Act, ActResult, ClassActResult, ClassId, ColouredClasses, Failure, News, OutboxEntry, Root, SaveStatus, TagImage, TagInfo } from "../shared/types.d.ts" */
/** @import { FixedKey, Keys } from "../shared/keys.js" */
/** @import { OtherPeople } from "../shared/other_people.js" */
/** @import { Outbox } from "../shared/outbox.js" */
/** @import { TagApi } from "./main.js" */

/**
 * Options of the panel; `sample` is the image that the address asks for.
 *
 * @typedef {object} PanelOptions
 * @property {Root} root
 * @property {TagApi} api
 * @property {Keys} keys
 * @property {Outbox} outbox
 * @property {(client: string) => boolean} isAlive
 * @property {number} dataset
 * @property {[id: number, name: string][]} datasets
 * @property {number | null} sample
 */

/** @typedef {{ changeset: number, name: string }} SavedClass Class that was added. */
/** @typedef {{ item: TagImage, before: ClassId[] | null }} SavedTags */

const LAST_ACT_MS = 1500; // how long the acts before one on the classes may take to be stored
const AHEAD = 3; // images fetched in advance
const HINTS = [["save", "save, next"], ["skip", "skip"], ["back", "back"], ["undo", "undo"], ["search", "search"], ["clear", "none"]];
const HELP = ["help", "all keys"];

/** Return the rows of the help whose keys are fixed. @returns {FixedKey[]} */
const fixedKeys = () => [[[keycap("1"), "–", keycap("9"), keycap("0")], "mark or unmark the class of that number; with Shift the 11th to 20th"]];

export class Panel {
  /** @type {TagInfo} From `start` on. */ info;
  /** @type {TagQueue} */ queue;

  /** @param {PanelOptions} options */
  constructor({ root, api, keys, outbox, isAlive, dataset, datasets, sample }) {
    this.root = root;
    this.api = api;
    this.keys = keys;
    this.outbox = outbox;
    this.isAlive = isAlive;
    this.dataset = dataset;
    this.wanted = sample;
    this.show = new URLSearchParams(location.search).get("show") ?? "todo";
    /** @type {(SavedTags | SavedClass)[]} Acts of this visit, newest last. */
    this.saved = [];
    /** @type {string | null} */
    this.name = null;
    /** @type {OtherPeople | null} */
    this.others = null;
    this.heard = 0; // newest act on the classes that is known
    this.listening = false;
    this.ready = false;
    this.stop = new AbortController();
    this.marks = new Marks();
    this.toast = new Toast();
    this.live = h("div", { class: "live", role: "status" });
    this.side = new Side({ datasets, on: { show: (which) => this.choose({ show: which }), dataset: (id) => this.choose({ dataset: id }) } });
    this.rows = new ClassRows({ on: { toggle: (id) => this.toggle(id), add: () => this.search() } });
    this.title = h("h1", { class: "image-name" });
    this.source = h("span", { class: "dim said" }); // where the marks come from
    this.status = h("output", { class: "status", dataset: { unsaved: "0", state: "saved" } });
    this.who = h("button", { type: "button", class: "who", onclick: () => this.askName() });
    this.photo = h("img", { class: "photo", alt: "", decoding: "async", draggable: false });
    this.stage = h("div", { class: "stage", tabIndex: -1, role: "group", "aria-label": "Image" }, this.photo);
    this.hints = h("div", { class: "hints" });
    this.help = h("div", {}); // beside the row of hints, which scrolls
    this.element = h("div", { class: "outfold tag-panel", dataset: { ready: "false" } });
    outbox.listen({ onStatus: (status) => this.#saving(status), onResult: (entry, result) => this.#stored(entry, result), onRefused: (entry, error) => this.#refused(entry, error), onHeld: (entries, error) => this.#held(entries, error) });
  }

  /** Fetch everything, then draw the panel. */
  async start() {
    this.#busy();
    try {
      const [me, info] = await Promise.all([this.api.me(), this.api.panel(this.dataset)]);
      this.name = me.name;
      this.info = { ...info, classes: shareClasses(info) };
      this.queue = new TagQueue((after, limit) => this.api.images(this.dataset, this.show, after, limit));
      const first = this.wanted ? await this.#imageOf(this.wanted) : null;
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
    this.#hear();
    if (!this.name) await this.askName();
  }

  /** Return the image of the address; a missing one is reported, and the panel starts without it. @param {number} sample */
  async #imageOf(sample) {
    try {
      return await this.api.image(sample);
    } catch (error) {
      if (error.status !== 404) throw error;
      this.toast.say(`${error.error ?? error.message}.`, null, { warning: true });
      return null;
    }
  }

  /** Go through other images, or another dataset. @param {{ show?: string, dataset?: number }} changes */
  choose(changes) {
    Object.assign(this, changes);
    this.saved = [];
    history.replaceState(history.state, "", this.#address());
    return this.start();
  }

  /** Return the page's address with these images of this dataset. */
  #address() {
    return `${location.pathname}?${new URLSearchParams({ dataset: String(this.dataset), ...(this.show === "todo" ? {} : { show: this.show }) })}`;
  }

  get item() {
    return this.queue.current;
  }

  /** @param {ClassId} id */
  toggle(id) {
    if (!this.ready) return;
    this.marks.toggle(id);
    this.rows.reveal(id);
    this.live.textContent = `${this.info.classes[id]} ${this.marks.ids.has(id) ? "marked" : "not marked"}`;
    this.draw();
  }

  /** Save the marks and go to the next image. */
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

  /** Mark a class by typing; one that is not there can be added. */
  search() {
    const { item } = this;
    if (!this.ready) return;
    openSearch({
      root: this.root, item: { likely: item.suggested, given: null, pseudo: null }, classes: this.info.classes,
      onpick: (id) => this.toggle(id), onadd: (name) => this.addClass(name),
    });
  }

  /** Add a class and mark it on the current image; nothing changes without the server's answer. @param {string} name */
  async addClass(name) {
    const { item } = this;
    const added = await this.#actOnClasses({ op: "add_class", name }, `The class ${name} was not added`);
    if (!added) return;
    if (typeof added.changeset === "number") {
      this.saved.push({ changeset: added.changeset, name });
      this.toast.say(`Class ${added.name} added.`, { label: "Undo", run: () => this.undo() }, { passing: true });
    }
    const { class: id } = added;
    if (item === this.item && id !== undefined && !this.marks.ids.has(id)) this.toggle(id);
  }

  /** @param {SavedClass} saved */
  async #takeClassBack({ changeset, name }) {
    const undone = await this.#actOnClasses({ op: "undo", changeset }, `The class ${name} was not removed`);
    if (undone) this.toast.say(`Class ${name} removed.`);
  }

  /**
   * Store an act on the classes after all acts before it; resolves to the server's answer, null if there is none.
   *
   * @param {Pick<Act, "op" | "name" | "changeset">} act
   * @param {string} failed
   */
  async #actOnClasses(act, failed) {
    const { api, outbox, dataset } = this;
    /** @param {string} why */
    const say = (why) => this.toast.say(`${failed}: ${why}`, null, { warning: true, sticky: true });
    if (!(await outbox.settled(LAST_ACT_MS))) return void say("earlier tags are not saved yet. Try again when they are.");
    try {
      const answer = await api.act({ client: outbox.client, seq: outbox.nextSeq(), dataset, ...act });
      this.#takeClasses(/** @type {ClassActResult & ColouredClasses} */ (answer), answer.changeset);
      return answer;
    } catch (error) {
      return void say(error.status === 0 ? "the server cannot be reached. Try again when it is back." : errorText(error));
    }
  }

  /** Watch changes of the classes by others, from the panel's state on. */
  #hear() {
    /** @param {News & ColouredClasses} answer */
    const take = (answer) => {
      const ready = this.element.dataset.ready === "true";
      if (ready) this.#takeClasses(answer, answer.state);
      return ready;
    };
    if (this.others) this.others.state = null;
    else this.others = watchClasses({ api: this.api, client: this.outbox.client, dataset: () => this.dataset, take, signal: this.stop.signal });
  }

  /**
   * Take over the classes after act `at`, unless later ones are known.
   *
   * @param {Pick<ColouredClasses, "classes" | "offered" | "colours" | "merged">} fresh
   * @param {number | null} [at]
   */
  #takeClasses(fresh, at = null) {
    const { info } = this;
    if (at !== null && at < this.heard) return;
    this.heard = at ?? this.heard;
    if (!renewClasses(info.classes, fresh)) return;
    info.colours = fresh.colours;
    const means = new Map(fresh.merged);
    this.queue.exchange(means);
    this.marks.exchange(means);
    this.marks.keep(offeredOf(info.classes));
    this.rows.open(info);
    this.draw();
  }

  /** Take the last saved tags, or the last added class, back; without any of this visit, the person's last tags before it. */
  undo() {
    this.toast.pass();
    const last = this.saved.pop();
    if (last && "changeset" in last) {
      this.#takeClassBack(last);
      return;
    }
    if (last) {
      this.#say(last.item, last.before);
      this.queue.goTo(last.item);
      this.#arrive();
    }
    this.outbox.add({ op: "undo", dataset: this.dataset });
  }

  /** @param {number} by */
  async #step(by) {
    if (!this.queue.step(by)) {
      if (by < 0) this.toast.say("This is the first image.");
      return;
    }
    this.#arrive();
  }

  /** Show the current image once it is loaded, and fetch the next ones. */
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
      history.replaceState(history.state, "", this.#address());
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
    this.title.textContent = item?.name ?? "Tags"; // the heading of the page where no image is left
    this.title.title = item?.name ?? "";
    const changed = Boolean(item && this.marks.changed);
    this.source.classList.toggle("unsaved", changed);
    this.status.hidden = changed && this.status.dataset.state === "saved" && !Number(this.status.dataset.held ?? 0); // "all saved" would seem to include these marks
    this.source.textContent = !item ? "" : changed ? "changed, not saved yet" : item.tags ? `tagged${item.by ? ` by ${item.by}` : ""}` : item.masked ? "as its mask says" : item.suggested.length ? "suggested, not saved yet" : "";
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
        h("div", { class: "masthead" }, this.title, this.source, h("div", { class: "right-end" }, this.status, this.who)), this.stage, h("footer", {}, h("div", { class: "hint-row" }, this.hints, this.help))),
      h("aside", { class: "right", "aria-label": "Classes" }, h("h2", {}, "What does the image show?"), this.rows.element,
        h("div", { class: "btns" }, h("button", { type: "button", class: "primary", onclick: () => this.ready && this.save() }, "Save, next"), h("button", { type: "button", class: "ghost", onclick: () => this.#step(1) }, "Skip"))),
      this.toast.element, this.live);
  }

  #finished() {
    /** @type {Record<string, [title: string, about: string]>} */
    const words = { todo: ["Nothing is left to tag", "Every image has tags or a mask."], tagged: ["No more tagged images", ""], masked: ["No more images with only a mask", ""], all: ["This was the last image", ""] };
    const [title, about] = words[this.show] ?? words.todo;
    const [other, word] = this.show === "todo" ? ["tagged", "Show tagged images"] : ["todo", "Continue with untagged images"];
    /** @param {string} label @param {string} href @param {string} kind */
    const link = (label, href, kind) => h("a", { class: `as-button ${kind}`, href }, label);
    return h("div", { class: "empty-state" }, h("h2", {}, title), h("p", {}, about), h("div", { class: "btns" },
      link("Start a round", `rounds?dataset=${this.dataset}`, "primary"), h("button", { type: "button", class: "ghost", onclick: () => this.choose({ show: other }) }, word)));
  }

  #end = h("div", {});

  /** @param {TagImage} item */
  #url(item) {
    return wholeUrl(this.api.base, item, 1024);
  }

  #busy() {
    this.ready = false;
    this.element.dataset.ready = "false";
  }

  /** Set an image's tags and count them. @param {TagImage} item @param {ClassId[] | null} tags */
  #say(item, tags) {
    const counted = Boolean(item.tags);
    this.marks.forget(item.sample);
    item.tags = tags;
    item.by = tags ? this.name : null;
    const change = Number(Boolean(tags)) - Number(counted);
    this.info.counts.tagged += change;
    if (!item.masked) this.info.counts.left -= change;
  }

  /** @param {SaveStatus} status */
  #saving({ state, unsaved, savedAt, held }) {
    Object.assign(this.status.dataset, { unsaved: String(unsaved), state, held: String(held) });
    this.status.textContent = savedText({ state, unsaved, savedAt, held });
    if (state !== "saved" || held) this.status.hidden = false;
    this.status.title = savedTitle({ state, held }, "dataset");
  }

  /** @param {OutboxEntry} entry @param {ActResult} result */
  #stored({ act, own, held }, result) {
    if (result.taken) return; // back before it was stored
    if (held) this.toast.say("The dataset is back: the tags that waited for it are stored.");
    if (!own || act.op !== "undo" || !this.queue) return;
    if (!result.image) this.toast.say("You have nothing left to undo here.");
    else if (this.item?.sample !== result.image.sample) this.#returned(result.image.sample);
  }

  /** Show an image whose tags were undone, from an earlier visit or another place than expected. @param {number} sample */
  async #returned(sample) {
    const item = await this.api.image(sample).catch(() => null);
    if (!item) return;
    await this.#refreshed();
    this.queue.goTo(item);
    this.#arrive();
  }

  /** Report tags that the browser keeps since their dataset was deleted. @param {OutboxEntry[]} entries @param {Failure} error */
  #held(entries, error) {
    const what = `Tags of ${entries.length} ${entries.length === 1 ? "image" : "images"}`;
    const text = heldText(what, entries.flatMap(({ act }) => act.images ?? []), errorText(error));
    this.toast.say(text, TO_DATASETS, { warning: true, sticky: true });
  }

  /** @param {OutboxEntry} entry @param {Failure} error */
  async #refused({ act }, error) {
    this.toast.say(errorText(error), null, { warning: true, sticky: true });
    const item = act.op === "tag" && this.queue?.items.find(({ sample }) => sample === act.sample);
    if (!item) return;
    Object.assign(item, await this.api.image(item.sample).catch(() => ({})));
    await this.#refreshed();
    this.draw();
  }

  /** Fetch the dataset's progress and classes. */
  async #refreshed() {
    const fresh = await this.api.panel(this.dataset).catch(() => null);
    if (!fresh) return;
    Object.assign(this.info, { counts: fresh.counts, round: fresh.round });
    this.#takeClasses(fresh);
  }

  #person() {
    showAnnotator(this.who, this.name, "tag");
  }

  async askName() {
    await askName({ root: this.root, name: this.name, save: async (name) => { this.name = (await this.api.rename(name)).name ?? name; } });
    this.#person();
    this.outbox.identify(this.name);
    this.stage.focus({ preventScroll: true });
  }

  keysChanged() {
    /** @param {string[]} row */
    const hint = ([action, word]) => {
      return h("button", { type: "button", class: "hint", dataset: { action }, onclick: () => this.#act(action) }, this.keys.cap(action), ` ${word}`);
    };
    fill(this.hints, HINTS.map(hint), h("span", { class: "hint" }, keycap("1"), "–", keycap("0"), " class"));
    fill(this.help, hint(HELP));
  }

  /** @param {string} action @param {number} [place] */
  #act(action, place = -1) {
    if (action === "help") openHelp({ root: this.root, keys: this.keys, onchange: () => this.keysChanged(), about: "", fixed: fixedKeys() });
    else if (action === "undo") this.undo();
    else if (action === "back") this.#step(-1);
    else if (!this.ready) return;
    else if (action === "save") this.save();
    else if (action === "skip") this.#step(1);
    else if (action === "clear" || action === "suggest") {
      this.marks[action]();
      this.draw();
    } else if (action === "search") this.search();
    else if (action === "class") {
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
        if (isStreamlitKey(event)) event.stopImmediatePropagation();
        return;
      }
      const { tagName } = /** @type {Element} */ (event.composedPath()[0]);
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
