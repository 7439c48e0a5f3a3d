from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import timing
from core.config import BACKBONE, DEEPLAB, Member, ProbabilityMethod, RoundConfig, Weights
from core.data.array_cache import array_path, name_of_list
from core.data.masks.store import MaskStore
from core.data.storage import save_array
from core.judge.similarity import order_by_similarity
from core.learn.models.classifier import initial_scaling
from core.learn.probe import embeddings_kind
from core.timing import TimingTrial, estimate_costs
from core.types import ConfigError, FloatArray, RoundError

TRAINED = RoundConfig(input_size=16, grey=True, epochs=2, batch_size=8, folds=2)
PROBED = RoundConfig(
    method=ProbabilityMethod.PROBE, model=BACKBONE, weights=Weights.PACKAGED, input_size=32, batch_size=4, folds=2
)


def estimate_seconds(trial: TimingTrial, config: RoundConfig, parent: Path | None = None) -> float:
    return estimate_costs(trial, config, parent)[0]


@pytest.fixture
def trial(tmp_path: Path) -> TimingTrial:
    """Return a trial of six drawn images."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return TimingTrial(paths=[*map(str, paths)], content_hashes=[path.stem for path in paths], count=100, classes=3)


@pytest.mark.usefixtures("one_thread")
def test_the_estimate_grows_with_images_and_epochs(trial: TimingTrial) -> None:
    once = estimate_seconds(trial, TRAINED)
    assert once > 0
    assert estimate_seconds(replace(trial, count=100_000), TRAINED) > 2 * once
    assert estimate_seconds(trial, replace(TRAINED, epochs=200)) > 2 * once


@pytest.mark.usefixtures("one_thread")
def test_the_estimate_is_the_sum_of_its_parts(trial: TimingTrial) -> None:
    seconds, costs = estimate_costs(trial, TRAINED)
    assert costs is not None
    assert seconds == pytest.approx(costs.once + TRAINED.epochs * costs.training + costs.predicting)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow
def test_a_probe_takes_longer_for_more_images(trial: TimingTrial) -> None:
    once = estimate_seconds(trial, PROBED)
    assert once > 0
    assert estimate_seconds(replace(trial, count=100_000), PROBED) > 2 * once


@pytest.mark.parametrize(("count", "power"), [(200_000, 2.0), (4_000_000, 1.5)])
def test_the_estimated_search_time_grows_like_the_chosen_search(
    monkeypatch: pytest.MonkeyPatch, count: int, power: float
) -> None:
    now = 0.0

    def seconds(images: int) -> float:
        return 1e-4 * images + 1e-6 * images**power

    def search(embeddings: FloatArray, **how: bool) -> None:
        nonlocal now
        assert how == {"exhaustive": count == 200_000}
        now += seconds(len(embeddings))

    monkeypatch.setattr(timing, "similarity", search)
    monkeypatch.setattr(timing.time, "monotonic", lambda: now)
    assert timing._seconds_of_neighbours(count, 8) == pytest.approx(seconds(count))


def test_arrays_cached_by_a_round_of_the_same_images_take_no_time(
    trial: TimingTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[str] = []
    monkeypatch.setattr(timing, "_seconds_of_embedding", lambda *_: timed.append("embedding") or (0.0, 8))
    monkeypatch.setattr(timing, "_seconds_of_neighbours", lambda *_: timed.append("neighbours") or 0.0)
    cache = tmp_path / "cache"
    known = replace(trial, image_cache=str(cache), rows=name_of_list([trial.content_hashes]))

    def parts() -> list[str]:
        timed.clear()
        estimate_seconds(known, PROBED)
        return list(timed)

    assert parts() == ["embedding", "neighbours"]
    kind = embeddings_kind(PROBED, initial_scaling(PROBED, 3))
    embeddings = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float16)
    save_array(array_path(cache, trial.content_hashes, kind), embeddings)
    assert parts() == ["neighbours"]
    order_by_similarity(tmp_path / "round", embeddings + 1, cache)  # of another round
    assert parts() == ["neighbours"]
    order_by_similarity(tmp_path / "round", embeddings, cache)
    assert parts() == []


def test_further_networks_add_their_own_time(trial: TimingTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.timing._costs_of_network", lambda _, config, __: (float(config.epochs), None))
    slow = Member.of(replace(TRAINED, epochs=200))
    assert estimate_seconds(trial, replace(TRAINED, members=(slow,))) == TRAINED.epochs + 200


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow
def test_scenes_are_timed_by_a_small_round(trial: TimingTrial, tmp_path: Path) -> None:
    store = MaskStore(tmp_path / "masks")
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 8:20] = 1
    names = [store.put(np.roll(mask, number, axis=1)) for number in range(6)]
    scenes = replace(trial, masks=names, sizes=[(32, 32)] * 6, mask_store=str(tmp_path / "masks"), classes=2)
    probe = replace(PROBED, model=f"{DEEPLAB}{BACKBONE}")
    once = estimate_seconds(scenes, probe)
    assert once > 0
    assert estimate_seconds(replace(scenes, count=100_000), probe) > 2 * once


def test_an_impossible_estimate_is_refused_with_the_cause(trial: TimingTrial) -> None:
    with pytest.raises(RoundError, match="can no longer be read"):
        estimate_seconds(replace(trial, paths=["/nowhere/1.png"], content_hashes=["1"]), TRAINED)
    with pytest.raises(ConfigError, match="no weights file"):
        estimate_seconds(trial, replace(PROBED, weights=Weights.FILE, weights_file="/nowhere/w.safetensors"))


def test_a_trial_uses_only_the_given_folder_and_leaves_nothing_there(trial: TimingTrial, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    estimate_seconds(trial, TRAINED, tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []
    with pytest.raises(FileNotFoundError):
        estimate_seconds(trial, TRAINED, tmp_path / "nowhere")
