"""Folders that grow piece by piece, in several homes at once, behind a URL: those of rounds.

A piece is published as objects and then a manifest, which names each file's hash and size. Objects are named by their
content (`<folder>/files/<hash>/<name>`), so they never change, and an unfinished piece is never seen: its
manifest, one small object, comes last. Who reads chooses manifests and gets their files, later pieces over earlier
ones; each file is checked by its hash and renamed into place. What lies here beside them stays as it is.

`.shared.json` in the folder remembers what its files were when they were equal to those behind the URL.
"""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path

from core.data.locks import exclusive_lock
from core.data.storage import atomic_path, note_use, write_atomically
from core.data.store import AT_ONCE, LOCKS, SharedFiles, files_below, note_fetched
from core.types import StorageError

STATE = ".shared.json"
_BLOCK = 1 << 20
_MANIFESTS, _FILES = "manifests", "files"

Choose = Callable[[Iterable[str]], Sequence[str]]
"""Returns of the names of pieces those to read, a later one over earlier ones."""


@dataclass(frozen=True, slots=True)
class SharedFile:
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
        """Return the hash of a file here, computed unless it is unchanged since it was; "" where there is none."""
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
    """Show the files of a folder that `accept` takes by their names, as one piece of the unit.

    `unit` is the folder's path below the root, `folder` where it lies until it is put there.

    Raises:
        StorageError: the store cannot be used.
    """
    folder = folder or store.root / unit
    with exclusive_lock(_lock(store, unit), lambda: False):
        state = _State.of(folder)
        names = [path.relative_to(folder).as_posix() for path in files_below(folder)]
        wanted: dict[str, SharedFile] = {}
        for name in names:
            if name != STATE and accept(name):
                digest = state.hash_of(folder, name)
                wanted[name] = SharedFile(digest, state.files[name][1])
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
    choose: Choose,
    *,
    last: str,
    on_file: Callable[[Path, str], None] = lambda _folder, _name: None,
) -> Path:
    """Bring a folder here to what its pieces say, and return it.

    `last` is the piece after which nothing changes: all that is not of it is removed here.

    `on_file` is called with the folder and the name of each file that came or changed.

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
        wanted: dict[str, SharedFile] = {}
        for name in chosen:
            wanted |= read_manifest(store, unit, name)
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


def read_manifest(store: SharedFiles, unit: str, piece: str) -> dict[str, SharedFile]:
    """Return the files of a piece by name; none where it has gone meanwhile."""
    try:
        stored = json.loads(store.remote.read(f"{unit}/{_MANIFESTS}/{piece}.json"))
    except FileNotFoundError:
        return {}
    return {name: SharedFile(**one) for name, one in stored.items()}


def forget_files(store: SharedFiles, unit: str, piece: str, names: Iterable[str]) -> None:
    """Take files out of a piece, and remove their objects."""
    gone = set(names)
    with exclusive_lock(_lock(store, unit), lambda: False):
        manifest = read_manifest(store, unit, piece)
        kept = {name: asdict(one) for name, one in manifest.items() if name not in gone}
        if len(kept) == len(manifest):
            return
        store.remote.write(f"{unit}/{_MANIFESTS}/{piece}.json", json.dumps(kept).encode())
        for name in gone & manifest.keys():
            store.remote.remove(_object(unit, manifest[name].hash, name))


def is_whole(folder: Path) -> bool:
    """Return whether all of a folder is behind the URL, so that its copy here may go."""
    return _State.of(folder).whole


def mark_whole(folder: Path) -> None:
    """Note that all of a folder is behind the URL, and that nothing in it changes any more."""
    state = _State.of(folder)
    state.whole = True
    state.save(folder)


def _get(store: SharedFiles, unit: str, wanted: SharedFile, path: Path) -> None:
    with atomic_path(path, durable=False) as partial:
        name = path.relative_to(store.root / unit).as_posix()
        with suppress(FileNotFoundError):
            store.remote.get(_object(unit, wanted.hash, name), partial)
        if not partial.exists() or _hash(partial) != wanted.hash:
            raise StorageError(
                f"{store.remote.name}: {unit}/{name} is gone or damaged",
                "restore it from a backup, or start a new round",
            )


def _remove_others(folder: Path, wanted: Collection[str]) -> None:
    """Remove what work left in a folder that is finished."""
    for path in files_below(folder):
        name = path.relative_to(folder).as_posix()
        if name != STATE and name not in wanted:
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
