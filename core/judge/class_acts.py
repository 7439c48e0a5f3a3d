"""Acts on the classes of a dataset: add, rename, merge, reorder. Ids stay; the present classes are computed.

An id is never reused. A class whose addition was undone is retired: its id is kept but no longer offered, and adding a
class of that name again brings it back. A merged class is not offered either: labels that carry it mean the merge's
target, as long as the merge counts.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.types import ClassState

LONGEST_NAME = 100  # characters


class ClassActKind(StrEnum):
    """Kinds of acts on classes."""

    ADD = "add"
    RENAME = "rename"
    MERGE = "merge"
    REORDER = "reorder"


@dataclass(frozen=True, slots=True)
class ClassAct:
    """One act, in the order of `number`; `live` is false once it has been undone.

    `was` is the name that the class had before a rename. `ids` are the classes merged into `class_id`, or every class
    in its order, whose `class_id` is none (-1).
    """

    number: int
    kind: ClassActKind
    class_id: int
    name: str
    was: str = ""
    live: bool = True
    ids: tuple[int, ...] = ()


def stored_act(number: int, live: bool, note: Mapping[str, Any]) -> ClassAct:  # noqa: FBT001 as the row has it
    """Return the act that a note holds."""
    kind = ClassActKind(note["kind"])
    return ClassAct(number, kind, note["class"], note["name"], note.get("was", ""), live, tuple(note.get("ids", ())))


def resolve_classes(names: Sequence[str], acts: Iterable[ClassAct]) -> ClassState:
    """Return the present classes, computed from `names` and all acts on them; idempotent.

    A renamed class has the name of its last live rename, or the one before the first rename where all are undone. The
    last live order counts.

    Raises:
        ValueError: live merges contradict one another, or one leads to a retired class.
    """
    ordered = sorted(acts, key=lambda act: act.number)
    now = list(names)
    first: set[int] = set()
    added: set[int] = set()
    present: set[int] = set()
    for act in ordered:
        if act.kind is ClassActKind.ADD:
            added.add(act.class_id)
            if act.live:
                present.add(act.class_id)
        elif act.kind is ClassActKind.RENAME:
            if act.class_id not in first:
                first.add(act.class_id)
                now[act.class_id] = act.was
            if act.live:
                now[act.class_id] = act.name
    live = [act for act in ordered if act.live]
    orders = [act.ids for act in live if act.kind is ClassActKind.REORDER]
    merged = _merged(now, [act for act in live if act.kind is ClassActKind.MERGE])
    retired = tuple(sorted(added - present))
    lost = next((into for into in merged.values() if into in retired), None)
    if lost is not None:
        raise ValueError(f"classes were merged into {now[lost]}, which would be taken back")
    return ClassState(tuple(now), retired, merged, orders[-1] if orders else ())


def _merged(names: Sequence[str], merges: Iterable[ClassAct]) -> dict[int, int]:
    """Return the final target of each merged class."""
    into: dict[int, int] = {}
    for act in merges:
        for one in act.ids:
            if one in into:
                raise ValueError(f"{names[one]} is merged into {names[into[one]]} already")
            into[one] = act.class_id
    return {one: _end(one, into, names) for one in into}


def _end(start: int, into: Mapping[int, int], names: Sequence[str]) -> int:
    seen = {start}
    end = into[start]
    while end in into:
        if end in seen:
            raise ValueError(f"{names[start]} would be merged into itself")
        seen.add(end)
        end = into[end]
    if end == start:
        raise ValueError(f"{names[start]} would be merged into itself")
    return end


def order_of(state: ClassState, wanted: Sequence[int]) -> tuple[int, ...]:
    """Return all ids in the order `wanted` of the offered ones; each other one stays behind the class before it."""
    order, former = list(wanted), state.ordered
    for place, one in enumerate(former):
        if one not in wanted:
            order.insert(order.index(former[place - 1]) + 1 if place else 0, one)
    return tuple(order)


def act_text(note: Mapping[str, Any]) -> str:
    """Return the description of an act on classes, from its note."""
    match ClassActKind(note["kind"]):
        case ClassActKind.ADD:
            return f"added the class {note['name']}"
        case ClassActKind.RENAME:
            return f"renamed the class {note['was']} to {note['name']}"
        case ClassActKind.MERGE:
            return f"merged {', '.join(note['names'])} into {note['name']}"
        case ClassActKind.REORDER:
            return "reordered the classes"


def former_names(state: ClassState, acts: Iterable[ClassAct]) -> Mapping[str, str]:
    """Return former name -> present name of renamed classes, since sources may still use the former ones.

    A present name is left out. Of several classes that had one name, the first one counts.
    """
    found: dict[str, str] = {}
    for act in sorted(acts, key=lambda act: act.number):
        if act.kind is ClassActKind.RENAME and act.was not in state.names:
            found.setdefault(act.was, state.names[act.class_id])
    return found


def clean_class_name(name: str) -> str:
    """Return a name stripped of surrounding blanks, in the composed form of Unicode (NFC).

    Raises:
        ValueError: the name is empty, too long, or has control characters.
    """
    wanted = unicodedata.normalize("NFC", name).strip()
    if not wanted or len(wanted) > LONGEST_NAME:
        raise ValueError(f"the name of a class has 1 to {LONGEST_NAME} characters")
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in wanted):
        raise ValueError("the name of a class has no control characters")
    return wanted


def find_class(names: Sequence[str], name: str) -> int | None:
    """Return the id of the class of this name, or else of one whose name differs in case only."""
    if name in names:
        return names.index(name)
    folded = fold_name(name)
    return next((number for number, one in enumerate(names) if fold_name(one) == folded), None)


def fold_name(name: str) -> str:
    """Return the form in which names are compared: case folded, in the composed form of Unicode.

    The browser's `foldName` (app/components/shared/classes.js) is the same rule.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
