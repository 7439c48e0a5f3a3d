"""Folders of rounds behind a URL: the opening files, each finished piece of work, and finally the complete round.

A round opens once, so of several openings the one with the hash in the round's row counts. Of a piece's attempts the
newest counts: a late writer publishes an older one, which is never read. `done` has all files that a finished round
keeps; afterwards only its networks may be removed. The checkpoint of a running fold lies beside the pieces, in
`under_way/fold_<k>/`, and is replaced by the next one: any of them leads to the same result. Work that is one piece
with several stages shows its whole folder as it is under way, as the piece `state.<attempt>`, which only the next
attempt reads.

So the folder of a round, a unit, grows piece by piece in several homes at once. A piece is published as objects and
then a manifest, which names each file's hash and size. Objects are named by their content
(`<unit>/files/<hash>/<name>`), so they never change, and an unfinished piece is never seen: its manifest, one small
object, comes last. Who reads chooses manifests and gets their files, later pieces over earlier ones; each file is
checked by its hash and renamed into place. What lies here beside them stays as it is.

`.shared.json` in the folder records the state of its files when they were equal to those behind the URL.
"""

import json
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path

from core.data.networks import FACTS, TENSORS
from core.data.predictions import FLAT, PARTS, add_part, cut_part
from core.data.shards import shard_of
from core.data.storage import atomic_path, exclusive_lock, note_use, write_atomically
from core.data.store import AT_ONCE, LOCKS, STATE, SharedFiles, files_below, note_fetched
from core.types import StorageError

_DONE = "done"
_OPENING = re.compile(r"open\.(.+)")
_STATE = re.compile(r"state\.(\d+)")
_ATTEMPT = ".attempt"  # number of the last attempt that has worked in the folder
_PIECE = re.compile(r"(fold|shard)_(\d+)\.(\d+)")
_OF_FOLD = re.compile(r"(?:^|[/_])(?:fold|predicted|confidence|given_probability)_(\d+)\b")
_BLOCK = 1 << 20
_MANIFESTS, _FILES = "manifests", "files"
_Choose = Callable[[Iterable[str]], Sequence[str]]
"""Returns of the names of pieces those to read, a later one over earlier ones."""


def publish_opening(store: SharedFiles, round_id: int, digest: str, folder: Path) -> None:
    """Publish the opening files of a round from the folder that becomes its own; `digest` is the snapshot's hash."""
    publish_piece(store, unit_of(round_id), f"open.{digest}", folder=folder, accept=_lasts)


def publish_fold(store: SharedFiles, round_id: int, fold: int, attempt: int, *, alone: bool) -> None:
    """Publish the files of an attempt at a piece of work; `alone` if the round has no other piece."""
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
    """Publish the file of an attempt at a shard of a round's images."""
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
    """Fetch the published state of a fold if this home has none.

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


def publish_state(store: SharedFiles, round_id: int, attempt: int) -> None:
    """Show all that an attempt has done of a round of one piece, in place of what it showed before.

    Nothing may be written into the folder meanwhile.

    Raises:
        StorageError: the store cannot be used.
    """
    _replace_piece(store, unit_of(round_id), f"state.{attempt}", accept=_is_state)


def fetch_state(store: SharedFiles, round_id: int, attempt: int) -> None:
    """Begin an attempt with the newest state of the round: that of this home, unless another has published a later one.

    Raises:
        StorageError: the store cannot be used, or has lost a file of the round.
    """
    unit = unit_of(round_id)
    own = store.root / unit / _ATTEMPT
    states = {int(found[1]) for found in map(_STATE.fullmatch, pieces_of(store, unit)) if found}
    newest = max(states, default=0)
    if newest > (int(own.read_text()) if own.exists() else 0):
        _take_piece(store, unit, f"state.{newest}", accept=_is_state)
    write_atomically(own, str(attempt).encode())


def forget_states(store: SharedFiles, round_id: int) -> None:
    """Remove the published states of a round whose work has ended."""
    unit = unit_of(round_id)
    (store.root / unit / _ATTEMPT).unlink(missing_ok=True)
    for piece in filter(_STATE.fullmatch, pieces_of(store, unit)):
        _forget_piece(store, unit, piece)


def publish_done(store: SharedFiles, round_id: int) -> None:
    """Show all that a finished round keeps."""
    folder = store.root / unit_of(round_id)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    unit = unit_of(round_id)
    publish_piece(store, unit, _DONE, accept=lambda name: _lasts(name) and shard_of(name) is None)
    _mark_whole(folder)
    for piece in pieces_of(store, unit):
        found = _PIECE.fullmatch(piece)
        if found is not None and found[1] == "shard":  # as large as the embeddings, and not read any more
            forget_files(store, unit, piece, _read_manifest(store, unit, piece))


def sync_round(store: SharedFiles, round_id: int, opened: Callable[[], str | None], *, opening: bool = False) -> Path:
    """Update a round's local folder to its published files, and return it; `opened` gives its snapshot's hash.

    With `opening`, only the opening files are fetched.

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
    """Return the size of a round's published files."""
    return sum(one.size for one in store.remote.list(unit_of(round_id)).values())


def remove_round(store: SharedFiles, round_id: int) -> None:
    """Remove a round's folder here and behind the URL."""
    shutil.rmtree(store.root / unit_of(round_id), ignore_errors=True)
    store.remote.remove(unit_of(round_id))


def shares_networks(store: SharedFiles, round_id: int) -> bool:
    """Return whether networks of a round are published."""
    unit = unit_of(round_id)
    return any(_is_network(name) for piece in pieces_of(store, unit) for name in _read_manifest(store, unit, piece))


def forget_networks(store: SharedFiles, round_id: int) -> None:
    """Remove a round's networks behind the URL."""
    unit = unit_of(round_id)
    for piece in pieces_of(store, unit):
        forget_files(store, unit, piece, filter(_is_network, _read_manifest(store, unit, piece)))


def unit_of(round_id: int) -> str:
    """Return the path of a round's folder below the files, and its key."""
    return f"rounds/{round_id}"


def _under_way(round_id: int, fold: int) -> str:
    return f"{unit_of(round_id)}/under_way/fold_{fold}"


def _chosen(pieces: list[str], opened: Callable[[], str | None]) -> list[str]:
    if _DONE in pieces:
        return [_DONE]
    openings = [piece for piece in pieces if _OPENING.fullmatch(piece)]
    if len(openings) > 1:  # two workers opened it, and one was too late
        openings = [f"open.{opened()}"] if f"open.{opened()}" in openings else []
    newest: dict[tuple[str, int], int] = {}
    for found in filter(None, map(_PIECE.fullmatch, pieces)):
        piece = found[1], int(found[2])
        newest[piece] = max(int(found[3]), newest.get(piece, 0))
    chosen = [f"{kind}_{number}.{attempt}" for (kind, number), attempt in sorted(newest.items())]
    return [*openings, *chosen] if openings else []


def _lasts(name: str) -> bool:
    """Return whether a file of a round's folder is more than the state of work under way."""
    return not name.endswith(".checkpoint") and name not in {STATE, _ATTEMPT}


def _is_state(name: str) -> bool:
    """Return whether a file of a round's folder is published with the others while it is under way."""
    return name not in {STATE, _ATTEMPT} and shard_of(name) is None  # shards are pieces of their own


def _is_network(name: str) -> bool:
    return name.endswith((FACTS, TENSORS))


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a manifest: the hash of its bytes, and how many they are."""

    hash: str
    size: int


@dataclass(slots=True)
class _State:
    """State of the files here: by name their hash, size and time of change; `pieces` by name their version."""

    files: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    pieces: dict[str, str] = field(default_factory=dict)
    whole: bool = False

    @classmethod
    def of(cls, folder: Path) -> "_State":
        try:
            stored = json.loads((folder / STATE).read_bytes())
        except (FileNotFoundError, ValueError):
            return cls()
        return cls({name: tuple(one) for name, one in stored["files"].items()}, stored["pieces"], stored["whole"])

    def save(self, folder: Path) -> None:
        write_atomically(folder / STATE, json.dumps(asdict(self)).encode(), durable=False)

    def hash_of(self, folder: Path, name: str) -> str:
        """Return the hash of a local file, computed if it has changed; "" without a file."""
        path = folder / name
        try:
            facts = path.stat()
        except FileNotFoundError:
            return ""
        known = self.files.get(name)
        if known is not None and known[1:] == (facts.st_size, facts.st_mtime_ns):
            return known[0]
        found = _hash(path)
        self.files[name] = (found, facts.st_size, facts.st_mtime_ns)
        return found


def publish_piece(
    store: SharedFiles, unit: str, piece: str, *, folder: Path | None = None, accept: Callable[[str], bool]
) -> None:
    """Publish the files of a folder whose names `accept` takes, as one piece of the unit.

    `unit` is the folder's path below the root, `folder` its place until it is moved there.

    Raises:
        StorageError: the store cannot be used.
    """
    folder = folder or store.root / unit
    with exclusive_lock(_lock(store, unit), lambda: False):
        state = _State.of(folder)
        names = [path.relative_to(folder).as_posix() for path in files_below(folder)]
        wanted: dict[str, _File] = {}
        for name in names:
            if name != STATE and accept(name):
                digest = state.hash_of(folder, name)
                wanted[name] = _File(digest, state.files[name][1])
        there = store.remote.list(f"{unit}/{_FILES}")
        missing = [name for name, one in wanted.items() if _object(unit, one.hash, name) not in there]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for _ in threads.map(
                lambda name: store.remote.put(_object(unit, wanted[name].hash, name), folder / name), missing
            ):
                pass
        manifest = {name: asdict(one) for name, one in wanted.items()}
        store.remote.write(f"{unit}/{_MANIFESTS}/{piece}.json", json.dumps(manifest).encode())
        state.save(folder)


def sync_folder(
    store: SharedFiles,
    unit: str,
    choose: _Choose,
    *,
    last: str,
    on_file: Callable[[Path, str], None] = lambda _folder, _name: None,
) -> Path:
    """Update a local folder to its published pieces, and return it.

    `last` is the final piece: local files outside it are removed.

    `on_file` is called with the folder and the name of each new or changed file.

    Raises:
        StorageError: the store cannot be used, or a file in it is not the one that its manifest names.
    """
    folder = store.root / unit
    if _State.of(folder).whole:
        note_use(folder / STATE)
        return folder
    with exclusive_lock(_lock(store, unit), lambda: False):
        state = _State.of(folder)
        listed = pieces_of(store, unit)
        chosen = list(choose(listed))
        if {name: listed[name] for name in chosen} == state.pieces and _all_here(folder, state):
            return folder
        wanted: dict[str, _File] = {}
        for name in chosen:
            wanted |= _read_manifest(store, unit, name)
        came = [name for name, one in wanted.items() if state.hash_of(folder, name) != one.hash]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for _ in threads.map(lambda name: _get(store, unit, wanted[name], folder / name), came):
                pass
        for name in came:
            state.hash_of(folder, name)
        note_fetched(store, sum(wanted[name].size for name in came))
        for name in wanted if chosen else ():
            on_file(folder, name)
        if last in chosen:
            _remove_others(folder, wanted)
        if chosen:
            state.pieces = {name: listed[name] for name in chosen}
            state.whole = last in chosen
            state.save(folder)
    return folder


def pieces_of(store: SharedFiles, unit: str) -> dict[str, str]:
    """Return the names of a folder's published pieces, each with a text that changes when it is published anew."""
    listed = store.remote.list(f"{unit}/{_MANIFESTS}")
    return {key.rpartition("/")[2].removesuffix(".json"): one.version for key, one in listed.items()}


def _read_manifest(store: SharedFiles, unit: str, piece: str) -> dict[str, _File]:
    """Return the files of a piece by name; none if it was removed meanwhile."""
    try:
        stored = json.loads(store.remote.read(f"{unit}/{_MANIFESTS}/{piece}.json"))
    except FileNotFoundError:
        return {}
    return {name: _File(**one) for name, one in stored.items()}


def _take_piece(store: SharedFiles, unit: str, piece: str, *, accept: Callable[[str], bool]) -> None:
    """Make the files of a folder here that `accept` takes what one piece says; those that are not of it are removed.

    Raises:
        StorageError: the store cannot be used, or has lost a file of the piece.
    """
    folder = store.root / unit
    with exclusive_lock(_lock(store, unit), lambda: False):
        state, wanted = _State.of(folder), _read_manifest(store, unit, piece)
        while True:
            try:
                for name in [name for name, one in wanted.items() if state.hash_of(folder, name) != one.hash]:
                    _get(store, unit, wanted[name], folder / name)
                break
            except StorageError:
                before, wanted = wanted, _read_manifest(store, unit, piece)
                if wanted == before:
                    raise  # else it was replaced meanwhile
        _remove_others(folder, wanted, accept)
        state.save(folder)


def _replace_piece(store: SharedFiles, unit: str, piece: str, *, accept: Callable[[str], bool]) -> None:
    """Show files of a folder as `publish_piece` does, and remove the objects that only the piece before needed."""
    before = _read_manifest(store, unit, piece)
    publish_piece(store, unit, piece, accept=accept)
    _remove_unnamed(store, unit, before)


def _forget_piece(store: SharedFiles, unit: str, piece: str) -> None:
    """Remove a piece, and the objects that no other needs."""
    before = _read_manifest(store, unit, piece)
    store.remote.remove(f"{unit}/{_MANIFESTS}/{piece}.json")
    _remove_unnamed(store, unit, before)


def _remove_unnamed(store: SharedFiles, unit: str, files: Mapping[str, _File]) -> None:
    named = {
        (name, one.hash) for piece in pieces_of(store, unit) for name, one in _read_manifest(store, unit, piece).items()
    }
    for name, one in files.items():
        if (name, one.hash) not in named:
            store.remote.remove(_object(unit, one.hash, name))


def forget_files(store: SharedFiles, unit: str, piece: str, names: Iterable[str]) -> None:
    """Take files out of a piece, and remove their objects."""
    gone = set(names)
    with exclusive_lock(_lock(store, unit), lambda: False):
        manifest = _read_manifest(store, unit, piece)
        kept = {name: asdict(one) for name, one in manifest.items() if name not in gone}
        if len(kept) == len(manifest):
            return
        store.remote.write(f"{unit}/{_MANIFESTS}/{piece}.json", json.dumps(kept).encode())
        for name in gone & manifest.keys():
            store.remote.remove(_object(unit, manifest[name].hash, name))


def _mark_whole(folder: Path) -> None:
    """Note that all of a folder is behind the URL, and that nothing in it changes any more."""
    state = _State.of(folder)
    state.whole = True
    state.save(folder)


def _get(store: SharedFiles, unit: str, wanted: _File, path: Path) -> None:
    with atomic_path(path, durable=False) as partial:
        name = path.relative_to(store.root / unit).as_posix()
        with suppress(FileNotFoundError):
            store.remote.get(_object(unit, wanted.hash, name), partial)
        if not partial.exists() or _hash(partial) != wanted.hash:
            raise StorageError(
                f"{store.remote.name}: {unit}/{name} is gone or damaged",
                "restore it from a backup, or start a new round",
            )


def _remove_others(folder: Path, wanted: Collection[str], accept: Callable[[str], bool] = lambda _name: True) -> None:
    """Remove what work left in a folder beside the wanted files, of those that `accept` takes."""
    for path in files_below(folder):
        name = path.relative_to(folder).as_posix()
        if name != STATE and name not in wanted and accept(name):
            path.unlink()
            with suppress(OSError):  # others are in it
                path.parent.rmdir()


def _all_here(folder: Path, state: _State) -> bool:
    return all((folder / name).exists() for name in state.files)


def _hash(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _object(unit: str, digest: str, name: str) -> str:
    return f"{unit}/{_FILES}/{digest}/{name}"


def _lock(store: SharedFiles, unit: str) -> Path:
    path = store.root / LOCKS / f"{unit.replace('/', '-')}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
