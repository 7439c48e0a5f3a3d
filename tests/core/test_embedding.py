"""Shards of a round over a frozen network: the bits of the round without them, made once, whole or not at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.config import Member, ProbabilityMethod, RoundConfig
from core.data import shards as dividing
from core.data.networks import network_folder
from core.data.shards import count_shards, load_shards, remove_shards, shard_file
from core.data.snapshot import Snapshot
from core.embedding import ShardImages, embed_here, embed_shard, plan_shards
from core.learn.crossfold import FoldCallbacks
from core.recipes.labelling import order_images
from core.rounds import run_fold, run_round
from core.types import FloatArray, Progress, RoundCancelledError
from tests.core.test_rounds import drawn

COUNT = 150
PROBE = {"method": ProbabilityMethod.PROBE, "model": "test_resnet", "input_size": 32}
CONFIG = RoundConfig(folds=2, batch_size=32, **PROBE)
TWO = replace(CONFIG, members=(Member(batch_size=16, flip=True, **PROBE),))
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dividing, "IMAGES", 40)


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    return drawn(tmp_path / "images", count=COUNT)[0]


def opened(folder: Path, snapshot: Snapshot, config: RoundConfig) -> Path:
    snapshot.save(folder)
    plan_shards(folder, config, snapshot)
    return folder


def make(
    folder: Path, config: RoundConfig, shard: int, cache: Path, should_stop: Callable[[], bool] = lambda: False
) -> list[Progress]:
    told: list[Progress] = []
    embed_shard(folder, config, shard, image_cache=cache, report=told.append, should_stop=should_stop)
    return told


def run(snapshot: Snapshot, config: RoundConfig, folder: Path, cache: Path) -> None:
    run_round(snapshot, config, folder, image_cache=cache, report=lambda _: None)


def kept(folder: Path) -> dict[str, bytes]:
    """Return what a round's folder holds, but its shards and how long its folds took."""
    found: dict[str, bytes] = {}
    for path in (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("shards")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".npz" and path.name.startswith("fold_"):
            with np.load(path) as arrays:
                found |= {f"{name}/{one}": arrays[one].tobytes() for one in arrays.files if one != "summary"}
        elif path.suffix != ".lock" and path.parent.name != dividing.FOLDER:
            found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize("batch_size", [1, 7, 32, 100, 200])
@pytest.mark.usefixtures("small_shards")
def test_shards_divide_all_images_at_batch_boundaries(batch_size: int) -> None:
    for count in range(1, 300):
        found = dividing.divide(count, batch_size)
        if found is None:
            assert count <= max(40, batch_size)
            continue
        parts = [found.rows(shard) for shard in range(found.count)]
        assert [row for part in parts for row in part] == list(range(count))
        assert all(len(part) for part in parts)
        assert all(part.stop % batch_size == 0 for part in parts[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("config", [CONFIG, TWO], ids=["one network", "two networks"])
def test_a_round_in_shards_equals_the_round_without_them_bit_for_bit(
    snapshot: Snapshot, config: RoundConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(snapshot, config, tmp_path / "whole", tmp_path / "cache")
    assert not (tmp_path / "whole" / dividing.FOLDER).exists()
    monkeypatch.setattr(dividing, "IMAGES", 40)
    folder = opened(tmp_path / "round", snapshot, config)
    assert count_shards(folder) == 4
    for shard in (2, 0, 3, 1):
        told = make(folder, config, shard, tmp_path / f"cache of {shard % 2}")  # as two machines
        assert {(one.fold, one.folds) for one in told} == {(shard, 4)}
        assert [one.fraction for one in told] == sorted(one.fraction for one in told)
    run(snapshot, config, folder, tmp_path / "third cache")
    assert len(list((tmp_path / "third cache").glob("*-32-rgb.npy"))) == 1  # decoded for the comparison of networks
    remove_shards(folder)
    wanted, found = kept(tmp_path / "whole"), kept(folder)
    assert {"probabilities.npy", "embeddings.npy", "backbone_check.json", "decay.json"} <= wanted.keys()
    assert found == wanted


@pytest.mark.usefixtures("small_shards")
def test_a_finished_shard_stays_and_a_stopped_shard_leaves_nothing(snapshot: Snapshot, tmp_path: Path) -> None:
    folder, cache = opened(tmp_path / "round", snapshot, CONFIG), tmp_path / "cache"
    with pytest.raises(RoundCancelledError):
        make(folder, CONFIG, 1, cache, lambda: True)
    assert list((folder / dividing.FOLDER).glob("*")) == []
    make(folder, CONFIG, 1, cache)
    (path,) = (folder / dividing.FOLDER).iterdir()
    assert path == shard_file(folder, 1)
    assert np.load(path).dtype == np.float16
    path.write_bytes(b"made before")
    assert make(folder, CONFIG, 1, cache) == []
    assert path.read_bytes() == b"made before"


@pytest.mark.usefixtures("small_shards")
def test_a_missing_shard_is_made_again_by_the_fold_that_needs_it(snapshot: Snapshot, tmp_path: Path) -> None:
    folder, cache = opened(tmp_path / "round", snapshot, CONFIG), tmp_path / "cache"
    for shard in range(4):
        make(folder, CONFIG, shard, cache)
    wanted = np.concatenate([np.load(shard_file(folder, shard)) for shard in range(4)])
    shard_file(folder, 2).unlink()
    run_fold(folder, CONFIG, 0, image_cache=cache, report=lambda _: None, should_stop=lambda: False)
    np.testing.assert_array_equal(np.load(folder / "embeddings.npy"), wanted)


@pytest.mark.usefixtures("small_shards")
def test_a_shard_embeds_only_images_not_embedded_by_a_former_round(snapshot: Snapshot, tmp_path: Path) -> None:
    cache, embedded = tmp_path / "cache", []
    fewer = drawn(tmp_path / "images", count=120)[0]
    run(fewer, CONFIG, tmp_path / "fewer", cache)
    folder = opened(tmp_path / "round", snapshot, CONFIG)

    def note(
        config: RoundConfig, images: ShardImages, where: Path, progress: Progress, callbacks: FoldCallbacks
    ) -> FloatArray:
        embedded.extend(images.keys)
        return embed_here(config, images, where, progress, callbacks)

    for shard in range(4):
        embed_shard(
            folder,
            CONFIG,
            shard,
            image_cache=cache,
            report=lambda _: None,
            should_stop=lambda: False,
            embed=note,
        )
    assert set(embedded) == set(snapshot.content_hashes) - set(fewer.content_hashes)


@pytest.mark.usefixtures("small_shards")
def test_only_probes_that_have_not_predicted_have_shards(snapshot: Snapshot, tmp_path: Path) -> None:
    trained = replace(TWO, method=ProbabilityMethod.FINE_TUNE)
    folder = opened(tmp_path / "trained", snapshot, trained)
    assert load_shards(folder) is None
    assert load_shards(network_folder(folder, 1)) is not None
    extended = tmp_path / "extended"
    extended.mkdir()
    for fold in range(2):
        (extended / f"fold_{fold}.npz").write_bytes(b"")
    opened(extended, snapshot, TWO)
    assert load_shards(extended) is None
    assert load_shards(network_folder(extended, 1)) is not None


@pytest.mark.usefixtures("small_shards")
def test_images_are_ordered_by_the_same_embeddings_from_shards(snapshot: Snapshot, tmp_path: Path) -> None:
    snapshot.save(tmp_path / "whole")
    order_images(tmp_path / "whole", CONFIG, image_cache=tmp_path / "cache", report=lambda _: None)
    folder = opened(tmp_path / "round", snapshot, CONFIG)
    order_images(folder, CONFIG, image_cache=tmp_path / "other", report=lambda _: None)
    assert (folder / "order.npy").read_bytes() == (tmp_path / "whole" / "order.npy").read_bytes()
