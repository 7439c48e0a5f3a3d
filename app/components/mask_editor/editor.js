// The mask editor: the open image, its parts, and dialogs about conflicts, recovered strokes and keys.

import { askName } from "../shared/annotator.js";
import { errorText } from "../shared/api.js";
import { renewClasses } from "../shared/classes.js";
import { h, keycap, openDialog, TO_DATASETS, Toast, troubleState } from "../shared/dom.js";
import { clock, number } from "../shared/format.js";
import { openHelp } from "../shared/keys.js";
import { watchClasses } from "../shared/other_people.js";
import { openImageSearch } from "../shared/search.js";
import { Footer, Masthead } from "./masthead.js";
import { openPicture } from "./picture.js";
import { Pointer } from "./pointer.js";
import { ClassList, nameOf, RegionPanel } from "./side_panel.js";
import { areaOf } from "./spans.js";
import { Stage } from "./stage.js";
import { Hand, Settings, Toolbox } from "./toolbox.js";
/** @import { ClassId, ColouredClasses, Labels, News, Point, Root, Verdict } from "../shared/types.d.ts" */
/** @import { Keys } from "../shared/keys.js" */
/** @import { OtherPeople } from "../shared/other_people.js" */
/** @import { MaskApi } from "./api.js" */
/** @import { Desk } from "./main.js" */
/** @import { Picture, PictureEvents } from "./picture.js" */

/**
 * Options of the editor; `desk` holds what editors of several images share.
 *
 * @typedef {object} EditorOptions
 * @property {HTMLElement} root
 * @property {MaskApi} api
 * @property {Keys} keys
 * @property {Storage} storage
 * @property {number} dataset
 * @property {number | null} roundId Null where no round has looked at the images yet.
 * @property {Desk} desk
 * @property {(action: string) => void} act
 */

const PUT_OFF_MS = 1500; // longest wait for the last save before another image opens; the save continues in the background
const UNDECIDED = new Set(["open", "second_opinion", "bulk"]);

export class Editor {
  /** @type {Picture} Open image, from the first one on. */ picture;

  /** @param {EditorOptions} options */
  constructor({ root, api, keys, storage, dataset, roundId, desk, act }) {
    this.root = root;
    this.api = api;
    this.keys = keys;
    this.dataset = dataset;
    this.roundId = roundId;
    this.desk = desk;
    this.act = act;
    this.ready = false;
    /** @type {string | null} Name of the annotator. */
    this.person = null;
    /** @type {OtherPeople | null} */
    this.others = null;
    this.heard = 0; // newest act on the classes that is known
    /** @type {Promise<void> | null} */
    this.undoing = null;
    this.stop = new AbortController();
    this.settings = new Settings(storage);
    this.toast = new Toast();
    this.live = h("div", { class: "live", role: "status" });
    this.stage = new Stage();
    this.hand = new Hand(this);
    this.pointer = new Pointer(this);
    this.masthead = new Masthead({ keys, on: { act, name: () => this.askName() } });
    this.toolbox = new Toolbox({ keys, on: { act, mode: () => this.stage.element.focus(), set: (changes) => this.set(changes) } });
    this.classes = new ClassList({ on: { pick: (id) => this.hand.choose(id), lock: (id) => this.hand.lock(id), add: (name) => this.addClass(name), done: () => this.stage.element.focus() } });
    this.panel = new RegionPanel({ keys, on: { act } });
    this.footer = new Footer({ keys, on: { act } });
    this.stage.onplace = (scale) => this.footer.zoomed(scale);
    this.element = h("div", { class: "outfold mask-editor", dataset: { ready: "false" } });
  }

  get painting() {
    return this.picture.painting;
  }

  get tool() {
    return this.hand.tool;
  }

  get label() {
    return this.hand.label;
  }

  /** Open an image at the region of this id, else at its first undecided one. @param {number} sample @param {number | null} [finding] */
  async open(sample, finding = null) {
    this.ready = false;
    this.element.dataset.ready = "false";
    /** @type {Picture | undefined} */
    let picture;
    try {
      this.person ??= (await this.api.me()).name;
      picture = await openPicture({ ...this.desk, api: this.api, sample, round: this.roundId, person: () => this.person, on: this.#listeners(() => picture) });
    } catch (error) {
      this.element.replaceChildren(troubleState(error, () => this.open(sample, finding)));
      return;
    }
    if (this.stop.signal.aborted) return;
    this.desk.savers.add(picture.saver);
    this.#show(picture, finding);
    if (!this.person) await this.askName();
  }

  /** Return what follows the image that `opened` returns while it is shown. @param {() => Picture | undefined} opened @returns {PictureEvents} */
  #listeners(opened) {
    /** @template {unknown[]} Given @param {(...given: Given) => void} run @returns {(...given: Given) => void} */
    const here = (run) => (...given) => { if (this.picture && this.picture === opened()) run(...given); };
    return {
      status: here(() => this.status()), saved: here(() => this.draw()), repaint: here((box) => this.stage.draw(box)),
      conflict: here(() => this.#conflict()), loaded: here(() => this.draw()), classes: here((answer, at) => this.takeClasses(answer, at)),
      refused: here((error) => this.say(errorText(error), { warning: true })),
      held: (error, name) => this.say(`The mask of ${name} is not stored: ${errorText(error)}. This browser keeps it and stores it later.`, {
        warning: true, sticky: true, action: TO_DATASETS,
      }),
    };
  }

  /** @param {Picture} picture @param {number | null} finding */
  #show(picture, finding) {
    const { about, painting } = picture;
    this.picture = picture;
    this.#remember(about.sample);
    if (!this.element.contains(this.stage.element)) {
      this.element.replaceChildren(this.toolbox.element,
        h("section", { class: "centre", "aria-label": "Image" }, this.masthead.element, this.stage.element, this.footer.element),
        h("aside", { class: "right", "aria-label": "Region and classes" }, this.panel.element, this.classes.element), this.toast.element, this.live);
    }
    this.masthead.open(about);
    this.masthead.name(this.person);
    this.status();
    this.classes.open(about);
    this.pointer.drop();
    const url = `${this.api.base}/image/${about.hash}`;
    this.stage.open({ painting, colours: about.colours, url, label: `Mask of ${about.name}` });
    this.stage.show(this.settings);
    this.ready = true;
    const wanted = picture.regions.findIndex(({ id }) => id === finding);
    const undecided = picture.regions.findIndex(({ status }) => UNDECIDED.has(status));
    this.goTo(wanted >= 0 ? wanted : Math.max(0, undecided));
    this.hand.open(picture);
    this.element.dataset.ready = "true";
    this.stage.element.focus({ preventScroll: true });
    this.#hear();
    if (picture.saver.trouble === "conflict") settleConflict(this);
    else reportRecovered(this);
  }

  /** Go to another image. @param {number | null} sample */
  async turn(sample, word = "") {
    if (sample === null || sample === undefined) {
      this.say(`This is the ${word} image.`);
      return;
    }
    await this.desk.settled(PUT_OFF_MS);
    await this.open(sample);
  }

  /** Choose any image of the dataset by its name. */
  choose() {
    const { root, api, dataset, roundId: round } = this;
    /** @param {string} name @param {number | string | null} after */
    const search = async (name, after) => {
      const { items, next } = await api.images({ dataset, round, name, after });
      return { items: items.map((item) => ({ id: item.sample, hash: item.hash, name: item.name, words: progressText(item) })), next };
    };
    openImageSearch({ root, base: api.base, search, current: this.picture?.about.sample, onpick: (sample) => this.turn(sample) });
  }

  /** Paint spans as one act. @param {number[]} spans @param {ClassId | Labels} source */
  paint(spans, source) {
    this.painting.begin();
    const box = this.painting.paint(spans, source);
    if (!this.painting.end()) return 0;
    this.stage.draw(box);
    this.painted();
    return areaOf(spans);
  }

  /** An act of painting is done. */
  painted() {
    this.toast.pass();
    this.picture.touched();
    this.draw();
  }

  undo() {
    if (this.pointer.busy) return;
    if (this.painting.history.undos.length) this.#turned(this.picture.undo());
    else this.undoing ??= this.#undoEarlier(this.picture).finally(() => { this.undoing = null; });
  }

  /** @param {Picture} picture */
  async #undoEarlier(picture) {
    const reason = await picture.undoEarlier(this.person).catch(errorText);
    if (picture === this.picture) this.#turned(!reason, reason);
  }

  redo() {
    if (!this.pointer.busy) this.#turned(this.picture.redo(), "Nothing to redo.");
  }

  /** @param {boolean} done @param {string} [otherwise] */
  #turned(done, otherwise = "") {
    this.toast.pass(); // its offer would take back another act by now
    if (!done) this.say(otherwise);
    this.draw();
  }

  /** Add a class and paint with it from now on. @param {string} name */
  async addClass(name) {
    const { picture } = this;
    if (this.pointer.busy) return;
    const id = await picture.addClass(name);
    if (id === null || picture !== this.picture) return;
    this.hand.choose(id);
    this.say(`Class ${nameOf(picture.about, id)} added.`, { passing: true, action: { label: "Undo", run: () => this.undo() } });
  }

  /** Watch changes of the classes by others, from the state of this image on. */
  #hear() {
    /** @param {News & ColouredClasses} answer */
    const take = (answer) => {
      if (!this.ready || this.pointer.busy) return false; // not in the midst of a stroke
      this.takeClasses(answer, answer.state);
      return true;
    };
    if (this.others) this.others.state = null;
    else this.others = watchClasses({ api: this.api, client: this.desk.outbox.client, dataset: () => this.picture.about.dataset, take, signal: this.stop.signal });
  }

  /** Resolve a conflict with a newer version of the mask. One made by a merge of classes needs no choice of the person. */
  async #conflict() {
    const { picture } = this;
    try {
      const fresh = await this.api.mask(picture.about.sample, this.roundId);
      const followed = picture === this.picture && this.takeClasses(fresh);
      if (followed && !(await picture.compared()).both) return void (await picture.putMine());
    } catch (error) {
      this.say(errorText(error), { warning: true });
    }
    if (picture === this.picture) await settleConflict(this);
  }

  /**
   * Take over the classes after act `at`, unless later ones are known. A merged class is painted as its target. Returns whether merges
   * changed.
   *
   * @param {ColouredClasses} fresh
   * @param {number | null} [at]
   */
  takeClasses(fresh, at = null) {
    const { picture } = this;
    const { about } = picture;
    if (at !== null && at < this.heard) return false;
    this.heard = at ?? this.heard;
    if (fresh.classes.length > about.ignore) { // more than a byte holds: the mask is reloaded in its wider type
      this.turn(about.sample);
      return false;
    }
    if (!renewClasses(about.classes, fresh)) return false;
    about.colours.splice(0, about.colours.length, ...fresh.colours);
    this.stage.recolour(about.colours);
    this.classes.open(about);
    this.hand.renew(about, fresh.merged);
    const merges = String(about.merged) !== String(fresh.merged);
    about.merged = fresh.merged;
    if (merges) picture.followMerges(fresh.merged).then(() => picture === this.picture && this.draw());
    return merges;
  }

  /** @param {Verdict} verdict */
  judge(verdict) {
    const { picture } = this;
    if (!picture.region || this.pointer.busy) return;
    if (verdict === "keep" && picture.region.given === -1) return void this.say("There is no given label to keep here.");
    picture.judge(verdict);
    const ahead = this.#undecidedAhead();
    if (ahead !== undefined) this.goTo(ahead);
    else this.say("Every region of this image is judged.", { action: picture.about.next === null ? null : { label: "Next image", run: () => this.act("next_image") } });
    this.draw();
  }

  /** Leave the region as it is and go to the next one that is not judged. */
  skip() {
    const { picture } = this;
    if (!picture.region || this.pointer.busy) return;
    const ahead = this.#undecidedAhead();
    if (ahead !== undefined && ahead !== picture.index) this.goTo(ahead);
    else this.say("No other region of this image is left to judge.");
  }

  #undecidedAhead() {
    const { regions, index } = this.picture;
    return [...regions.keys()].map((step) => (index + 1 + step) % regions.length).find((place) => UNDECIDED.has(regions[place].status));
  }

  /** @param {number} by */
  step(by) {
    const { regions, index } = this.picture;
    if (regions.length) this.goTo((index + by + regions.length) % regions.length);
  }

  /** @param {number} index */
  goTo(index) {
    const { picture } = this;
    if (picture.regions.length) {
      picture.index = index;
      const { region } = picture;
      this.stage.outline(region.runs);
      this.stage.reveal(region);
      this.live.textContent = `Region ${index + 1} of ${picture.regions.length}: ${nameOf(picture.about, region.given)}, suggested ${nameOf(picture.about, region.pseudo)}`;
      this.#remember(picture.about.sample);
    }
    this.pointer.draw();
    this.draw();
  }

  /** @param {Partial<Settings>} changes */
  set(changes) {
    this.settings.set(changes);
    this.stage.show(this.settings);
    this.pointer.draw();
    this.draw();
  }

  /** @param {Point} pixel */
  point(pixel) {
    this.footer.point(this.picture.about, this.painting, this.picture.predicted, pixel);
  }

  /**
   * @param {string} text
   * @param {{ action?: { label: string, run: () => unknown } | null, warning?: boolean, passing?: boolean, sticky?: boolean }} [options]
   */
  say(text, { action = null, ...options } = {}) {
    this.toast.say(text, action, options);
  }

  /** Show the save state of the mask and of the verdicts on its regions. */
  status() {
    const { saver, judging } = this.picture;
    const { outbox } = this.desk;
    const waits = judging && outbox.state !== "saved" ? outbox.state : "saving";
    const state = judging && (saver.state === "saved" || saver.state === "saving") ? waits : saver.state;
    const times = [saver.savedAt, outbox.savedAt].filter((time) => time !== null);
    const [last = null] = times.sort((a, b) => Number(new Date(b)) - Number(new Date(a)));
    this.masthead.saved({ state, unsaved: judging || saver.unsaved ? 1 : 0, savedAt: last });
  }

  draw() {
    const { picture, tool, settings, label } = this;
    if (!picture || !this.ready) return;
    this.status();
    const { history, locked } = picture.painting;
    const undo = history.undos.length > 0 || picture.about.edits[0]?.by === this.person;
    this.toolbox.draw({ tool, settings, undo, redo: history.redos.length > 0, suggests: picture.predicted !== null });
    this.classes.draw({ label: tool === "eraser" ? picture.about.ignore : label, locked });
    this.panel.draw(picture);
  }

  async askName() {
    await askName({ root: this.root, name: this.person, save: async (name) => { this.person = (await this.api.rename(name)).name ?? name; } });
    this.masthead.name(this.person);
    this.desk.identify(this.person);
    this.stage.element.focus({ preventScroll: true });
  }

  help() {
    openKeys(this, () => {
      this.toolbox.keysChanged();
      this.footer.keysChanged();
      this.draw();
    });
  }

  /** @param {number} sample */
  #remember(sample) {
    const query = new URLSearchParams(this.roundId ? { round: String(this.roundId) } : { dataset: String(this.dataset) });
    query.set("sample", String(sample));
    if (this.picture.region) query.set("finding", String(this.picture.region.id));
    history.replaceState(history.state, "", `${location.pathname}?${query}`);
  }

  unmount() {
    this.stop.abort();
    this.stage.unmount();
    this.picture?.saver.flush();
    this.element.remove();
  }
}

/** Return the review progress of an image's regions in words. @param {{ regions: number | null, undecided: number }} image */
function progressText({ regions, undecided }) {
  if (!regions) return "";
  if (!undecided) return `${number(regions)} judged`;
  return undecided === regions ? `${number(regions)} region${regions === 1 ? "" : "s"}` : `${number(undecided)} of ${number(regions)} left`;
}

/** Let the person choose between two masks of the image, until one is chosen. @param {Editor} editor */
async function settleConflict(editor) {
  const { picture, root } = editor;
  /** @param {string} label */
  const again = (label) => ({ label, run: () => settleConflict(editor) });
  try {
    const whose = await askWhose({ root, counts: await picture.compared() });
    if (whose === "mine") await picture.putMine();
    else if (whose === "theirs") await picture.takeTheirs();
    else editor.say("Your changes are kept in this browser, not saved yet.", { warning: true, action: again("Decide"), sticky: true });
  } catch (error) {
    editor.say(errorText(error), { warning: true, action: again("Try again"), sticky: true });
  }
  editor.draw();
}

/** Report unsaved changes of an earlier visit, of this image or of another one. @param {Editor} editor */
function reportRecovered(editor) {
  const { recovered, elsewhere } = editor.picture;
  const other = elsewhere.find(({ round }) => round === editor.roundId);
  if (recovered && !recovered.saved) editor.say(`Recovered unsaved changes from ${clock(recovered.at)}.`, { action: { label: "Undo", run: () => editor.undo() }, passing: true });
  else if (other) editor.say(`${other.image} has changes that are not saved yet.`, { action: { label: "Open it", run: () => editor.open(other.sample) } });
}

/** Show all keys and the gestures of the pointer. @param {Pick<Editor, "root" | "keys">} editor @param {() => void} onchange */
function openKeys({ root, keys }, onchange) {
  openHelp({ root, keys, onchange, about: "Every stroke is saved automatically.", fixed: [
    [[keycap("1"), "–", keycap("9"), keycap("0")], "the class of that number; with Shift the 11th to 20th"],
    [[keycap("wheel")], "zoom at the pointer"],
    [[keycap("Space"), "or middle button + drag"], "move the image"],
    [["two fingers"], "zoom and move the image; a second finger cancels the stroke of the first"],
    [[keycap("Alt"), "+ click"], "pick the class under the pointer"],
    [[keycap("Shift"), "+ click"], "a straight line from the last stroke"],
  ] });
}

/**
 * Ask which mask to keep; resolves to "mine", "theirs" or null when the choice is postponed. `counts` as of `merge`.
 *
 * @param {{ root: Root, counts: { mine: number, theirs: number, both: number } }} options
 * @returns {Promise<"mine" | "theirs" | null>}
 */
function askWhose({ root, counts }) {
  return new Promise((resolve) => {
    /** @type {"mine" | "theirs" | null} */
    let chosen = null;
    /** @param {"mine" | "theirs"} whose */
    const choose = (whose) => () => {
      chosen = whose;
      dialog.close();
    };
    /** @param {number} count */
    const pixels = (count) => `${number(count)} pixel${count === 1 ? "" : "s"}`;
    const clash = counts.both ? `${pixels(counts.both)} of these were changed by you as well, to something else.` : "None of these were changed by you to something else.";
    const dialog = openDialog(root, { label: "Another annotator saved this mask", className: "whose", onclose: () => resolve(chosen) },
      h("h1", {}, "Another annotator saved this mask"),
      h("p", { class: "sub" }, `While you changed ${pixels(counts.mine)}, ${pixels(counts.theirs)} were changed and saved. ${clash} Nothing is lost yet.`),
      h("div", { class: "choices" },
        h("button", { type: "button", class: "primary", onclick: choose("mine") }, "Save mine over it"), h("span", {}, "Your pixels replace theirs; all others stay as they saved them."),
        h("button", { type: "button", class: "ghost", onclick: choose("theirs") }, "Load theirs"), h("span", {}, "Yours are set aside; undo restores them.")));
  });
}
