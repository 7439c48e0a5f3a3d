"""Networks kept in a round's folder: `<name>.safetensors` holds the tensors, `<name>.network.json` describes them.

The second is written after the first, so if it exists both do. A network is identified by its hash, blake2b-128 of
the tensors' file, which is checked before use: a damaged or exchanged file is an error. Folds are called `fold_0`,
`fold_1` ...; a recipe gives its networks names of its own. Needs no torch.
"""

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from core.data.storage import write_atomically
from core.data.windows import from_pair
from core.types import RoundError, Task

TENSORS = ".safetensors"
FACTS = ".network.json"
BACKBONE = "backbone"  # of a round of probes: the frozen network that all folds share
_MEMBER = "member_"  # and a number: the folder of a further network of a round
_AT_ONCE = 1 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Facts needed to rebuild a network, to preprocess images for it, and to calibrate its predictions."""

    task: Task
    classes: tuple[str, ...]
    config: dict[str, Any]  # `RoundConfig.to_json()` that it was built and trained with
    mean: tuple[float, ...]  # of each channel of the images, in [0, 1]
    std: tuple[float, ...]
    canvas: tuple[int, int]  # height, width of its input, in pixels
    colours: tuple[str, ...] = ()  # of masks, `#rrggbb` each; empty if unknown
    temperature: float = 1.0  # divisor of its logits
    weight: float = 1.0  # of several networks of a round: its weight in the mix
    sharpening: float = 1.0  # of several: the mix is taken to the power 1 / sharpening
    predicts: bool = True  # whether it predicts new images; false if it only helped to train another
    backbone: str = ""  # of a probe: the hash of the frozen network's file
    accuracy: float | None = None  # on held-out samples, against the given labels
    mean_iou: float | None = None
    window: tuple[int, int] | None = None  # of its images with greys of more than 8 bits
    versions: dict[str, str] | None = None  # of the libraries that made it


@dataclass(frozen=True, slots=True)
class KeptNetwork:
    """A network in a round's folder."""

    folder: Path
    name: str
    hash: str
    bytes: int
    about: About

    @property
    def path(self) -> Path:
        """Return the path of its tensors."""
        return self.folder / f"{self.name}{TENSORS}"

    @property
    def full_name(self) -> str:
        """Name in the round; of a further network with its folder."""
        return f"{self.folder.name}/{self.name}" if self.folder.name.startswith(_MEMBER) else self.name


def network_folder(folder: Path, number: int) -> Path:
    """Return the folder of the files of a round's network by its number; of the first, 0, the round's own folder."""
    return folder / f"{_MEMBER}{number}" if number else folder


def round_networks(folder: Path) -> list[KeptNetwork]:
    """Return the networks of a round's folder, followed by those of its further networks.

    Raises:
        RoundError: a description cannot be read.
    """
    return [kept for one in _network_folders(folder) for kept in kept_networks(one)]


def keeps_networks(folder: Path) -> bool:
    """Return whether tensors of any of a round's networks exist."""
    return any(any(one.glob(f"*{TENSORS}")) for one in _network_folders(folder))


def _network_folders(folder: Path) -> list[Path]:
    return [folder, *sorted(folder.glob(f"{_MEMBER}*"))]


def describe(folder: Path, name: str, about: About) -> KeptNetwork:
    """Write the description of tensors that are in the folder."""
    path = folder / f"{name}{TENSORS}"
    kept = KeptNetwork(folder, name, file_hash(path), path.stat().st_size, about)
    _write(kept)
    return kept


def kept_networks(folder: Path) -> list[KeptNetwork]:
    """Return the networks of a round's folder, by name; those of folds in their order.

    Raises:
        RoundError: a description cannot be read.
    """
    found = [_read(path) for path in folder.glob(f"*{FACTS}")]
    return sorted(
        found, key=lambda kept: (len(kept.name), kept.name) if kept.name.startswith("fold_") else (0, kept.name)
    )


def find_network(folder: Path, name: str) -> KeptNetwork | None:
    """Return the network of this name, None if it is not kept."""
    path = folder / f"{name}{FACTS}"
    return _read(path) if path.exists() else None


def hash_of_piece(folder: Path, fold: int) -> str | None:
    """Return the hash of the network of a piece of a round, None if there is not exactly one."""
    own = find_network(folder, f"fold_{fold}")
    found = [own] if own else [kept for kept in kept_networks(folder) if kept.about.predicts]
    return found[0].hash if len(found) == 1 else None


def set_calibration(
    folder: Path, name: str, temperature: float, *, weight: float = 1.0, sharpening: float = 1.0
) -> None:
    """Store the calibration and weight of a network's predictions, see `About`; without effect if it is not kept."""
    kept = find_network(folder, name)
    if kept is not None:
        about = replace(kept.about, temperature=temperature, weight=weight, sharpening=sharpening)
        _write(replace(kept, about=about))


def set_predicting(folder: Path, name: str) -> None:
    """Mark this network, and no other of the folder, as the one that predicts new images."""
    for kept in kept_networks(folder):
        if kept.about.predicts != (kept.name == name):
            _write(replace(kept, about=replace(kept.about, predicts=kept.name == name)))


def read_tensors(kept: KeptNetwork) -> bytes:
    """Return a network's file.

    Raises:
        RoundError: it is missing or was changed.
    """
    try:
        data = kept.path.read_bytes()
    except OSError as error:
        raise RoundError(
            f"{kept.path} cannot be read ({error.strerror or error})", "put it back from a copy, or start a new round"
        ) from error
    if blake2b(data, digest_size=16).hexdigest() != kept.hash:
        raise RoundError(
            f"{kept.path} is not the network that was kept (its hash was {kept.hash})",
            "put it back from a copy, or start a new round",
        )
    return data


def drop_networks(folder: Path) -> int:
    """Remove a round's networks and return the bytes freed."""
    freed = 0
    for facts in [facts for one in _network_folders(folder) for facts in one.glob(f"*{FACTS}")]:
        tensors = facts.with_name(facts.name.removesuffix(FACTS) + TENSORS)
        facts.unlink(missing_ok=True)  # first, so that no description refers to missing tensors
        if tensors.exists():
            freed += tensors.stat().st_size
            tensors.unlink(missing_ok=True)
    return freed


def file_hash(path: Path) -> str:
    """Return blake2b-128 of a file, 32 hex digits."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while part := file.read(_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def _write(kept: KeptNetwork) -> None:
    values = {"hash": kept.hash, "bytes": kept.bytes} | asdict(kept.about)
    write_atomically(kept.folder / f"{kept.name}{FACTS}", json.dumps(values, indent=1).encode())


def _read(path: Path) -> KeptNetwork:
    try:
        values = json.loads(path.read_bytes())
        known = {name: values[name] for name in (item.name for item in fields(About)) if name in values}
        for name in ("classes", "mean", "std", "canvas", "colours"):
            known[name] = tuple(known[name])
        known["window"] = from_pair(known.get("window"))
        about = About(**known | {"task": Task(known["task"])})
        return KeptNetwork(path.parent, path.name.removesuffix(FACTS), values["hash"], values["bytes"], about)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RoundError(
            f"{os.fspath(path)} does not describe its network ({error})",
            "put it back from a copy, or start a new round",
        ) from error
