"""Images outside of evaluation splits that look like one inside: leaks from training to test data.

Found once per state of the dataset and stored in a file, since images may have to be read for it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np

from app.services.app_context import AppContext
from core.data.images import load_image
from core.data.lookalikes import find_similar, pixels_of
from core.data.storage import write_atomically
from core.data.windows import Window, window_option, window_text
from core.types import OutfoldError, counted, from_json_values, to_json_values
from db.queries import datasets, snapshots
from db.queries.datasets import DatasetInfo
from db.queries.snapshots import Sample

_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class LeakedPair:
    """An image of an evaluation split and one outside of it that looks the same, or is the same file."""

    protected: str
    other: str
    same_file: bool

    @property
    def kind(self) -> str:
        """Return the kind of similarity."""
        return "same file" if self.same_file else "looks alike"


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """The first pairs; `others` are the ids of all images that look like one of an evaluation split.

    `unknown` images were imported before such hashes existed. Not `complete`: too many plain images to compare all.
    """

    count: int
    pairs: tuple[LeakedPair, ...]
    others: tuple[int, ...]
    unknown: int
    complete: bool

    def lines(self) -> list[str]:
        """Return remarks, one sentence each."""
        lines = []
        if self.count:
            look = "looks" if len(self.others) == 1 else "look"
            lines.append(
                f"{counted(len(self.others), 'image')} outside {look} like images of the evaluation split "
                f"({counted(self.count, 'pair')}). They are excluded from training too; to be sure, delete them or "
                "group them with their look-alikes."
            )
        else:
            lines.append("No image outside looks like one of the evaluation split.")
        if self.unknown:
            lines.append(
                f"Imported before pictures were compared: {counted(self.unknown, 'image')}. Only copies of files are "
                "known of them; import the dataset again to compare them too."
            )
        if not self.complete:
            lines.append("The pictures are too plain to tell them all apart: not every pair was looked at.")
        return lines


NOTHING = Lookalikes(0, (), (), 0, complete=True)


def find_known(app_context: AppContext, dataset_id: int) -> Lookalikes | None:
    """Return the look-alikes of the dataset's current images, None if not searched yet."""
    info, samples = _read(app_context, dataset_id)
    return _kept(_file(app_context, info, samples)) if info.evaluation_splits else NOTHING


def find(app_context: AppContext, dataset_id: int) -> Lookalikes:
    """Search for look-alikes unless stored; takes seconds for photographs, a minute for 70,000 digits."""
    info, samples = _read(app_context, dataset_id)
    if not info.evaluation_splits:
        return NOTHING
    path = _file(app_context, info, samples)
    kept = _kept(path)
    if kept is None:
        kept = _found(info.evaluation_splits, samples, window_option(info.options))
        write_atomically(path, json.dumps(to_json_values(kept)).encode())
    return kept


def _found(splits: Sequence[str], samples: Sequence[Sample], window: Window | None) -> Lookalikes:
    inside = [one for one in samples if one.split in splits]
    outside = [one for one in samples if one.split not in splits]
    hashed = [[one for one in some if one.look_hash is not None] for some in (inside, outside)]
    first, second = (np.array([one.look_hash for one in some], dtype=np.int64) for some in hashed)
    paths, others = ([one.path for one in some] for some in hashed)
    alike, complete = find_similar(
        first, second, paths, others, partial(pixels_of, load=partial(_loaded, window=window))
    )
    pairs = {(hashed[0][own].id, hashed[1][other].id) for own, other in alike.tolist()}
    first_of: dict[str, Sample] = {}  # one is enough: thousands of black frames would all pair with each other
    for one in inside:
        first_of.setdefault(one.content_hash, one)
    same = {(first_of[one.content_hash].id, one.id) for one in outside if one.content_hash in first_of}
    every = sorted(pairs | same, key=lambda pair: (pair not in same, pair))
    names = {one.id: one.name for one in samples}
    shown = tuple(LeakedPair(names[own], names[other], (own, other) in same) for own, other in every[:_MOST_SHOWN])
    unknown = sum(one.look_hash is None for one in samples)
    return Lookalikes(len(every), shown, tuple(sorted({other for _, other in every})), unknown, complete)


def _loaded(path: Path, window: Window | None) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    try:
        return load_image(path, grey=True, window=window)
    except OutfoldError as error:
        raise ValueError(str(error)) from error


def _read(app_context: AppContext, dataset_id: int) -> tuple[DatasetInfo, list[Sample]]:
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        return info, snapshots.samples_of(session, dataset_id) if info.evaluation_splits else []


def _file(app_context: AppContext, info: DatasetInfo, samples: Sequence[Sample]) -> Path:
    window = window_option(info.options)
    seen = [] if window is None else [f"window {window_text(window)}"]
    digest = blake2b(json.dumps(sorted(info.evaluation_splits) + seen).encode(), digest_size=16)
    for one in samples:
        digest.update(f"{one.id} {one.split} {one.content_hash} {one.look_hash}\n".encode())
    return app_context.files / "lookalikes" / f"{info.id}-{digest.hexdigest()}.json"


def _kept(path: Path) -> Lookalikes | None:
    try:
        return from_json_values(Lookalikes, json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        return None
