"""Acts on the classes of a dataset: add, rename, merge, reorder. Undone and redone like verdicts, by the same keys.

An act is a changeset whose note names the classes. The names, retired and merged classes and the order on a dataset's
row follow from all acts (`core.judge.class_acts`) and are written in the same transaction. A merge rewrites no label:
queries return labels as the classes they mean (`db.queries.datasets`), and what rounds found is moved along.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.reviews.parts import unfinished_text
from app.services.reviews.store import ActKey, Actor, RefusedError, Saved, store_once
from core.data.masks.colours import class_table
from core.data.masks.store import MaskStore, classes_in
from core.judge.class_acts import (
    ClassAct,
    ClassActKind,
    act_text,
    clean_class_name,
    find_class,
    order_of,
    resolve_classes,
    stored_act,
)
from core.judge.review import resolve
from core.types import NO_LABEL, Act, ClassState, Task
from db.queries import classes as rows, datasets, decisions, projection, snapshots, tags
from db.queries.datasets import DatasetInfo

_LabelUses = tuple[Counter[int], Counter[int], Counter[int]]  # by class: images, decided ones, regions


@dataclass(frozen=True, slots=True)
class AddedClass:
    """A class by its id; `saved` is None if it existed already and nothing was stored."""

    id: int
    name: str
    saved: Saved | None


@dataclass(frozen=True, slots=True)
class ListedClass:
    """One class with the number of images given it; None for masks.

    `merged_into` is the target of its merge. Only a class that is neither `retired` nor merged can be assigned.
    """

    id: int
    name: str
    given: int | None
    retired: bool
    merged_into: int | None = None


@dataclass(frozen=True, slots=True)
class ClassUse:
    """Current counts of labels, decisions and tags with one class.

    `images` have it as their label, or in the mask that the last import read; `decided` of them, of masks so many
    regions, have it by a verdict. `regions` of the newest round are given it or suggested to be it, 0 where labels are
    no masks; `tagged` images have it in their tags. `open_findings` contradict a label, are undecided and name it.
    """

    id: int
    name: str
    images: int
    decided: int
    regions: int
    tagged: int
    open_findings: int


@dataclass(frozen=True, slots=True)
class MergePreview:
    """Effect of a merge: the merged classes, the target, and the findings that would then agree."""

    merged: tuple[ClassUse, ...]
    into: ClassUse
    settled_findings: int  # open ones of the newest round between these classes: they leave the queue


@dataclass(frozen=True, slots=True)
class PastClassAct:
    """One act on classes, in words; `live`: it is not undone."""

    changeset: int
    kind: str
    text: str
    annotator: str
    decided_at: datetime
    live: bool

    def as_json(self) -> dict[str, object]:
        """Return JSON values, as in manifests."""
        return {
            "changeset": self.changeset,
            "kind": self.kind,
            "text": self.text,
            "annotator": self.annotator,
            "decided_at": self.decided_at.isoformat(),
        }


def list_classes(app_context: AppContext, dataset_id: int) -> list[ListedClass]:
    """Return all of a dataset's classes in their order."""
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        given = _LABELS[info.task].given(session, info)
    state = info.class_state
    return [
        ListedClass(
            number,
            info.classes[number],
            given[number],
            number in state.retired,
            state.merged.get(number),
        )
        for number in state.ordered
    ]


def class_uses(app_context: AppContext, dataset_id: int) -> list[ClassUse]:
    """Return the uses of each offered class, in their order."""
    with app_context.database.read() as session:
        return _uses(session, datasets.get_dataset(session, dataset_id))


def preview_merge(app_context: AppContext, dataset_id: int, class_ids: Sequence[int], into: int) -> MergePreview:
    """Return the effect of merging classes into another one.

    Raises:
        RefusedError: the merge is refused.
    """
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        chosen = _mergeable(class_ids, into, info)
        uses = {use.id: use for use in _uses(session, info)}
        newest = rows.newest_round(session, dataset_id)
        left = rows.finding_counts(session, newest, undecided=True)
    together = {*chosen, into}
    settled = sum(count for pair, count in left.items() if together.issuperset(pair))
    return MergePreview(tuple(uses[one] for one in chosen), uses[into], settled)


def add_class(app_context: AppContext, dataset_id: int, name: str, *, by: str, key: ActKey | None = None) -> AddedClass:
    """Add a class at the end, restore a retired one, or find an existing one, ignoring case.

    Raises:
        RefusedError: the name is empty or too long.
    """
    wanted = _clean(name)

    def act(session: Session, actor: Actor) -> int | None:
        info = datasets.get_dataset(session, dataset_id)
        found = find_class(info.classes, wanted)
        if found is not None:
            _refuse_merged(found, info)
        if found is not None and found not in info.retired_classes:
            return None
        class_id, spelling = (len(info.classes), wanted) if found is None else (found, info.classes[found])
        if found is None:
            datasets.change_dataset(session, dataset_id, _LABELS[info.task].grown(info, wanted))
        return _store(session, actor, dataset_id, {"kind": ClassActKind.ADD.value, "class": class_id, "name": spelling})

    saved = store_once(app_context, by, key, act)
    with app_context.database.read() as session:
        names = datasets.get_dataset(session, dataset_id).classes
    number = find_class(names, wanted)
    if number is None:
        raise RefusedError(f"{wanted} was renamed meanwhile", "reload the page and choose its new name")
    return AddedClass(number, names[number], saved if saved.changeset is not None else None)


def rename_class(
    app_context: AppContext, dataset_id: int, class_id: int, name: str, *, by: str, key: ActKey | None = None
) -> Saved:
    """Give a class another name; its id, and with it every label, stays.

    Raises:
        RefusedError: there is no such class, or the name is empty, too long, or another class's, ignoring case.
    """
    wanted = _clean(name)

    def act(session: Session, actor: Actor) -> int | None:
        info = datasets.get_dataset(session, dataset_id)
        refuse_unknown(class_id, info.class_state)
        _refuse_merged(class_id, info)
        other = find_class([one if at != class_id else "" for at, one in enumerate(info.classes)], wanted)
        if other is not None:
            raise RefusedError(f"{info.classes[other]} is a class of {info.name} already", "choose another name")
        was = info.classes[class_id]
        if was == wanted:
            return None
        note = {"kind": ClassActKind.RENAME.value, "class": class_id, "name": wanted, "was": was}
        return _store(session, actor, dataset_id, note)

    return store_once(app_context, by, key, act)


def merge_classes(
    app_context: AppContext, dataset_id: int, class_ids: Sequence[int], into: int, *, by: str, key: ActKey | None = None
) -> Saved:
    """Merge classes into another one: until the act is undone, every label of them means that class.

    Raises:
        RefusedError: a class is none that is offered, or is the one that the others go into, or a bulk act is running.
    """

    def act(session: Session, actor: Actor) -> int:
        info = datasets.get_dataset(session, dataset_id)
        _refuse_accepting(session, dataset_id)
        chosen = _mergeable(class_ids, into, info)
        note = {
            "kind": ClassActKind.MERGE.value,
            "class": into,
            "name": info.classes[into],
            "ids": chosen,
            "names": [info.classes[one] for one in chosen],
        }
        return _store(session, actor, dataset_id, note)

    return store_once(app_context, by, key, act)


def reorder_classes(
    app_context: AppContext, dataset_id: int, order: Sequence[int], *, by: str, key: ActKey | None = None
) -> Saved:
    """Set the order in which the offered classes are listed and exported; ids stay.

    Raises:
        RefusedError: `order` does not name each offered class once.
    """

    def act(session: Session, actor: Actor) -> int | None:
        info = datasets.get_dataset(session, dataset_id)
        state = info.class_state
        if sorted(order) != sorted(state.offered):
            raise RefusedError("the order does not name each class once", "reload the page and order the classes again")
        if tuple(order) == state.offered:
            return None
        note = {"kind": ClassActKind.REORDER.value, "class": NO_LABEL, "name": "", "ids": list(order_of(state, order))}
        return _store(session, actor, dataset_id, note)

    return store_once(app_context, by, key, act)


def class_history(app_context: AppContext, dataset_id: int) -> list[PastClassAct]:
    """Return the acts on a dataset's classes that count, oldest first."""
    with app_context.database.read() as session:
        return [act for act in past_acts(session, dataset_id) if act.live]


def past_acts(session: Session, dataset_id: int) -> list[PastClassAct]:
    """Return every act on a dataset's classes, undone ones too, oldest first."""
    return [
        PastClassAct(number, str(note["kind"]), act_text(note), annotator, decided_at, live)
        for number, live, note, annotator, decided_at in decisions.class_acts(session, dataset_id)
    ]


def refuse_unknown(class_id: int, class_state: ClassState) -> None:
    """Check that labels may have a class; a merged class means the target of its merge.

    Raises:
        RefusedError: there is none with this id, or its addition was undone.
    """
    if not 0 <= class_id < len(class_state.names):
        raise RefusedError(f"label {class_id} is not a class", f"choose one of 0 to {len(class_state.names) - 1}")
    if class_id in class_state.retired:
        raise RefusedError(f"the class {class_state.names[class_id]} was taken back", "add it again, or choose another")


def first_names(session: Session, info: DatasetInfo) -> tuple[str, ...]:
    """Return the original names of a dataset's classes, by id: those before every act."""
    undone = [replace(act, live=False) for act in _acts(session, info.id)]
    return resolve_classes(info.classes, undone).names


def refuse_turn(app_context: AppContext, session: Session, target: decisions.Changeset, act: Act) -> None:
    """Check that classes allow an act to be undone or redone.

    Raises:
        RefusedError: a class to be retired is used, a verdict to be restored names a retired one, a name to be restored
            back is another class's now, merges would contradict one another, or a bulk act is running.
    """
    info = datasets.get_dataset(session, target.dataset_id)
    if target.act is not Act.CLASSES:
        if act is Act.REDO and info.retired_classes:
            for number in sorted(rows.labels_in(session, target.id) & set(info.retired_classes)):
                refuse_unknown(number, info.class_state)
        return
    if target.note["kind"] == ClassActKind.MERGE:
        _refuse_accepting(session, info.id)
    if target.note["kind"] == ClassActKind.ADD and act is Act.UNDO:
        number = int(target.note["class"])
        used = rows.labels_of_class(session, info.id, number)
        store = MaskStore(app_context.masks)
        edited = rows.masks_edited_since(session, info.id, target.id)
        used += sum(number in classes_in(store.get(name)) for name in edited)
        if used:
            images = "1 image carries" if used == 1 else f"{used:,} images carry"
            raise RefusedError(f"{images} the class {info.classes[number]}", "give them another class first")
    acts = [one for one in _acts(session, info.id) if one.number != target.id]
    turned = stored_act(target.id, act is Act.REDO, target.note)
    try:
        names = resolve_classes(info.classes, [*acts, turned]).names
    except ValueError as error:
        raise RefusedError(str(error), "undo the merge of classes that came in between first") from None
    twice = next((name for at, name in enumerate(names) if find_class(names[:at], name) is not None), None)
    if twice is not None and names != info.classes:
        raise RefusedError(f"two classes would be called {twice}", "rename the other one first")


def _refuse_accepting(session: Session, dataset_id: int) -> None:
    """Raise `RefusedError` while a bulk act is stored in parts: its given and suggested classes must not change."""
    if text := unfinished_text(session, dataset_id):
        raise RefusedError(text, "wait for its end, or undo that act")


def write_state(session: Session, dataset_id: int) -> None:
    """Write the classes that follow from all acts, and update findings of merged or separated classes."""
    info = datasets.get_dataset(session, dataset_id)
    state = resolve_classes(info.classes, _acts(session, dataset_id))
    values = {
        "classes": list(state.names),
        "retired_classes": list(state.retired),
        "merged_classes": sorted([one, into] for one, into in state.merged.items()),
        "class_order": list(state.order),
    }
    datasets.change_dataset(session, dataset_id, values)
    if state.names != info.classes:
        datasets.rename_counts(session, dataset_id, dict(zip(info.classes, state.names, strict=True)))
    if state.merged != info.merged_classes:
        projection.move_findings(session, dataset_id)


def _mergeable(class_ids: Sequence[int], into: int, info: DatasetInfo) -> list[int]:
    """Return the classes to merge, each once."""
    chosen = sorted(set(class_ids))
    if not chosen:
        raise RefusedError("no class is chosen", "choose the classes to merge")
    for one in (*chosen, into):
        refuse_unknown(one, info.class_state)
        _refuse_merged(one, info)
    if into in chosen:
        raise RefusedError(f"{info.classes[into]} cannot be merged into itself", "choose another class")
    return chosen


def _refuse_merged(class_id: int, info: DatasetInfo) -> None:
    if class_id in info.merged_classes:
        target = info.classes[info.merged_classes[class_id]]
        raise RefusedError(f"{info.classes[class_id]} was merged into {target}", f"choose {target}, or undo that merge")


def _uses(session: Session, info: DatasetInfo) -> list[ClassUse]:
    newest = rows.newest_round(session, info.id)
    images, decided, regions = _LABELS[info.task].uses(session, info.id, newest)
    taggings = tags.tags_by_sample(session, info.id).values()
    tagged = Counter(one for tagging in taggings for one in tagging.classes or ())
    left = _by_class(rows.finding_counts(session, newest, undecided=True))
    return [
        ClassUse(one, info.classes[one], images[one], decided[one], regions[one], tagged[one], left[one])
        for one in info.class_state.offered
    ]


def _uses_in_labels(session: Session, dataset_id: int, _newest: int | None) -> _LabelUses:
    given = snapshots.given_labels(session, dataset_id)
    resolved = resolve(given, decisions.live_decisions(session, dataset_id)).values()
    images = Counter(one.label for one in resolved if one.label is not None)
    decided = Counter(one.label for one in resolved if one.label is not None and one.decision is not None)
    return images, decided, Counter()


def _uses_in_masks(session: Session, dataset_id: int, newest: int | None) -> _LabelUses:
    images = Counter(snapshots.label_counts(session, dataset_id).images)
    decided = Counter(rows.region_counts(session, dataset_id))
    return images, decided, _by_class(rows.finding_counts(session, newest, undecided=False))


def _given_classes(session: Session, info: DatasetInfo) -> list[int | None]:
    counts = rows.given_counts(session, info.id)
    return [counts.get(number, 0) for number in range(len(info.classes))]


def _given_masks(_session: Session, info: DatasetInfo) -> list[int | None]:
    return [None] * len(info.classes)


def _grown_classes(info: DatasetInfo, name: str) -> dict[str, object]:
    return {"classes": [*info.classes, name]}


def _grown_table(info: DatasetInfo, name: str) -> dict[str, object]:
    table = class_table([*info.classes, name], info.colours or ())
    return {"classes": list(table.names), "colours": list(table.colours)}


def _by_class(pairs: Mapping[tuple[int, int], int]) -> Counter[int]:
    found: Counter[int] = Counter()
    for pair, count in pairs.items():
        for one in set(pair) - {NO_LABEL}:
            found[one] += count
    return found


def _store(session: Session, actor: Actor, dataset_id: int, note: dict[str, object]) -> int:
    changeset_id = decisions.add_changeset(session, actor.changeset(Act.CLASSES, None, dataset_id, size=1, note=note))
    write_state(session, dataset_id)
    return changeset_id


def _acts(session: Session, dataset_id: int) -> list[ClassAct]:
    return [stored_act(number, live, note) for number, live, note, *_ in decisions.class_acts(session, dataset_id)]


def _clean(name: str) -> str:
    try:
        return clean_class_name(name)
    except ValueError as error:
        raise RefusedError(str(error), "choose another name") from None


@dataclass(frozen=True, slots=True)
class _LabelFunctions:
    """Functions on the classes of one kind of label."""

    uses: Callable[[Session, int, int | None], _LabelUses]  # of a dataset's labels, and of its newest round
    given: Callable[[Session, DatasetInfo], list[int | None]]  # images given each class; None for masks
    grown: Callable[[DatasetInfo, str], dict[str, object]]  # columns of the dataset with a further class


_LABELS: Mapping[Task, _LabelFunctions] = {
    Task.CLASSIFICATION: _LabelFunctions(_uses_in_labels, _given_classes, _grown_classes),
    Task.SEGMENTATION: _LabelFunctions(_uses_in_masks, _given_masks, _grown_table),
}
