"""Folders of rounds behind a URL: what a round opens with, each finished piece of its work, and in the end all of it.

A round opens once, so of several openings the one counts whose hash the round's row has. Of a piece's attempts the
newest counts: who comes too late publishes an older one, which is never read. `done` has all that a finished round
keeps; afterwards only its networks may go. The checkpoint of a fold under way lies beside the pieces, in
`under_way/fold_<k>/`, and is replaced by the next one: any of them leads to the same result.
"""

import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from core.data.networks import FACTS, TENSORS
from core.data.pixel_parts import FLAT, PARTS, add_part, cut_part
from core.data.shards import shard_of
from core.data.shared_folders import (
    STATE,
    forget_files,
    mark_whole,
    pieces_of,
    publish_piece,
    read_manifest,
    sync_folder,
)
from core.data.storage import atomic_path
from core.data.store import SharedFiles

_DONE = "done"
_OPENING = re.compile(r"open\.(.+)")
_PIECE = re.compile(r"(fold|shard)_(\d+)\.(\d+)")
_OF_FOLD = re.compile(r"(?:^|[/_])(?:fold|predicted|confidence|given_probability)_(\d+)\b")


def publish_opening(store: SharedFiles, round_id: int, digest: str, folder: Path) -> None:
    """Show what a round opens with, from the folder that becomes the round's; `digest` is its snapshot's hash."""
    publish_piece(store, unit_of(round_id), f"open.{digest}", folder=folder, accept=_lasts)


def publish_fold(store: SharedFiles, round_id: int, fold: int, attempt: int, *, alone: bool) -> None:
    """Show what an attempt at a piece of work has left; `alone` where the round has no other piece."""
    folder = store.root / unit_of(round_id)
    if not alone and (folder / FLAT[0]).exists():
        cut_part(folder, fold)

    def accept(name: str) -> bool:
        if not _lasts(name) or shard_of(name) is not None:
            return False
        found = _OF_FOLD.search(name)
        return alone or (name not in FLAT and (found is None or int(found[1]) == fold))

    publish_piece(store, unit_of(round_id), f"fold_{fold}.{attempt}", accept=accept)


def publish_shard(store: SharedFiles, round_id: int, shard: int, attempt: int) -> None:
    """Show what an attempt at a shard of a round's images has made."""
    piece = f"shard_{shard}.{attempt}"
    publish_piece(store, unit_of(round_id), piece, accept=lambda name: _lasts(name) and shard_of(name) == shard)


def publish_checkpoints(store: SharedFiles, round_id: int, fold: int) -> None:
    """Show the state of a fold under way, in place of an earlier one.

    Raises:
        StorageError: the store cannot be used.
    """
    folder = store.root / unit_of(round_id)
    for path in folder.glob(f"**/fold_{fold}.checkpoint"):
        with suppress(FileNotFoundError):  # its network has just been trained to the end
            store.remote.put(f"{_under_way(round_id, fold)}/{path.relative_to(folder).as_posix()}", path)


def fetch_checkpoints(store: SharedFiles, round_id: int, fold: int) -> None:
    """Fetch the published state of a fold, where this home has none of its own.

    Raises:
        StorageError: the store cannot be used.
    """
    place = _under_way(round_id, fold)
    for key in store.remote.list(place):
        path = store.root / unit_of(round_id) / key.removeprefix(f"{place}/")
        if not path.exists():
            with suppress(FileNotFoundError), atomic_path(path, durable=False) as partial:
                store.remote.get(key, partial)


def forget_checkpoints(store: SharedFiles, round_id: int, fold: int) -> None:
    """Remove the published state of a fold that has ended."""
    store.remote.remove(_under_way(round_id, fold))


def publish_done(store: SharedFiles, round_id: int) -> None:
    """Show all that a finished round keeps."""
    folder = store.root / unit_of(round_id)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    unit = unit_of(round_id)
    publish_piece(store, unit, _DONE, accept=lambda name: _lasts(name) and shard_of(name) is None)
    mark_whole(folder)
    for piece in pieces_of(store, unit):
        found = _PIECE.fullmatch(piece)
        if found is not None and found[1] == "shard":  # as large as the embeddings, and not read any more
            forget_files(store, unit, piece, read_manifest(store, unit, piece))


def sync_round(store: SharedFiles, round_id: int, opened: Callable[[], str | None], *, opening: bool = False) -> Path:
    """Bring a round's folder here to what is published of it, and return it; `opened` gives its snapshot's hash.

    With `opening` only what it opened with is fetched.

    Raises:
        StorageError: the store cannot be used, or has lost a file of the round.
    """

    def choose(pieces: Iterable[str]) -> list[str]:
        listed = list(pieces)
        if opening:
            listed = [piece for piece in listed if piece == _DONE or _OPENING.fullmatch(piece)]
        return _chosen(listed, opened)

    return sync_folder(store, unit_of(round_id), choose, last=_DONE, on_file=add_part)


def round_bytes(store: SharedFiles, round_id: int) -> int:
    """Return the size of what is published of a round."""
    return sum(one.size for one in store.remote.list(unit_of(round_id)).values())


def remove_round(store: SharedFiles, round_id: int) -> None:
    """Remove a round's folder here and behind the URL."""
    shutil.rmtree(store.root / unit_of(round_id), ignore_errors=True)
    store.remote.remove(unit_of(round_id))


def shares_networks(store: SharedFiles, round_id: int) -> bool:
    """Return whether networks of a round are published."""
    unit = unit_of(round_id)
    return any(_is_network(name) for piece in pieces_of(store, unit) for name in read_manifest(store, unit, piece))


def forget_networks(store: SharedFiles, round_id: int) -> None:
    """Remove a round's networks behind the URL."""
    unit = unit_of(round_id)
    for piece in pieces_of(store, unit):
        forget_files(store, unit, piece, filter(_is_network, read_manifest(store, unit, piece)))


def unit_of(round_id: int) -> str:
    """Return the path of a round's folder below the files, and its key."""
    return f"rounds/{round_id}"


def _under_way(round_id: int, fold: int) -> str:
    return f"{unit_of(round_id)}/under_way/fold_{fold}"


def _chosen(pieces: list[str], opened: Callable[[], str | None]) -> list[str]:
    if _DONE in pieces:
        return [_DONE]
    openings = [piece for piece in pieces if _OPENING.fullmatch(piece)]
    if len(openings) > 1:  # two workers opened it, of which one was too late
        openings = [f"open.{opened()}"] if f"open.{opened()}" in openings else []
    newest: dict[tuple[str, int], int] = {}
    for found in filter(None, map(_PIECE.fullmatch, pieces)):
        piece = found[1], int(found[2])
        newest[piece] = max(int(found[3]), newest.get(piece, 0))
    chosen = [f"{kind}_{number}.{attempt}" for (kind, number), attempt in sorted(newest.items())]
    return [*openings, *chosen] if openings else []


def _lasts(name: str) -> bool:
    """Return whether a file of a round's folder is more than the state of work under way."""
    return not name.endswith(".checkpoint") and name != STATE


def _is_network(name: str) -> bool:
    return name.endswith((FACTS, TENSORS))
