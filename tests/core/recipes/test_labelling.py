"""The order of unlabelled images, and the findings made of it, which suggest nothing."""

import itertools
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import packaged_probe
from core.data.snapshot import Snapshot
from core.judge.found import judge_unlabelled
from core.recipes.labelling import order_images
from core.types import EVERY_FOLD, NO_LABEL, FindingKind, Progress, RoundCancelledError

EACH = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a round's folder with a snapshot of discs and of stripes in turn, of which one has a label."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :48]
    paths, hashes = [], []
    for number in range(2 * EACH):
        shape = (x - 24) ** 2 + (y - 24) ** 2 < 200 if number % 2 else (x // 4) % 2 == 0
        pixels = (rng.integers(0, 40, (48, 48, 3)) + 180 * shape[..., None]).astype(np.uint8)
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        paths.append(str(path))
        hashes.append(blake2b(path.read_bytes(), digest_size=16).hexdigest())
    labels = np.full(2 * EACH, NO_LABEL, np.int32)
    labels[3] = 1
    at = tmp_path / "round"
    at.mkdir()
    Snapshot(np.arange(1, 2 * EACH + 1), paths, labels, [""] * len(paths), hashes, ["stripes", "disc"]).save(at)
    return at


def test_similar_images_are_adjacent_and_only_unlabelled_ones_are_found(folder: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    order_images(folder, packaged_probe(48), image_cache=tmp_path / "cache", report=told.append)
    judged = judge_unlabelled(folder)
    found = list(judged.found)
    assert judged.metrics == {"labelled": [0, 1]}
    assert sorted(one.row for one in found) == [row for row in range(2 * EACH) if row != 3]
    assert {(one.given, one.pseudo, one.kind, one.fold) for one in found} == {
        (NO_LABEL, NO_LABEL, FindingKind.UNLABELLED, EVERY_FOLD)
    }
    assert [one.similarity_rank for one in found] == sorted(one.similarity_rank or 0 for one in found)
    kinds = [one.row % 2 for one in found]
    assert sum(one != other for one, other in itertools.pairwise(kinds)) == 1
    assert max(progress.fraction for progress in told) <= 1


def test_a_stored_order_is_reused_and_ordering_stops_on_cancel(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RoundCancelledError):
        order_images(
            folder, packaged_probe(48), image_cache=tmp_path / "cache", report=lambda _: None, should_stop=lambda: True
        )
    (folder / "order.npy").write_bytes(b"done")
    order_images(folder, packaged_probe(48), image_cache=tmp_path / "cache", report=lambda _: None)
    assert (folder / "order.npy").read_bytes() == b"done"
