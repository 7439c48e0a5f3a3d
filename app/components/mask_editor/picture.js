// One image in the editor: its mask, its regions, what is unsaved of it, and verdicts on its regions.

import { spansOfRuns } from "./areas.js";
import { deflate } from "./codec.js";
import { equal, merge } from "./merge.js";
import { Painting } from "./painting.js";
import { recover } from "./recovery.js";
import { Saver } from "./saver.js";

/**
 * Open an image, in a round or none, with what a dead client left unsaved of it. `person()` is the name of who paints; `post(act)` stores
 * a verdict and resolves to the server's answer; `on` holds status(status), saved(), conflict(error), refused(error), repaint(box).
 */
export async function openPicture({ api, journal, sample, round, person, client, nextSeq, isAlive, post, on }) {
  const about = await api.mask(sample, round);
  const [theirs, given, predicted] = await Promise.all([
    api.labels(about, about.version), about.given && api.labels(about, about.given), round ? ifThere(api.predicted(about, round)) : null,
  ]);
  const picture = new Picture({ api, round, about, theirs, given: given ?? theirs.slice().fill(about.ignore), predicted, post, on });
  picture.saver = new Saver({
    base: about.version, client, nextSeq, read: () => picture.painting.labels.slice(),
    encode: (labels) => deflate(picture.packed = labels), send: (sent) => api.save(sample, { round, ...sent }),
    keep: (record) => journal.keep(sample, { ...record, round, name: person(), image: about.name }), forget: () => journal.forget(sample),
    onStatus: on.status, onSaved: (answer) => picture.wasSaved(answer), onConflict: on.conflict, onRefused: on.refused,
  });
  const records = (await journal.left(isAlive)).filter(({ name }) => (name ?? person()) === person()); // the same person's
  const here = records.filter((one) => one.sample === sample);
  picture.recovered = here.length ? await picture.takeUp(here[0]) : null;
  if (here.length) await journal.drop(here[0]); // what a second one left follows when the image is opened again
  picture.elsewhere = records.filter((one) => one.sample !== sample);
  return picture;
}

/** Resolve to null what the server has not (a round's predictions may have been cleared away). */
function ifThere(asked) {
  return asked.catch((error) => {
    if (error.status === 404) return null;
    throw error;
  });
}

export class Picture {
  constructor({ api, round, about, theirs, given, predicted, post, on }) {
    Object.assign(this, { api, round, about, predicted, post, on });
    this.acknowledged = theirs; // the server's labels under the saver's base
    this.painting = new Painting({ labels: theirs.slice(), given, predicted: predicted ?? theirs, width: about.width, height: about.height, ignore: about.ignore });
    this.regions = about.regions.map((region) => ({ ...region, spans: spansOfRuns(region.runs) }));
    this.index = this.regions.length ? 0 : -1;
    this.acts = Promise.resolve(); // verdicts are stored one after another
    this.judging = 0; // how many are on their way
  }

  get region() {
    return this.regions[this.index] ?? null;
  }

  /** The labels have changed by an act of the person here. */
  touched() {
    this.saver.touch(this.region?.id ?? null);
  }

  wasSaved({ regions = [] }) {
    this.acknowledged = this.packed ?? this.acknowledged;
    const stands = new Map(regions.map(({ id, status }) => [id, status])); // its own, and what it painted over or laid bare
    for (const region of this.regions) region.status = stands.get(region.id) ?? region.status;
    this.on.saved();
  }

  /** Take the last act back, whatever it was; returns whether there was one. */
  undo() {
    return this.#turn(this.painting.undo(), (note) => {
      note.region.status = note.before;
      this.#store(() => note.changeset && { op: "undo", round: this.round, changeset: note.changeset });
    });
  }

  redo() {
    return this.#turn(this.painting.redo(), (note) => {
      note.region.status = note.verdict;
      this.#store(() => decision(note), note);
    });
  }

  #turn(turned, noted) {
    if (!turned) return false;
    if (turned.box) this.on.repaint(turned.box);
    if (turned.note) noted(turned.note);
    else this.touched();
    return true;
  }

  /** Judge the region at hand; accepting paints it at once, also over protected classes. */
  judge(verdict) {
    const { region, painting } = this;
    const note = { region, verdict, before: region.status };
    painting.begin(note);
    const box = verdict === "accept" ? painting.paint(region.spans, region.pseudo, { force: true }) : null;
    painting.end();
    region.status = verdict;
    if (box) this.on.repaint(box);
    this.#store(() => decision(note), note);
  }

  /** Go on with somebody else's mask; one's own can be brought back by undo. */
  async takeTheirs() {
    const { version, theirs } = await this.#present();
    this.painting.replace(theirs);
    this.acknowledged = theirs;
    this.on.repaint(null);
    return this.saver.rebase(version, { clean: true });
  }

  /** Put one's own changes on top of somebody else's mask. */
  async putMine() {
    await this.#merge();
    this.on.repaint(null);
  }

  /** Return how much each of two people changed, as `merge` counts it. */
  async compared() {
    const { theirs } = await this.#present();
    return merge(this.acknowledged, this.painting.labels, theirs);
  }

  /** Go on where a dead client was; returns its record when something of it is to be saved. */
  async takeUp(record) {
    const { about, api, saver, painting } = this;
    const fetchLabels = (version) => api.labels(about, version);
    const found = await recover(record, { version: about.version, theirs: this.acknowledged, fetchLabels, send: (sent) => api.save(about.sample, { round: record.round ?? null, ...sent }) });
    if (found.state === "saved") return { ...record, saved: true };
    if (found.base !== about.version) this.acknowledged = await fetchLabels(found.base).catch(() => this.acknowledged);
    saver.base = found.base;
    if (found.sent) saver.adopt(found.sent);
    painting.replace(found.labels);
    saver.touch(record.finding);
    if (found.state === "conflict") saver.stop();
    return record;
  }

  /** Store a verdict (`make()` says it when its turn has come), then bring labels and version in line with the server. */
  #store(make, note = null) {
    this.judging += 1;
    const quiet = this.saver.pause(); // from now on: between two acts that wait, what the second changes would be saved as strokes
    this.acts = this.acts.then(async () => {
      await quiet;
      try {
        const act = make();
        if (!act) return;
        const answer = await this.post(act);
        if (note) note.changeset = answer.changeset;
        for (const { id, status } of answer.items ?? []) for (const region of this.regions) if (region.id === id) region.status = status;
        if (this.saver.trouble !== "conflict") await this.#merge(); // else whose pixels stay is for the person to say
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
    const { version, theirs } = await this.#present();
    const { labels } = merge(this.acknowledged, this.painting.labels, theirs);
    if (this.painting.adopt(labels)) this.on.repaint(null);
    this.acknowledged = theirs;
    this.saver.rebase(version, { clean: equal(this.painting.labels, theirs) });
  }

  /** Resolve to the server's present version and labels; asks again while the network is away. */
  async #present() {
    for (let wait = 400; ; wait = Math.min(12_000, wait * 2)) {
      try {
        const { version } = await this.api.mask(this.about.sample, this.round);
        return { version, theirs: await this.api.labels(this.about, version) };
      } catch (error) {
        if (error.status >= 400 && error.status < 500) throw error;
        await new Promise((resolve) => { setTimeout(resolve, wait); });
      }
    }
  }
}

function decision({ region, verdict }) {
  return { op: "decide", decisions: [{ finding: region.id, verdict }] };
}
