"""Apply a patch to a copy of class folders: images move from the old class's folder to the new one's.

All moves are planned first and written into a journal in the folder; then they are made, one rename each. After a kill
the same call completes them. Reverting follows the journal, so every file gets its former path, and folders that the
patch created are removed.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from core.data.export.names import FileNames, safe_name
from core.data.export.placing import content_hash
from core.data.export.provenance import find_manifest
from core.data.formats.source import SPLITS, UNLABELLED_FOLDERS
from core.data.patch.change import LabelChange, Patch, list_some
from core.data.patch.table import Applied
from core.data.storage import write_atomically
from core.types import ExportError

HIDDEN = ".outfold"  # hidden, so that readers skip it
LEFT_OUT = f"{HIDDEN}/left-out"  # images whose label was removed

Move = tuple[str, str]  # from, to; relative to the folder


def apply_to_folder(patch: Patch, root: Path) -> Applied:
    """Move the images of class folders by the patch: all of them, or none if one does not fit.

    If it was applied before, only moves that a kill left undone are made.

    Raises:
        ExportError: an image has another path or content than the patch expects; nothing was moved.
    """
    if find_manifest(root) is not None:
        raise ExportError(
            f"{root} is an export, whose tables would not follow", "apply the patch to a copy of the dataset itself"
        )
    journal = _journal(patch, root)
    if not journal.exists():
        moves = _decide(patch, root)
        made = _new_folders(root, moves)
        journal.parent.mkdir(exist_ok=True)
        write_atomically(journal, json.dumps({"moves": moves, "made": made}, ensure_ascii=False, indent=1).encode())
    moves, _ = _read(journal)
    made_now = _make(root, moves)
    moved = {source for source, _ in moves}
    missing = tuple(change.path for change in patch.changes if change.path not in moved)
    return Applied(made_now, missing, already=len(moves) - made_now)


def revert_in_folder(patch: Patch, root: Path) -> Applied:
    """Move every image back to its path before the patch was applied to this folder.

    Raises:
        ExportError: the patch was not applied here, or an image was moved since.
    """
    journal = _journal(patch, root)
    if not journal.exists():
        raise ExportError(f"{root} does not remember this patch", "it can only be taken back where it was applied")
    moves, made = _read(journal)
    _make(root, [(target, source) for source, target in reversed(moves)])
    for folder in sorted(made, key=len, reverse=True):
        _remove_empty(root / folder)
    journal.unlink()
    _remove_empty(root / HIDDEN)
    return Applied(len(moves), tuple(sorted({each.path for each in patch.changes} - {source for source, _ in moves})))


def _decide(patch: Patch, root: Path) -> list[Move]:
    names = FileNames()
    known: set[str] = set()
    moves: list[Move] = []
    conflicts: list[str] = []
    for change in patch.changes:
        source = root / change.path
        if not source.is_file() or PurePosixPath(change.path).is_absolute() or ".." in PurePosixPath(change.path).parts:
            continue
        if content_hash(source) != change.content_hash:
            conflicts.append(f"{change.path} is another image by now")
            continue
        folder = _new_folder(change, root)
        if folder is None:
            conflicts.append(f"{change.path} does not lie in a folder called {change.old}")
            continue
        if folder not in known:
            known.add(folder)
            for taken in sorted(os.listdir(root / folder)) if (root / folder).is_dir() else ():  # noqa: PTH208 names
                names.take(folder, taken)
        moves.append((change.path, f"{folder}/{names.give(folder, source.name, change.content_hash)}"))
    if conflicts:
        raise ExportError(
            f"{root} was left as it is, the patch does not fit: {list_some(conflicts, len(conflicts))}. "
            "Apply it to a copy of the dataset that it was made from"
        )
    return moves


def _new_folder(change: LabelChange, root: Path) -> str | None:
    """Return the folder of an image after its change, None if it is not in the folder of its old label."""
    folders = list(PurePosixPath(change.path).parts[:-1])
    if change.new is None:
        return "/".join((LEFT_OUT, *folders))
    if change.old is None:
        at = next((at for at, name in enumerate(folders) if name in UNLABELLED_FOLDERS), None)
        if at is None:
            at = 1 if folders and folders[0].lower() in SPLITS else 0
            folders.insert(at, "")
    else:
        at = next((at for at, name in enumerate(folders) if name in (change.old, safe_name(change.old))), None)
    if at is None:
        return None
    return "/".join((*folders[:at], _class_folder(root.joinpath(*folders[:at]), change.new), *folders[at + 1 :]))


def _class_folder(parent: Path, name: str) -> str:
    """Return the folder of a class: the existing one, else a new one with a name valid on every disk."""
    is_plain = "/" not in name and name not in {".", ".."}
    return name if is_plain and (parent / name).is_dir() else safe_name(name)


def _make(root: Path, moves: Iterable[Move]) -> int:
    """Make the remaining moves, and return their number."""
    made = 0
    for source, target in moves:
        if not (root / source).exists() and (root / target).exists():
            continue  # made before a kill
        if not (root / source).exists() or (root / target).exists():
            raise ExportError(
                f"{root}: {source} cannot become {target}, one was moved or removed since. "
                "Put it back and run the same again"
            )
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (root / source).rename(root / target)
        made += 1
    return made


def _new_folders(root: Path, moves: Iterable[Move]) -> list[str]:
    parents = {str(parent) for _, target in moves for parent in PurePosixPath(target).parents} - {".", HIDDEN}
    return sorted(parent for parent in parents if not (root / parent).exists())


def _journal(patch: Patch, root: Path) -> Path:
    return root / HIDDEN / f"patch-{patch.fingerprint}.json"


def _read(journal: Path) -> tuple[list[Move], list[str]]:
    try:
        values = json.loads(journal.read_text(encoding="utf-8"))
        return [(str(source), str(target)) for source, target in values["moves"]], [
            str(each) for each in values["made"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{journal} is damaged ({error})", "the moves have to be checked by hand") from error


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
