// The mask editor: holds what is shown, opens images, and wires the parts together.

import { told } from "../review_grid/api.js";
import { h } from "../review_grid/dom.js";
import { troubleState } from "../review_grid/empty.js";
import { askName } from "../review_grid/name_dialog.js";
import { Toast } from "../review_grid/toast.js";
import { areaOf } from "./areas.js";
import { openKeys, settleConflict, tellRecovered } from "./choices.js";
import { ClassList, nameOf } from "./class_list.js";
import { Hand } from "./hand.js";
import { openImageSearch } from "./image_search.js";
import { Footer, Masthead } from "./masthead.js";
import { openPicture } from "./picture.js";
import { Pointer } from "./pointer.js";
import { RegionPanel } from "./region_panel.js";
import { Settings } from "./settings.js";
import { Stage } from "./stage.js";
import { Toolbox } from "./toolbox.js";

const PUT_OFF_MS = 1500; // how long leaving an image waits for its last save; it goes on in the background
const UNDECIDED = new Set(["open", "second_opinion", "bulk"]);

export class Editor {
  /** `desk` holds what outlives an image: {client, nextSeq, journal, isAlive, post, outbox, savers, settled(ms)}. */
  constructor({ root, api, keys, storage, dataset, roundId, desk, act }) {
    Object.assign(this, { root, api, keys, dataset, roundId, desk, act, ready: false }); // no round: none has looked at the images yet
    this.stop = new AbortController();
    this.settings = new Settings(storage);
    this.toast = new Toast();
    this.live = h("div", { class: "live", role: "status" });
    this.stage = new Stage();
    this.hand = new Hand(this);
    this.pointer = new Pointer(this);
    this.masthead = new Masthead({ keys, on: { act, name: () => this.askName() } });
    this.toolbox = new Toolbox({ keys, on: { act, mode: () => this.stage.element.focus(), set: (changes) => this.set(changes) } });
    this.classes = new ClassList({ on: { pick: (id) => this.hand.choose(id), lock: (id) => this.hand.lock(id), done: () => this.stage.element.focus() } });
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

  /** Open an image, with the region of this id (else its first undecided one) at hand. */
  async open(sample, finding = null) {
    this.ready = false;
    this.element.dataset.ready = "false";
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

  #listeners(mine) {
    const here = (run) => (...given) => { if (this.picture && this.picture === mine()) run(...given); };
    return {
      status: here(() => this.status()), saved: here(() => this.draw()), repaint: here((box) => this.stage.draw(box)),
      conflict: here(() => settleConflict(this)),
      refused: here((error) => this.say(told(error), { warning: true })),
    };
  }

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
    const url = `${this.api.base}/image/${about.hash}/0.webp`;
    this.stage.contour = false;
    this.stage.open({ painting, colours: about.colours, url, label: `Mask of ${about.name}` });
    this.stage.show(this.settings);
    this.ready = true;
    const asked = picture.regions.findIndex(({ id }) => id === finding);
    const undecided = picture.regions.findIndex(({ status }) => UNDECIDED.has(status));
    this.goTo(asked >= 0 ? asked : Math.max(0, undecided));
    this.hand.open(picture);
    this.element.dataset.ready = "true";
    this.stage.element.focus({ preventScroll: true });
    if (picture.saver.trouble === "conflict") settleConflict(this);
    else tellRecovered(this);
  }

  /** Go to another image. */
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
    const search = (name, after) => api.images({ dataset, round, name, after });
    openImageSearch({ root, base: api.base, search, current: this.picture?.about.sample, onpick: (sample) => this.turn(sample) });
  }

  /** Paint spans as one act. */
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
    if (!this.pointer.busy) this.#turned(this.picture.undo(), "Nothing left to undo here.");
  }

  redo() {
    if (!this.pointer.busy) this.#turned(this.picture.redo(), "Nothing to redo.");
  }

  #turned(done, otherwise) {
    this.toast.pass(); // its offer would take back another act by now
    if (!done) this.say(otherwise);
    this.draw();
  }

  judge(verdict) {
    const { picture } = this;
    if (!picture.region || this.pointer.busy) return;
    if (verdict === "keep" && picture.region.given === -1) return void this.say("There is no given label to keep here.");
    picture.judge(verdict);
    const { regions, index } = picture;
    const ahead = [...regions.keys()].map((step) => (index + 1 + step) % regions.length).find((place) => UNDECIDED.has(regions[place].status));
    if (ahead !== undefined) this.goTo(ahead);
    else this.say("Every region of this image is judged.", { action: picture.about.next === null ? null : { label: "Next image", run: () => this.act("next_image") } });
    this.draw();
  }

  step(by) {
    const { regions, index } = this.picture;
    if (regions.length) this.goTo((index + by + regions.length) % regions.length);
  }

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

  set(changes) {
    this.settings.set(changes);
    this.stage.show(this.settings);
    this.pointer.draw();
    this.draw();
  }

  point(pixel) {
    this.footer.point(this.picture.about, this.painting, this.picture.predicted, pixel);
  }

  say(text, { action = null, ...options } = {}) {
    this.toast.say(text, action, options);
  }

  /** Say whether everything is saved: the mask and the verdicts on its regions. */
  status() {
    const { saver, judging } = this.picture;
    const { outbox } = this.desk;
    const waits = judging && outbox.state !== "saved" ? outbox.state : "saving";
    const state = judging && (saver.state === "saved" || saver.state === "saving") ? waits : saver.state;
    const [last] = [saver.savedAt, outbox.savedAt].filter(Boolean).sort((one, other) => new Date(other) - new Date(one));
    this.masthead.saved({ state, unsaved: judging || saver.unsaved ? 1 : 0, savedAt: last });
  }

  draw() {
    const { picture, tool, settings, label } = this;
    if (!picture || !this.ready) return;
    this.status();
    const { history, locked } = picture.painting;
    this.toolbox.draw({ tool, settings, undo: history.undos.length > 0, redo: history.redos.length > 0, suggests: picture.predicted !== null });
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

  #remember(sample) {
    const query = new URLSearchParams({ ...(this.roundId ? { round: this.roundId } : { dataset: this.dataset }), sample, ...(this.picture.region ? { finding: this.picture.region.id } : {}) });
    history.replaceState(history.state, "", `${location.pathname}?${query}`);
  }

  unmount() {
    this.stop.abort();
    this.stage.unmount();
    this.picture?.saver.flush();
    this.element.remove();
  }
}
