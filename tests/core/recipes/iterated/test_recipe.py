"""The recipe "iterated" end to end on drawn scenes and on little pictures, in seconds; and its loop by itself."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.config import IteratedSettings, RoundConfig
from core.data.formats import camvid
from core.data.formats.source import ReadOptions
from core.data.masks.reading import read_mask
from core.data.masks.store import MaskStore
from core.data.networks import find_network, kept_networks
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot
from core.judge.proposals import PROPOSALS
from core.learn import training
from core.learn.batches import split_weights
from core.learn.crossfold import FoldCallbacks
from core.recipes.data import RecipeData
from core.recipes.iterated import recipe as iterated, stages
from core.recipes.iterated.labels import pseudo_folder
from core.recipes.iterated.mirroring import MirrorChoice
from core.recipes.iterated.proposals import propose
from core.recipes.iterated.recipe import IteratedResult, open_context, run_iterated
from core.recipes.iterated.stages import IteratedContext, PseudoLabels, TrainingRun
from core.recipes.scores import Score
from core.types import IGNORE, NO_LABEL, ConfigError, DatasetError, Progress, RoundCancelledError, RoundError
from tests.core.scenes import Scenes, drawn

MASK_NETWORK = RoundConfig(model="small_unet", input_size=48, epochs=2, batch_size=4, device="cpu", mirror=False)
NETWORK = RoundConfig(model="small_cnn", input_size=16, epochs=2, batch_size=8, device="cpu")
SHORT = IteratedSettings(iterations=2, least_confidence=0.0)
TUNED = replace(SHORT, fine_tuning=0.25)
COUNT = 60

pytestmark = pytest.mark.usefixtures("one_thread")


def pictures(folder: Path, count: int = COUNT, groups: list[str] | None = None) -> Snapshot:
    """Draw pictures that are bright above, below or on the left."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    paths = []
    for row, label in enumerate(labels.tolist()):
        pixels = rng.integers(60, 140, (16, 16, 3))
        part = [np.s_[:8], np.s_[8:], np.s_[:, :8]][label]
        pixels[part] += 90
        paths.append(str(folder / f"{row}.png"))
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    hashes = [f"{folder.name}-{row}" for row in range(count)]
    own = groups or [""] * count
    return Snapshot(np.arange(count) + 1, paths, labels.astype(np.int32), own, hashes, ["up", "down", "left"])


def parts_of(snapshot: Snapshot) -> RecipeData:
    count = len(snapshot)
    few, judged = max(4, count // 5), count // 4
    return RecipeData(
        snapshot=snapshot,
        labelled=np.arange(few),
        unlabelled=np.arange(few, count - 2 * judged),
        validation=np.arange(count - 2 * judged, count - judged),
        test=np.arange(count - judged, count),
    )


def run(
    data: RecipeData, folder: Path, settings: IteratedSettings = SHORT, masks: Path | None = None, **changes: Any
) -> IteratedResult:
    network = NETWORK if masks is None else MASK_NETWORK
    asked: dict[str, Any] = {"report": lambda _: None, "network": network} | changes
    return run_iterated(
        data, asked.pop("network"), settings, folder, image_cache=folder.parent / "c", masks=masks, **asked
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", ["classes", "masks"])
def test_the_predicting_network_has_a_temperature_fitted_on_the_validation_images(tmp_path: Path, kind: str) -> None:
    if kind == "classes":
        result = run(parts_of(pictures(tmp_path / "pictures")), tmp_path / "run")
    else:
        data, scenes = masked(tmp_path / "scenes")
        result = run(data, tmp_path / "run", masks=scenes.store)
    kept = {network.name: network.about for network in kept_networks(tmp_path / "run")}
    assert [name for name, about in kept.items() if about.predicts] == [result.best]
    assert kept[result.best].temperature == json.loads((tmp_path / "run" / "temperature.json").read_bytes())["of"]
    assert kept[result.best].temperature != 1
    assert not (tmp_path / "run" / "calibrated").exists()


def masked(folder: Path, count: int = 20) -> tuple[RecipeData, Scenes]:
    scenes = drawn(folder, count)
    return parts_of(scenes.snapshot), scenes


def score(value: float) -> Score:
    return Score(value=value, per_class=[value], accuracy=value)


class Loop:
    """The recipe without networks: each comes to a score that was said before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, worth: dict[str, float]) -> None:
        self.worth, self.learnt, self.chosen, self.looked = worth, [], [], []
        monkeypatch.setattr(iterated, "learn", self.learn)
        monkeypatch.setattr(iterated, "choose_pseudo_labels", self.choose)
        monkeypatch.setattr(iterated, "score_network", self.look)
        monkeypatch.setattr(iterated, "temperature_of", lambda *_, **__: 1.0)
        monkeypatch.setattr(iterated, "is_symmetric", lambda *_, **__: MirrorChoice(mirror=False, images=15))

    def learn(self, _studio: IteratedContext, run: TrainingRun) -> dict[str, Any]:
        self.learnt.append(run)
        return {"score": asdict(score(self.worth.get(run.name, 0.0))), "steps": 5, "views": 20}

    def choose(self, _studio: IteratedContext, name: str, **_: Any) -> PseudoLabels:
        self.chosen.append(name)
        return PseudoLabels(labels={12: 0}, thresholds=[0.5] * 3, predicted=[1] * 3, taken=[1] * 3)

    def look(self, _studio: IteratedContext, name: str, rows: np.ndarray, **_: Any) -> Score:
        self.looked.append((name, rows.tolist()))
        return score(self.worth[name] + 0.001)


def test_the_teacher_is_replaced_only_by_a_better_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worth = {"baseline": 0.5, "tuned_1": 0.45, "tuned_2": 0.6, "tuned_3": 0.6, "tuned_4": 0.59}
    loop = Loop(monkeypatch, worth)
    data = parts_of(pictures(tmp_path / "p"))
    result = run(data, tmp_path / "run", IteratedSettings(iterations=4, fine_tuning=0.25))
    assert loop.chosen == ["baseline", "baseline", "tuned_2", "tuned_2"]
    assert [one.teacher for one in result.iterations] == loop.chosen
    assert [one.better for one in result.iterations] == [False, True, False, False]
    assert result.best == "tuned_2"
    assert result.validation == score(0.6)


def test_only_the_best_network_and_the_baseline_predict_the_test_images_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(monkeypatch, {"baseline": 0.5, "student_1": 0.7, "student_2": 0.6})
    data = parts_of(pictures(tmp_path / "p"))
    result = run(data, tmp_path / "run")
    test = data.test.tolist()
    assert loop.looked == [("student_1", test), ("baseline", test)]
    assert (result.test, result.baseline_test) == (score(0.701), score(0.501))
    run(data, tmp_path / "run")
    assert len(loop.looked) == 2
    for one in loop.learnt:
        assert not set(one.taught) & {*test, *data.validation.tolist()}


def test_a_student_starts_afresh_and_mixes_pseudo_labels_with_real_ones_in_each_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(monkeypatch, {"baseline": 0.5})
    data = parts_of(pictures(tmp_path / "p"))
    run(data, tmp_path / "run")
    names = ["baseline", "student_1", "student_2"]
    assert [one.name for one in loop.learnt] == names
    assert {one.begin for one in loop.learnt} == {None}
    assert [sorted(one.taught) for one in loop.learnt[1:]] == [[12], [12]]
    assert [one.real and sorted(one.real) for one in loop.learnt] == [None, *[data.labelled.tolist()] * 2]
    assert len({one.stage for one in loop.learnt}) == len(names)  # so no two begin alike
    assert all(one.unlabelled is None for one in loop.learnt)


def test_the_original_method_trains_on_pseudo_labels_first_and_then_on_real_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(monkeypatch, {"baseline": 0.5})
    data = parts_of(pictures(tmp_path / "p"))
    run(data, tmp_path / "run", replace(TUNED, labelled_share=0.0))
    names = ["baseline", "student_1", "tuned_1", "student_2", "tuned_2"]
    assert [one.name for one in loop.learnt] == names
    assert [one.begin for one in loop.learnt] == [None, None, "student_1", None, "student_2"]
    assert [sorted(one.taught) for one in loop.learnt[1::2]] == [[12], [12]]
    assert all(sorted(one.taught) == data.labelled.tolist() for one in loop.learnt[::2])
    assert all(one.real is None for one in loop.learnt)
    assert len({one.stage for one in loop.learnt}) == len(names)


@pytest.mark.parametrize(("tuned", "best"), [(0.65, "tuned_1"), (0.55, "student_1"), (0.6, "student_1")])
def test_student_and_fine_tuned_network_are_both_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tuned: float, best: str
) -> None:
    loop = Loop(monkeypatch, {"baseline": 0.5, "student_1": 0.6, "tuned_1": tuned})
    result = run(parts_of(pictures(tmp_path / "p")), tmp_path / "run", TUNED)
    assert result.best == best
    assert loop.chosen == ["baseline", best]
    assert result.iterations[0].tuned == score(tuned)


def test_the_first_student_is_trained_on_the_votes_of_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(monkeypatch, {"baseline": 0.5, "student_1": 0.6})
    data = parts_of(pictures(tmp_path / "p"))
    result = run(data, tmp_path / "run", replace(SHORT, votes=3))
    assert [one.name for one in loop.learnt] == [
        "baseline", "vote_1", "vote_2", "vote_3", "student_1", "student_2",
    ]  # fmt: skip
    assert loop.chosen == ["votes", "student_1"]
    assert [one.teacher for one in result.iterations] == loop.chosen
    whole, left = set(data.labelled.tolist()), [set(data.labelled.tolist()) - set(v.taught) for v in loop.learnt[1:4]]
    assert set().union(*left) == whole
    assert sum(map(len, left)) == len(whole)
    with pytest.raises(DatasetError, match="cannot be dealt into 50 folds"):
        run(data, tmp_path / "other", replace(SHORT, votes=50))


def test_consistency_works_without_iterations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(monkeypatch, {"baseline": 0.5, "teacher": 0.6})
    result = run(parts_of(pictures(tmp_path / "p")), tmp_path / "run", IteratedSettings(iterations=0, consistency=True))
    assert [one.name for one in loop.learnt] == ["baseline", "teacher"]
    assert (result.best, result.iterations) == ("teacher", [])


def test_a_run_started_by_a_former_release_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file of settings lacks those that came later."""
    Loop(monkeypatch, {"baseline": 0.5})
    data = parts_of(pictures(tmp_path / "p"))
    result = run(data, tmp_path / "run")
    plan = json.loads((tmp_path / "run" / "recipe.json").read_text())
    for name in (
        "votes",
        "labelled_share",
        "strong_views",
        "adaptive",
        "most_validation",
        "mirror",
        "views",
        "minutes",
    ):
        del plan["settings"][name]
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(plan))
    assert run(data, tmp_path / "run") == result


def test_consistency_trains_on_unlabelled_images_beside_the_real_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(monkeypatch, {"baseline": 0.5, "teacher": 0.6})
    data = parts_of(pictures(tmp_path / "p"))
    settings = IteratedSettings(iterations=1, consistency=True, fine_tuning=0.25)
    result = run(data, tmp_path / "run", settings)
    unlabelled = {one.name: one.unlabelled for one in loop.learnt}
    assert unlabelled["baseline"] is None
    assert unlabelled["student_1"] is None
    assert unlabelled["teacher"].tolist() == unlabelled["tuned_1"].tolist() == data.unlabelled.tolist()
    assert loop.chosen == ["teacher"]
    assert (result.best, result.teacher) == ("teacher", score(0.6))


def test_a_teacher_without_confident_predictions_is_an_error_with_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(monkeypatch, {"baseline": 0.5})
    nothing = PseudoLabels(labels={}, thresholds=[], predicted=[], taken=[])
    monkeypatch.setattr(iterated, "choose_pseudo_labels", lambda *_, **__: nothing)
    with pytest.raises(RoundError, match="lower least_confidence"):
        run(parts_of(pictures(tmp_path / "p")), tmp_path / "run")
    assert len(loop.learnt) == 1


@pytest.mark.slow
def test_a_run_on_classes_succeeds_and_a_second_run_only_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Progress] = []
    data = parts_of(pictures(tmp_path / "p"))
    network = replace(NETWORK, epochs=8)
    result = run(data, tmp_path / "run", network=network, report=said.append)
    assert result.test.value > 0.8
    for one in result.iterations:
        assert sum(one.predicted) == len(data.unlabelled)
        assert all(0 < taken <= of for taken, of in zip(one.taken, one.predicted, strict=True) if of)
    assert all(0 <= progress.fold < progress.folds and 0 <= progress.fraction <= 1 for progress in said)
    before = files_of(tmp_path / "run")
    assert not [name for name in before if name.endswith((".checkpoint", ".partial"))]
    assert not (tmp_path / "run" / "camvid").exists()
    assert json.loads(before["result.json"])["best"] == result.best
    assert find_network(tmp_path / "run", result.best).about.accuracy == result.validation.accuracy
    for name in ("learn", "choose_pseudo_labels", "score_network"):
        monkeypatch.delattr(iterated, name)
    assert run(data, tmp_path / "run", network=network) == result
    assert files_of(tmp_path / "run") == before


def test_masks_are_written_in_the_layout_of_petracs_program_and_read_by_the_camvid_reader(tmp_path: Path) -> None:
    data, scenes = masked(tmp_path / "scenes")
    result = run(data, tmp_path / "run", replace(SHORT, weigh_pixels=False), masks=scenes.store)
    assert not list((tmp_path / "run").glob("predicted_*"))
    store = MaskStore(tmp_path / "run" / "masks")
    for one in result.iterations:
        folder = pseudo_folder(tmp_path / "run", one.number)
        assert folder.name == f"train_pseudoIt{one.number}"
        labels = json.loads((tmp_path / "run" / f"pseudo_{one.number}.json").read_text())["labels"]
        assert {path.stem for path in folder.iterdir()} == {
            Path(scenes.snapshot.paths[int(row)]).stem for row in labels
        }
        taken = sum(int((store.get(name) != IGNORE).sum()) for name in labels.values())
        assert taken == sum(one.taken) < sum(one.predicted)
    tree = tmp_path / "tree"  # the images beside the masks, under the names that the reader knows
    (tree / "train").mkdir(parents=True)
    (tree / "classes.csv").write_bytes((tmp_path / "run" / "camvid" / "classes.csv").read_bytes())
    (tree / "train_labels").symlink_to(folder, target_is_directory=True)
    by_name = {Path(scenes.snapshot.paths[int(row)]).name: store.get(name) for row, name in labels.items()}
    for name in by_name:
        (tree / "train" / name).symlink_to(tmp_path / "scenes" / name)
    listing = camvid.read(tree, ReadOptions(allow_outside_links=True))
    seen = {Path(one.name).name: one for one in listing.samples}
    assert listing.table.names == tuple(scenes.snapshot.classes)
    for name, mask in by_name.items():
        read, doubt = read_mask(seen[name].mask, mask.shape[1], mask.shape[0], 4)
        assert doubt is None
        np.testing.assert_array_equal(read, mask)


@pytest.mark.parametrize(
    ("settings", "labels", "views"), [({"ratio": 1}, 2, 0), ({"ratio": 3, "whole_batch": True, "mixing": True}, 4, 2)]
)
def test_unlabelled_images_share_the_batch_or_are_added_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], labels: int, views: int
) -> None:
    data, scenes = masked(tmp_path / "scenes", 16)
    seen: list[tuple[int, int, int]] = []

    def watched(config: RoundConfig, _training_data: Any, _split: Any, spec: Any, **_more: Any) -> Any:
        images = config.epochs * (spec.seen // config.batch_size)
        seen.append((config.batch_size, images, getattr(spec.objective, "mixed_views", -1)))
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "learn_fold", watched)
    for unlabelled in (None, data.unlabelled):
        asked = IteratedSettings(iterations=1, consistency=True, **settings)
        context = studio_of(data, tmp_path / f"run{len(seen)}", asked, scenes.store)
        run = TrainingRun(name="one", stage=0, taught=context.labelling.known(data.labelled), unlabelled=unlabelled)
        with pytest.raises(KeyboardInterrupt):
            stages.learn(context, run)
    (alone, steps, _), (with_others, same_steps, mixed) = seen
    assert (alone, with_others, mixed) == (4, labels, views)
    assert same_steps == steps


@pytest.mark.parametrize("kind", ["classes", "masks"])
def test_thresholds_adapt_for_classes_and_for_masks_only_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    data, store = parts_of(pictures(tmp_path / "pictures")), None
    if kind == "masks":
        data, scenes = masked(tmp_path / "scenes", 16)
        store = scenes.store
    seen: list[float | None] = []

    def watched(_config: RoundConfig, _training_data: Any, _split: Any, spec: Any, **_more: Any) -> Any:
        seen.append(spec.objective.threshold)
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "learn_fold", watched)
    for number, asked in enumerate(({}, {"adaptive": False}, {"adaptive_masks": True})):
        settings = IteratedSettings(iterations=0, consistency=True, **asked)
        context = studio_of(data, tmp_path / f"run{number}", settings, store)
        run = TrainingRun(
            name="one", stage=0, taught=context.labelling.known(data.labelled), unlabelled=data.unlabelled
        )
        with pytest.raises(KeyboardInterrupt):
            stages.learn(context, run)
    assert seen == {"classes": [None, 0.95, None], "masks": [0.95, 0.95, None]}[kind]


def test_all_pixels_of_pseudo_masks_are_weighted_by_their_confidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, scenes = masked(tmp_path / "scenes", 16)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    original = stages.learn_fold

    def watched(config: RoundConfig, training_data: Any, split: Any, spec: Any, **more: Any) -> Any:
        if spec.targets is not None:
            taught, weights = split_weights(spec.targets.batch(torch.from_numpy(split.learn_rows)))
            seen.append((taught.numpy(), weights.numpy()))
            real, full = split_weights(spec.targets.batch(torch.from_numpy(data.labelled)))
            assert (full[real != NO_LABEL] == 1).all()
        return original(config, training_data, split, spec, **more)

    monkeypatch.setattr(stages, "learn_fold", watched)
    result = run(data, tmp_path / "run", replace(SHORT, iterations=1), scenes.store)
    (one,) = result.iterations
    assert one.taken == one.predicted
    done = json.loads((tmp_path / "run" / "pseudo_1.json").read_text())
    assert sorted(done["labels"]) == sorted(done["weights"])
    ((taught, weights),) = seen
    inside = taught != NO_LABEL
    assert len(taught) == len(data.unlabelled)
    assert 0.2 < weights[inside].min() < weights[inside].max() < 1  # four classes: the likeliest has a quarter at least
    assert (weights[~inside] == 0).all()
    plain = run(data, tmp_path / "plain", replace(SHORT, iterations=1, weigh_pixels=False), scenes.store)
    assert len(seen) == 1
    assert plain.iterations[0].student != one.student


@pytest.mark.parametrize("kind", ["classes", "masks"])
def test_a_run_killed_at_every_stage_equals_an_uninterrupted_one(tmp_path: Path, kind: str) -> None:
    if kind == "masks":
        data, scenes = masked(tmp_path / "scenes", 16)
        store: Path | None = scenes.store
    else:
        data, store = parts_of(pictures(tmp_path / "p", 40)), None
    settings = replace(TUNED, iterations=1, consistency=True, ratio=1, votes=2)
    said: list[Progress] = []
    result = run(data, tmp_path / "straight", settings, store, report=said.append)
    places = list(dict.fromkeys((one.fold, one.stage, one.epoch) for one in said))
    assert len(places) > 8
    killed: set[tuple[int, str, int]] = set()

    def kill(progress: Progress) -> None:
        place = (progress.fold, progress.stage, progress.epoch)
        if place not in killed:
            killed.add(place)
            raise KeyboardInterrupt

    for _ in range(len(places) + 20):
        try:
            assert run(data, tmp_path / "resumed", settings, store, report=kill) == result
            break
        except KeyboardInterrupt:
            continue
    else:
        pytest.fail("it never came to an end")
    assert len(killed) > 8
    assert files_of(tmp_path / "resumed") == files_of(tmp_path / "straight")


def test_a_run_stops_on_cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOOK_SECONDS", 0.0)
    with pytest.raises(RoundCancelledError):
        run(parts_of(pictures(tmp_path / "p")), tmp_path / "run", should_stop=lambda: True)


@pytest.mark.parametrize("consistency", [False, True])
def test_hidden_labels_do_not_affect_training(tmp_path: Path, consistency: bool) -> None:  # noqa: FBT001
    data = parts_of(pictures(tmp_path / "p", 40))
    settings = replace(SHORT, iterations=1, consistency=consistency)
    one = run(data, tmp_path / "a", settings)
    labels = data.snapshot.labels.copy()
    labels[data.unlabelled] = (labels[data.unlabelled] + 1) % 3
    other = replace(data, snapshot=replace(data.snapshot, labels=labels))
    assert run(other, tmp_path / "b", settings) == one


def test_hidden_masks_do_not_affect_training(tmp_path: Path) -> None:
    data, scenes = masked(tmp_path / "scenes", 16)
    settings = replace(SHORT, iterations=1)
    one = run(data, tmp_path / "a", settings, scenes.store)
    names = list(scenes.snapshot.masks.labels)
    for row in data.unlabelled.tolist():
        names[row] = ""
    masks = replace(scenes.snapshot.masks, labels=names)
    other = replace(data, snapshot=replace(data.snapshot, masks=masks))
    assert run(other, tmp_path / "b", settings, scenes.store) == one


def test_a_folder_belongs_to_one_run_and_bad_input_is_refused(tmp_path: Path) -> None:
    data = parts_of(pictures(tmp_path / "p", 40))
    none = np.empty(0, np.int64)
    with pytest.raises(DatasetError, match="has a label already"):
        run(replace(data, unlabelled=none), tmp_path / "x")
    with pytest.raises(DatasetError, match="left to validate by"):
        run(replace(data, validation=none), tmp_path / "x")
    run(replace(data, test=none), tmp_path / "run", replace(SHORT, iterations=1))
    assert run(replace(data, test=none), tmp_path / "run", replace(SHORT, iterations=1)).test is None
    with pytest.raises(RoundError, match="another config"):
        run(data, tmp_path / "run")


def studio_of(data: RecipeData, folder: Path, settings: IteratedSettings, masks: Path | None = None) -> IteratedContext:
    network = NETWORK if masks is None else MASK_NETWORK
    callbacks = FoldCallbacks(lambda _: None, lambda: False)
    cache = folder.parent / "c"
    return open_context(data, network, settings, folder, image_cache=cache, masks=masks, further=5, callbacks=callbacks)


@pytest.mark.slow
@pytest.mark.parametrize("best", ["student", "tuned"])
def test_no_network_predicts_an_image_it_was_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best: str
) -> None:
    groups = [f"g{row // 2}" if row >= 8 else "" for row in range(COUNT)]  # also of labelled and unlabelled ones
    groups[2] = groups[20] = "both"
    data = parts_of(pictures(tmp_path / "p", groups=groups))
    settings = replace(TUNED, iterations=1)
    result = replace(run(data, tmp_path / "run", settings), best=f"{best}_1")
    learnt: dict[str, set[int]] = {}
    original = iterated.learn

    def watched(context: IteratedContext, run: TrainingRun) -> Score:
        learnt[run.name] = set(run.taught) | set(run.real or {})
        return original(context, run)

    monkeypatch.setattr("core.recipes.iterated.proposals.learn", watched)
    propose(studio_of(data, tmp_path / "run", settings), result, data.unlabelled)
    with np.load(tmp_path / "run" / PROPOSALS) as file:
        rows, network, probs = file["rows"], file["network"], file["probabilities"]
    assert rows.tolist() == data.unlabelled.tolist()
    assert set(network.tolist()) == {0, 1}
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-4)
    group = data.snapshot.whole_groups()
    for number in (0, 1):
        own = [name for name in learnt if name.startswith(f"half_{number}")]
        assert own == [f"half_{number}"] if best == "student" else [f"half_{number}_student", f"half_{number}"]
        seen = set().union(*(learnt[name] for name in own))
        assert not set(group[rows[network == number]].tolist()) & set(group[list(seen)].tolist())
        assert learnt[own[0]] - set(data.labelled.tolist())
    monkeypatch.delattr("core.recipes.iterated.proposals.learn")
    propose(studio_of(data, tmp_path / "run", settings), result, data.unlabelled)  # there already


def test_the_baseline_predicts_all_images_it_was_not_trained_on(tmp_path: Path) -> None:
    data, scenes = masked(tmp_path / "scenes", 16)
    settings = replace(SHORT, iterations=1)
    result = replace(run(data, tmp_path / "run", settings, scenes.store), best="baseline")
    propose(studio_of(data, tmp_path / "run", settings, scenes.store), result, data.unlabelled)
    with np.load(tmp_path / "run" / PROPOSALS) as file:
        assert set(file["network"].tolist()) == {0}
    predictions = read_predictions(tmp_path / "run", scenes.snapshot.masks.sizes)
    assert (predictions.fold[data.unlabelled] >= 0).all()
    assert not (tmp_path / "run" / "half_0.json").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"iterations": 0}, "at least 1"),
        ({"iterations": -1, "consistency": True}, "at least 0"),
        ({"share": 0}, "above 0"),
        ({"labelled_share": 1.0}, "below 1"),
        ({"votes": 1}, "at least 2 folds"),
        ({"ratio": 0}, "at least 1"),
        ({"most_validation": 0}, "at least 1"),
        ({"fine_tuning": -0.1}, "from 0 to 1"),
        ({"least_confidence": 1.5}, "from 0 to 1"),
        ({"validation_share": 0.9}, "at most 0.5"),
        ({"validation_split": "val", "test_split": "val"}, "another split"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        IteratedSettings(**wrong)


def test_the_share_of_pseudo_labels_grows_evenly() -> None:
    settings = IteratedSettings(iterations=3, share=0.5, last_share=0.9)
    assert [round(settings.share_at(number), 6) for number in (1, 2, 3)] == [0.5, 0.7, 0.9]
    assert IteratedSettings(iterations=1).share_at(1) == IteratedSettings().share


def test_a_budget_of_views_gives_every_network_the_same_steps_and_is_recorded(tmp_path: Path) -> None:
    data = parts_of(pictures(tmp_path / "pictures"))
    settings = replace(SHORT, iterations=1, consistency=True, ratio=3, views=120, mirror="off")
    result = run(data, tmp_path / "run", settings)
    steps = settings.steps(NETWORK.batch_size)
    assert steps == 20  # 2 labels and 6 others each
    assert result.trained == {
        "baseline": {"steps": 20, "views": 0},
        "teacher": {"steps": 20, "views": 120},
        "student_1": {"steps": 20, "views": 120},
    }
    again = run(data, tmp_path / "again", settings)
    assert again == result
    network = "teacher.safetensors"
    assert (tmp_path / "again" / network).read_bytes() == (tmp_path / "run" / network).read_bytes()
    alone = replace(settings, consistency=False, views=60)
    assert run(data, tmp_path / "alone", alone).trained["student_1"]["views"] == 60  # 6 of 8 are pseudo labels
    late = replace(settings, iterations=0, growing=True, ratio=6, views=60)
    grown = run(data, tmp_path / "late", late).trained["teacher"]
    assert grown["steps"] == late.steps(NETWORK.batch_size) == 17  # two labels each, and 12 others at the end
    assert 45 < grown["views"] < 75  # whole images of one label a step


def test_a_budget_of_minutes_is_used_and_the_number_of_views_recorded(tmp_path: Path) -> None:
    data = parts_of(pictures(tmp_path / "pictures"))
    settings = replace(SHORT, iterations=0, consistency=True, minutes=1 / 60, mirror="off")
    result = run(data, tmp_path / "run", settings)
    assert result.trained["teacher"]["steps"] >= stages.MOST_CHECKPOINTS
    assert result.trained["teacher"]["views"] == 6 * result.trained["teacher"]["steps"]
    assert json.loads((tmp_path / "run" / "result.json").read_bytes())["trained"] == result.trained


@pytest.mark.parametrize("wrong", [{"views": -1}, {"minutes": -0.5}, {"views": 100, "minutes": 2.0}])
def test_an_invalid_budget_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"views|minutes"):
        IteratedSettings(**wrong)
