// Shapes that the components share: answers of the server, acts of people. Read by the type checker and by people, never by the browser.

/** Verdict of a person on a finding. */
export type Verdict = "accept" | "keep" | "relabel" | "ambiguous" | "exclude" | "second_opinion";

/** Status of a finding: open, decided by a verdict, accepted in bulk, or painted over in the mask editor. */
export type Status = Verdict | "open" | "bulk" | "painted";

/** Kind of a finding: given and suggested class differ, agree, or nothing is given. */
export type Kind = "suspicious" | "agreeing" | "unlabelled";

/** Class ids: index into a dataset's names; -1 where there is no label. */
export type ClassId = number;

/** Names of a dataset's classes by id, and the ids to choose from in the order of listing. One array that all parts of a page share. */
export type Classes = string[] & { offered?: ClassId[] };

/** Classes as the server sends them. `merged` are pairs: a merged class and the class that it means now. */
export interface ClassList {
  classes: string[];
  offered: ClassId[];
  colours: string[] | null;
  merged: [ClassId, ClassId][];
}

/** Classes of masks, which have colours. */
export interface ColouredClasses extends ClassList {
  colours: string[];
}

/** Classes by which others are recognised as newer or older: their names, and the ids to choose from. */
export type ClassNames = Pick<ClassList, "classes" | "offered">;

/** Box of pixels in an image. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Region of a finding; `crop` is [x, y, width, height] of its picture. */
export interface Region extends Box {
  area: number;
  crop: [number, number, number, number];
  version: string;
}

/** State of a finding as verdicts change it. */
export interface FindingState {
  status: Status;
  label: ClassId | null;
  by: string | null;
  edited?: boolean;
}

/** Finding of a round on one sample or one region: a card of the review. */
export interface Finding extends FindingState {
  id: number;
  sample_id: number;
  name: string;
  hash: string;
  width: number;
  height: number;
  given: ClassId;
  pseudo: ClassId;
  confidence: number | null; // null in an audit
  self_confidence: number | null;
  likely: [ClassId, number | null][]; // with their probabilities, the likeliest first
  split: string;
  fold: number;
  rank: number | null;
  kind: Kind;
  contradicting: number | null; // networks of the round that contradict the label
  region: Region | null; // null for findings on whole images
  note?: string;
  skipped?: boolean; // in this browser
  choices?: ClassId[]; // in an audit: the classes in question
  place?: number; // in an audit: index in its random order
}

/** Verdict on one finding, as it is sent. */
export interface Decision {
  finding: number;
  verdict: Verdict;
  label?: ClassId;
}

/** Change of a finding by an act. */
export interface Change {
  item: Finding;
  before: FindingState;
  after: FindingState;
}

/** Act of the review that undo can take back at once. */
export interface LoggedAct {
  changes: Change[];
  noted?: { item: Finding; before: string; after: string };
  changeset?: number;
}

/** Act on its way to the server; `op` decides which of the other fields it has. */
export interface Act {
  seq?: number;
  op: "decide" | "note" | "tag" | "undo" | "redo" | "add_class" | "rename_class" | "merge_classes" | "reorder_classes";
  round?: number | null;
  dataset?: number;
  decisions?: Decision[];
  finding?: number;
  sample?: number;
  text?: string;
  classes?: ClassId[];
  changeset?: number;
  audit?: number;
  blind?: boolean;
  name?: string;
  images?: string[]; // names of the images of an act that is held back
}

/** Act in an outbox: `own` of this page, else taken over from a dead client; `held` while its round or dataset is deleted. */
export interface OutboxEntry {
  client: string;
  name: string | null;
  act: Act;
  own: boolean;
  held?: boolean;
}

/** Answer of the server to an act. `taken` is set by the outbox: an undo took the act back before it was stored. */
export interface ActResult {
  seq?: number;
  changeset?: number | null;
  saved_at?: string;
  items?: (FindingState & { id: number; note?: string })[];
  undone?: { text: string; act: string };
  error?: string;
  cure?: string;
  status?: number;
  deleted?: boolean;
  images?: string[];
  taken?: boolean;
  classes?: string[];
  offered?: ClassId[];
  colours?: string[] | null;
  merged?: [ClassId, ClassId][];
  image?: { sample: number };
}

/** Answer of the server to an act on classes; `class` and `name` are those of a new one. */
export type ClassActResult = ActResult & ClassList & { class?: ClassId; name?: string };

/** Failure of a request or of an act: an exception, or the server's answer. Status 0: no network. */
export interface Failure {
  error?: string;
  message?: string;
  cure?: string;
  status?: number;
  body?: { error?: string; deleted?: boolean };
}

export type SaveState = "saved" | "saving" | "offline" | "name" | "held" | "conflict" | "refused";

/** State of an outbox or a saver, for the line that shows it. */
export interface SaveStatus {
  state: SaveState;
  unsaved: number;
  savedAt: string | null;
  held?: number;
}

/** Filter of findings, as in the page's address; `given` and `pseudo` are class ids, null for any. */
export interface Filter {
  show: string;
  status: string;
  given: ClassId | null;
  pseudo: ClassId | null;
  min: number;
  max: number;
  split: string;
  fold: number | null;
  by: string;
  path: string;
  min_area: number;
  sample: number | null;
  similar: string;
  order: string;
}

/** Counts under a filter. `histogram` has 100 bins of confidence; `kept_out` is the part that no bulk act touches. */
export interface Counts {
  total: number;
  todo: number;
  decided: number;
  second_opinion: number;
  by_status: Partial<Record<Status, number>>;
  kinds: Partial<Record<Kind, number>>;
  pairs: [ClassId, ClassId, number][];
  histogram: number[];
  kept_out?: { splits: string[]; histogram: number[] };
  labels: number[];
  images: number;
  enough: number;
}

/** Share of right labels with its interval; `counted` where all are judged. */
export interface Share {
  share: number;
  low: number;
  high: number;
  level: number;
  verdicts: number;
  of: string;
  counted: boolean;
}

export interface Certificate {
  text: string;
  size: number;
  open: number;
}

/** Audit: a random sample of a fixed set, with its evidence so far. */
export interface AuditState {
  id: number;
  round: number;
  kind: Kind;
  state: "open" | "certified" | "failed" | "closed";
  closed: boolean;
  filter: Partial<Filter>;
  threshold: number | null;
  by_class: boolean;
  parent: number | null;
  size: number;
  judged: number;
  right: number;
  wrong: number;
  beyond: number;
  needed: number | null;
  gap: { finding: number; place: number; why: string; by: string | null } | null;
  text: string;
  estimate: Share | null;
  certificate: Certificate | null;
  quarters?: AuditState[];
}

/** Known precision of a set. */
export interface Known {
  size: number;
  text: string;
  model: number | null;
  precision: Share | null;
  certificate: Certificate | null;
}

/** Preview of a bulk act. `changes` are [given, suggested, count]. */
export interface BulkPreview {
  count: number;
  size: number;
  changes: [ClassId, ClassId, number][];
  sample: Finding[];
  threshold: number | null;
  left_out: string;
  known: Known;
  audit: AuditState | null;
  to_certify: number | null;
  not_drawn: string | null;
}

/** Results of the random verdicts of a round. */
export interface Recalibration {
  verdicts: number;
  agreeing_verdicts?: number;
  proposed_threshold: number | null;
  reason: string;
  errors?: { text: string } | null;
  next_errors?: { estimate: number; low: number; high: number } | null;
  next_cards?: number;
  warning?: string | null;
}

/** Threshold of a class of its own, and what it rests on. */
export interface ClassThreshold {
  label: ClassId;
  percent: number;
  basis: string;
  precision: number | null;
}

/** Bulk act; `of`: how many findings it will be of, null once all its parts are stored. */
export interface BulkAct {
  changeset: number;
  by: string;
  at: string;
  size: number;
  of: number | null;
  live: boolean;
  threshold: number | null;
}

/** Round under review, with the choices of its filters. */
export interface RoundInfo extends Omit<ClassList, "classes"> {
  classes: Classes;
  task: "classification" | "segmentation";
  round: {
    id: number;
    number: number;
    status: string;
    dataset_id: number;
    dataset: string;
    config: Record<string, any>;
    recipe: string;
    suggests: boolean;
    accuracy: number | null;
    proposed_threshold: number | null;
    class_thresholds: ClassThreshold[] | null;
    has_similarity: boolean;
  };
  window: [number, number] | null;
  boundary_differences: number | null;
  mean_iou: number | null;
  splits: string[];
  folds: number;
  networks: number;
  annotators: string[];
  rounds: { id: number; number: number; status: string }[];
  datasets: { id: number; name: string; round: number }[];
  bulk_acts: BulkAct[];
  audits: AuditState[];
  recalibration: Recalibration | null;
  hints: { text: string; advice: string; classes: [ClassId, ClassId] | null }[];
  may_lead: boolean; // bulk acts, random samples and removals
}

/** Details of a finding. */
export interface FindingDetail extends Finding {
  path: string;
  history: { round: number; pseudo: ClassId; confidence: number }[];
  decisions: { verdict: Verdict; label: ClassId | null; by: string; at: string; bulk: boolean; live: boolean; round: number }[];
  notes: { text: string; by: string; at: string; live: boolean }[];
  neighbours: Finding[];
  alike: { count: number; similar: string } | null;
}

/** Verdict of this annotator that another one overruled. */
export interface Overruled {
  id: number;
  name: string;
  by: string;
  status: Status;
  label: ClassId | null;
  own: { status: Status; label: ClassId | null };
}

/** News of a round or dataset: the number of the newest act; after acts of others also what they changed. */
export interface News extends Partial<ClassList> {
  state: number;
  acted?: boolean;
  overruled?: Overruled[];
  dataset?: number; // which the question was about
}

/** Labels of a mask, or of a part of it, row by row. */
export type Labels = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

/** Labels by tile. */
export type Tiles = Map<number, Labels>;

/** Region of a mask in the editor; `runs` are y, x, length, ...; `spans` are y, from, to, ... */
export interface MaskRegion extends Box {
  id: number;
  given: ClassId;
  pseudo: ClassId;
  confidence: number;
  area: number;
  status: Status;
  runs: number[];
  spans?: number[];
}

/** Image in the mask editor: its present version, its regions, its neighbours by name. */
export interface MaskInfo extends Omit<ColouredClasses, "classes"> {
  classes: Classes;
  sample: number;
  dataset: number;
  name: string;
  hash: string;
  width: number;
  height: number;
  dtype: "uint8" | "uint16";
  ignore: number; // value of pixels without a label
  version: string;
  given: string | null; // version of the given mask
  tags: ClassId[] | null;
  regions: MaskRegion[];
  edits: { by: string; base: string }[]; // newest first
  merged_since: boolean;
  previous: number | null;
  next: number | null;
}

/** Save of a mask: the tiles that changed since the version `base`. */
export interface MaskSave {
  client: string;
  seq: number;
  base: string;
  finding: number | null;
  tiles: Tiles;
  body: Uint8Array<ArrayBuffer>;
  revision: number;
  keepalive?: boolean;
}

/** Answer to a save of a mask. `regions` are the one it belongs to and those whose pixels changed. */
export interface MaskSaved {
  version: string;
  saved_at?: string;
  regions?: Pick<MaskRegion, "id" | "status">[];
}

/** Act on an image that undo takes back with its pixels: a verdict on a region, or a new class. `changeset` once it is stored. */
export type ActNote = VerdictNote | ClassNote;

export interface VerdictNote {
  region: MaskRegion;
  verdict: Verdict;
  before: Status;
  changeset?: number | null;
}

export interface ClassNote {
  added: string;
  changeset?: number | null;
}

/** Labels of a tile in the server's version of the mask and here. */
export interface TileChange {
  before: Labels;
  now: Labels;
}

/** Unsaved changes of a mask since the version `base`; `sent` is the request without an answer. */
export interface UnsavedMask {
  tiles: Map<number, TileChange>;
  base: string;
  finding: number | null;
  sent: MaskSave | null;
}

/** Record of the journal of unsaved masks; one of an older release holds the whole mask, `labels`, in place of tiles. */
export interface MaskRecord extends UnsavedMask {
  client: string;
  sample: number;
  round: number | null;
  name: string | null;
  image: string;
  width: number;
  height: number;
  at: string;
  labels?: Labels;
}

/** Image to tag; `suggested` are classes with their share of the pixels. */
export interface TagImage {
  sample: number;
  name: string;
  hash: string;
  width: number;
  height: number;
  masked: boolean;
  tags: ClassId[] | null;
  by: string | null;
  suggested: [ClassId, number][];
}

/** Dataset in the tag panel; `round` is the one that suggests. */
export interface TagInfo extends Omit<ColouredClasses, "classes"> {
  classes: Classes;
  dataset: number;
  counts: { images: number; tagged: number; masked: number; left: number };
  round: { id: number; number: number } | null;
}

/** Numbers of what carries a class or names it. */
export interface ClassUse {
  images: number;
  decided: number;
  regions: number;
  tagged: number;
  open: number;
}

/** Everything on the Classes page. */
export interface ClassOverview extends ClassList {
  uses: Record<ClassId, ClassUse>;
  history: { changeset: number; text: string; by: string; at: string; live: boolean }[]; // newest first
  alike: { classes: [ClassId, ClassId]; why: string }[];
}

/** Image that a search found, with words about it. */
export interface FoundImage {
  id: number;
  hash: string;
  name: string;
  words: string;
}

/** Key table: action, description, combinations. */
export type KeyTable = [action: string, description: string, combos: string[]][];

/** Position as [x, y]. */
export type Point = [x: number, y: number];

/** Clock functions that tests replace. */
export interface Timers {
  setTimeout: (run: () => void, milliseconds?: number) => any;
  clearTimeout: (timer: any) => void;
}

type Listeners = { [Name in keyof HTMLElementEventMap as `on${Name}`]?: ((event: HTMLElementEventMap[Name]) => unknown) | null };

/** Listeners (on*), class, style, dataset, attributes and properties of an element; null and undefined are left out. */
export interface Props extends Listeners {
  [name: string]: any;
}

/** Content of an element; lists are flattened, and null, undefined and false left out. */
export type Child = Node | string | false | null | undefined | readonly Child[];

/** Call of a component by Streamlit. */
export interface Mounting<Data> {
  parentElement: HTMLElement;
  data: Data;
}

/** View of a component; `stop` aborts what it listens to. */
export interface MountedView {
  element: HTMLElement;
  stop: AbortController;
  unmount(): void;
}

/** Component in a page. `wanted` identifies its view, `show` replaces it, `onGone` runs after the last one is unmounted. */
export interface Entry<View extends MountedView> {
  wanted: unknown;
  view: View | null;
  gone: boolean;
  onGone: () => void;
  show(build: () => View): View;
  cleanup(): void;
}

/** Place in a page where a component or a dialog is put. */
export type Root = ShadowRoot | HTMLElement;
