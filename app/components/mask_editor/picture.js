// One open image: its mask, its regions, its unsaved changes, and verdicts on its regions.

import { shareClasses } from "../shared/classes.js";
import { packTiles } from "./api.js";
import { LARGE, merge } from "./grid.js";
import { recover } from "./journal.js";
import { Painting } from "./painting.js";
import { Saver } from "./saver.js";
import { spansOfRuns } from "./spans.js";
/** @import { Act, ActNote, Box, ClassId, ClassNote, ColouredClasses, Failure, Labels, MaskInfo, MaskRecord, MaskRegion, MaskSave, MaskSaved, SaveStatus, Verdict, VerdictNote } from "../shared/types.d.ts" */
/** @import { MaskApi } from "./api.js" */
/** @import { Journal } from "./journal.js" */

/**
 * Listeners to an open image: `repaint` redraws a box, or everything if null; `classes` tells the server's classes after an act.
 *
 * @typedef {object} PictureEvents
 * @property {(status: SaveStatus) => void} status
 * @property {() => void} saved
 * @property {(error: Failure) => void} conflict
 * @property {(error: Failure) => void} refused
 * @property {(error: Failure, name: string) => void} held
 * @property {(box: Box | null) => void} repaint
 * @property {() => void} loaded
 * @property {(answer: ColouredClasses, at: number | null) => void} classes
 */

/**
 * Options of an opened image: `person()` returns the annotator's name, `post(act)` stores an act and resolves to the server's answer.
 *
 * @typedef {object} OpenOptions
 * @property {MaskApi} api
 * @property {Journal} journal
 * @property {number} sample
 * @property {number | null} round
 * @property {() => string | null} person
 * @property {string} client
 * @property {() => number} nextSeq
 * @property {(client: string) => boolean} isAlive
 * @property {(act: Act) => Promise<any>} post
 * @property {PictureEvents} on
 */

/**
 * Open an image, in a round or none, with unsaved changes of a dead client.
 *
 * Of a large image only the mask is awaited, the prediction follows.
 *
 * @param {OpenOptions} options
 */
export async function openPicture({ api, journal, sample, round, person, client, nextSeq, isAlive, post, on }) {
  const about = await api.mask(sample, round);
  about.classes = shareClasses(about);
  const large = about.width * about.height > LARGE;
  const [labels, given, predicted] = await Promise.all([
    api.labels(about, about.version), large ? null : givenOf(api, about), large ? null : predictedOf(api, about, round),
  ]);
  const picture = new Picture({ api, round, about, labels, given, predicted, post, on });
  if (large && round) picture.loadPredicted();
  const { changes } = picture.painting;
  picture.saver = new Saver({
    base: about.version, client, nextSeq, changes, encode: packTiles, send: (save) => api.save(sample, { round, ...save }),
    keep: (read) => journal.keep(sample, () => ({ ...read(), round, name: person(), image: about.name, width: about.width, height: about.height })),
    forget: () => journal.forget(sample),
    onStatus: on.status, onSaved: (answer) => picture.wasSaved(answer), onConflict: on.conflict, onRefused: on.refused, onHeld: (error) => on.held(error, about.name),
  });
  const records = (await journal.left(isAlive)).filter(({ name }) => (name ?? person()) === person()); // the same person's
  const here = records.filter((record) => record.sample === sample);
  picture.recovered = here.length ? await picture.takeUp(here[0]) : null;
  if (here.length) await journal.drop(here[0]); // a second record is taken up when the image is opened again
  picture.elsewhere = records.filter((record) => record.sample !== sample);
  return picture;
}

/**
 * Resolve to the given mask of an image; without one, to the value of pixels without a label.
 *
 * @param {MaskApi} api
 * @param {MaskInfo} about
 * @returns {Promise<Labels> | number}
 */
function givenOf(api, about) {
  return about.given ? api.labels(about, about.given) : about.ignore;
}

/**
 * Resolve to the prediction of a round; null if there is none (it may have been deleted).
 *
 * @param {MaskApi} api
 * @param {MaskInfo} about
 * @param {number | null} round
 */
async function predictedOf(api, about, round) {
  if (!round) return null;
  try {
    return await api.predicted(about, round);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

export class Picture {
  /** @type {Saver} Set by `openPicture`. */ saver;

  /**
   * @param {object} options
   * @param {MaskApi} options.api
   * @param {number | null} options.round
   * @param {MaskInfo} options.about
   * @param {Labels} options.labels
   * @param {Labels | number | null} options.given
   * @param {Labels | null} options.predicted
   * @param {(act: Omit<Act, "seq">) => Promise<any>} options.post
   * @param {PictureEvents} options.on
   */
  constructor({ api, round, about, labels, given, predicted, post, on }) {
    this.api = api;
    this.round = round;
    this.about = about;
    this.post = post;
    this.on = on;
    const { width, height, ignore } = about;
    this.painting = new Painting({ labels, given, predicted, width, height, ignore });
    /** @type {(MaskRecord & { saved?: boolean }) | null} */
    this.recovered = null; // record of a dead client that was taken up
    /** @type {MaskRecord[]} */
    this.elsewhere = []; // records of other images
    this.loading = false; // whether the prediction is loading
    /** @type {MaskRegion[]} */
    this.regions = about.regions.map((region) => ({ ...region, spans: spansOfRuns(region.runs) }));
    this.index = this.regions.length ? 0 : -1;
    /** @type {Promise<unknown>} */
    this.acts = Promise.resolve(); // verdicts are stored one after another
    this.judging = 0; // number of unanswered verdicts
  }

  get region() {
    return this.regions[this.index] ?? null;
  }

  /** Prediction of the round, null if there is none or it is not loaded yet. */
  get predicted() {
    return this.painting.predicted;
  }

  async loadPredicted() {
    const { api, about, round, painting, on } = this;
    this.loading = true;
    try {
      painting.predicted = await predictedOf(api, about, round);
    } catch (error) {
      on.refused(error); // it can be painted without
    }
    this.loading = false;
    on.loaded();
  }

  async loadGiven() {
    this.painting.given = await givenOf(this.api, this.about);
  }

  /** The labels have changed by an act of the person here. */
  touched() {
    this.saver.touch(this.region?.id ?? null);
  }

  /** @param {MaskSaved} answer */
  wasSaved({ regions = [] }) {
    const statuses = new Map(regions.map(({ id, status }) => [id, status])); // its own, and those whose pixels changed
    for (const region of this.regions) region.status = statuses.get(region.id) ?? region.status;
    this.on.saved();
  }

  /** Undo the last act; returns whether there was one. */
  undo() {
    return this.#turn(this.painting.undo(), (note) => {
      if ("added" in note) return this.#storeClass(() => note.changeset && { op: "undo", changeset: note.changeset });
      note.region.status = note.before;
      return this.#store(() => note.changeset && { op: "undo", round: this.round, changeset: note.changeset });
    });
  }

  /**
   * Undo the newest edit of an earlier visit, if this person made it and nothing followed; resolves to "" when done, else to the reason
   * why not.
   *
   * @param {string | null} person
   */
  async undoEarlier(person) {
    const { api, saver, painting } = this;
    if (saver.state === "saving") await saver.drained();
    const waits = () => saver.unsaved || this.judging;
    if (waits()) return "Earlier strokes can be undone once everything is saved.";
    const about = await api.mask(this.about.sample, this.round);
    if (about.version !== saver.base) return "This image was changed elsewhere. Reload it to continue.";
    const [edit] = about.edits;
    if (!edit && about.merged_since) return "Classes were merged after the strokes before this, so these cannot be undone here. To continue, undo the merge on the Classes page.";
    if (!edit) return "Nothing left to undo here.";
    if (edit.by !== person) return `The last stroke is by ${edit.by}. Only your own can be undone.`;
    const labels = await api.labels(about, edit.base);
    if (waits() || painting.history.undos.length || painting.history.open) return "You painted meanwhile; nothing earlier was undone.";
    painting.goBack(painting.tilesOf(labels));
    this.about.edits = about.edits.slice(1);
    this.on.repaint(null);
    this.touched();
    return "";
  }

  redo() {
    return this.#turn(this.painting.redo(), (note) => {
      if ("added" in note) return this.#storeClass(() => addition(note), note);
      note.region.status = note.verdict;
      return this.#store(() => decision(note), note);
    });
  }

  /** @param {{ box: Box | null, note: ActNote | null } | null} turned @param {(note: ActNote) => unknown} noted */
  #turn(turned, noted) {
    if (!turned) return false;
    if (turned.box) this.on.repaint(turned.box);
    if (turned.note) noted(turned.note);
    else this.touched();
    return true;
  }

  /** Give the current region a verdict; its effect on pixels is painted at once, also over protected classes. @param {Verdict} verdict */
  judge(verdict) {
    const { region, painting } = this;
    if (!region) return;
    /** @type {VerdictNote} */
    const note = { region, verdict, before: region.status };
    painting.begin(note);
    const label = verdict === "accept" ? region.pseudo : verdict === "ambiguous" || verdict === "exclude" ? this.about.ignore : undefined;
    const box = label === undefined ? null : painting.paint(region.spans ?? [], label, { force: true });
    painting.end();
    region.status = verdict;
    if (box) this.on.repaint(box);
    this.#store(() => decision(note), note);
  }

  /** Add a class as an act that undo takes back; resolves to its id, null if it was refused. @param {string} name */
  async addClass(name) {
    const note = { added: name };
    this.painting.begin(note);
    this.painting.end();
    return (await this.#storeClass(() => addition(note), note))?.class ?? null;
  }

  /**
   * Follow merges of classes and their undo, which both make another version of the mask. Unsaved strokes stay.
   *
   * @param {[ClassId, ClassId][]} merged
   */
  followMerges(merged) {
    this.painting.exchange(merged);
    this.on.repaint(null);
    this.judging += 1;
    const quiet = this.saver.pause();
    this.acts = this.acts.then(async () => {
      await quiet;
      try {
        if (this.saver.trouble !== "conflict") await this.#merge();
      } catch (error) {
        this.on.refused(error);
      } finally {
        this.judging -= 1;
        this.saver.resume();
        this.on.saved();
      }
    });
    return this.acts;
  }

  /** Continue with the mask of another annotator; undo restores the own changes. */
  async takeTheirs() {
    const { version, theirs } = await this.#present();
    const { painting, saver } = this;
    painting.replace(painting.tilesOf(theirs));
    painting.changes.rebase(new Map());
    this.on.repaint(null);
    return saver.rebase(version, { clean: true });
  }

  /** Apply the own changes on top of another annotator's mask. */
  async putMine() {
    await this.#merge();
    this.on.repaint(null);
  }

  /** Return how much each of two people changed, as `merge` counts it. */
  async compared() {
    const { theirs } = await this.#present();
    return merge(this.painting, theirs);
  }

  /** Take up the changes of a dead client; returns its record when some are still to be saved. @param {MaskRecord} record */
  async takeUp(record) {
    const { about, api, saver, painting } = this;
    const { version, width, height } = about;
    /** @param {string} older */
    const fetchLabels = (older) => api.labels(about, older);
    /** @param {MaskSave} save */
    const send = (save) => api.save(about.sample, { round: record.round ?? null, ...save });
    const found = await recover(record, { version, theirs: painting.labels, width, height, fetchLabels, send });
    if (found.state === "saved") return { ...record, saved: true };
    if (found.labels !== painting.labels) painting.labels.set(found.labels);
    saver.base = found.base;
    if (found.sent) saver.adopt(found.sent);
    painting.replace(found.tiles);
    painting.changes.saved(found.stored ?? new Map());
    saver.touch(record.finding);
    if (found.state === "conflict") saver.stop();
    return record;
  }

  /**
   * Store an act on the classes after earlier strokes are saved; resolves to the server's answer, null if there is none.
   *
   * @param {() => Act | null | undefined | 0} make
   * @param {ActNote | null} [note]
   */
  #storeClass(make, note = null) {
    this.judging += 1;
    const stored = this.acts.then(async () => {
      await this.saver.flush();
      const act = make();
      if (!act) return null;
      const answer = await this.post({ ...act, dataset: this.about.dataset });
      if (note) note.changeset = answer.changeset;
      this.on.classes(answer, answer.changeset);
      return answer;
    }).catch((error) => {
      this.on.refused(error);
      return null;
    }).finally(() => {
      this.judging -= 1;
      this.on.saved();
    });
    this.acts = stored;
    return stored;
  }

  /**
   * Store a verdict, which `make()` returns when its turn has come, then align labels and version with the server.
   *
   * @param {() => Act | null | undefined | 0} make
   * @param {ActNote | null} [note]
   */
  #store(make, note = null) {
    this.judging += 1;
    const quiet = this.saver.pause(); // from now on: the effect of a second waiting act would be saved as strokes otherwise
    this.acts = this.acts.then(async () => {
      await quiet;
      try {
        const act = make();
        if (!act) return;
        const answer = await this.post(act);
        if (note) note.changeset = answer.changeset;
        for (const { id, status } of answer.items ?? []) for (const region of this.regions) if (region.id === id) region.status = status;
        if (this.saver.trouble !== "conflict") await this.#merge(); // in a conflict the person decides
      } catch (error) {
        this.on.refused(error);
      } finally {
        this.judging -= 1;
        this.saver.resume();
        this.on.saved();
      }
    });
  }

  async #merge() {
    const { version, theirs, regions } = await this.#present();
    const { painting, saver } = this;
    const present = new Map(regions.map((region) => [region.id, region]));
    for (const region of this.regions) Object.assign(region, classesOf(present.get(region.id) ?? region));
    const { tiles, before } = merge(painting, theirs);
    painting.adopt(tiles);
    painting.changes.rebase(before);
    if (tiles.size) this.on.repaint(null);
    saver.rebase(version, { clean: before.size === 0 });
  }

  /** Resolve to the server's present version and labels; asks again while the network is away. */
  async #present() {
    for (let wait = 400; ; wait = Math.min(12_000, wait * 2)) {
      try {
        const { version, regions } = await this.api.mask(this.about.sample, this.round);
        return { version, regions, theirs: await this.api.labels(this.about, version) };
      } catch (error) {
        if (error.status >= 400 && error.status < 500) throw error;
        await new Promise((resolve) => { setTimeout(resolve, wait); });
      }
    }
  }
}

/** @param {Pick<MaskRegion, "given" | "pseudo">} region */
const classesOf = ({ given, pseudo }) => ({ given, pseudo });

/** @param {ClassNote} note @returns {Act} */
function addition({ added }) {
  return { op: "add_class", name: added };
}

/** @param {VerdictNote} note @returns {Act} */
function decision({ region, verdict }) {
  return { op: "decide", decisions: [{ finding: region.id, verdict }] };
}
