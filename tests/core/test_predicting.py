"""Predictions by kept networks: equal to those in the round, averaged over folds, written and read."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core import predicting
from core.config import Member, ProbabilityMethod, RoundConfig
from core.data.formats import mask_pairs
from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.data.masks.reading import read_masks
from core.data.networks import drop_networks, keeps_networks, kept_networks, round_networks
from core.data.new_images import find_images
from core.data.predictions import fold_file, read_predictions
from core.predicting import ListedClasses, PredictionOptions, open_ensemble, predict, predict_labels, predict_masks
from core.rounds import run_mask_round, run_round
from core.types import ExportError, RoundCancelledError, RoundError, SourceSample
from tests.core import scenes as masked
from tests.core.test_rounds import CLASSES, drawn

LABELS = RoundConfig(folds=2, input_size=16, grey=True, epochs=2, batch_size=16, seed=3, device="cpu")
MASKS = RoundConfig(folds=2, model="small_unet", input_size=48, epochs=2, batch_size=2, seed=3, device="cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


def images_of(paths: Sequence[str]) -> list[SourceSample]:
    return [SourceSample(path, Path(path).name) for path in paths]


def ensemble_of(folder: Path, *names: str) -> predicting.Ensemble:
    kept = [one for one in kept_networks(folder) if one.about.predicts and (not names or one.name in names)]
    return open_ensemble(kept, "cpu")


def label_round(tmp_path: Path, config: RoundConfig = LABELS) -> tuple[Path, list[str]]:
    """Run a round over drawn shapes and return its folder and the images."""
    snapshot, _ = drawn(tmp_path / "images")
    cache = tmp_path / "cache"
    run_round(snapshot, config, tmp_path / "round", image_cache=cache, report=lambda _: None)
    return tmp_path / "round", snapshot.paths


def mask_round(tmp_path: Path, config: RoundConfig = MASKS) -> tuple[Path, masked.Scenes]:
    scenes = masked.drawn(tmp_path / "scenes", 12)
    run_mask_round(
        scenes.snapshot,
        config,
        tmp_path / "round",
        image_cache=tmp_path / "cache",
        masks=scenes.store,
        report=lambda _: None,
    )
    return tmp_path / "round", scenes


PROBE = replace(LABELS, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, grey=False)


@pytest.mark.parametrize("config", [LABELS, PROBE], ids=["fine-tune", "probe"])
def test_the_network_of_a_fold_reproduces_the_stored_probabilities_of_its_images(
    tmp_path: Path, config: RoundConfig
) -> None:
    folder, paths = label_round(tmp_path, config)
    stored = np.load(folder / "probabilities.npy").astype(np.float32)
    for fold in range(2):
        rows = np.load(fold_file(folder, fold))["rows"].tolist()
        found = list(
            predict_labels(
                ensemble_of(folder, f"fold_{fold}"), images_of([paths[row] for row in rows]), PredictionOptions()
            )
        )
        assert [one.image.path for one in found] == [paths[row] for row in rows]
        for row, one in zip(rows, found, strict=True):
            labels, own = zip(*one.top, strict=True)
            np.testing.assert_allclose(own, stored[row, list(labels)], atol=2e-3)
            assert sorted(own, reverse=True) == list(own)


PROBED = {"method": ProbabilityMethod.PROBE, "model": "deeplabv3plus-test_efficientnet", "scales": (1.0, 2.0)}


@pytest.mark.parametrize("looks", [{}, {"scales": (0.75, 1.0), "flip": True}, PROBED], ids=["once", "often", "probe"])
def test_the_network_of_a_fold_reproduces_the_stored_masks_of_its_scenes(tmp_path: Path, looks: dict[str, Any]) -> None:
    folder, scenes = mask_round(tmp_path, replace(MASKS, **looks))
    predictions = read_predictions(folder, np.asarray(scenes.snapshot.masks.sizes))
    for fold in range(2):
        rows = np.load(fold_file(folder, fold))["rows"].tolist()
        images = images_of([scenes.snapshot.paths[row] for row in rows])
        for row, one in zip(
            rows, predict_masks(ensemble_of(folder, f"fold_{fold}"), images, PredictionOptions()), strict=True
        ):
            predicted, confidence, _ = predictions.of(row)
            assert one.mask.shape == scenes.true[row].shape
            assert (one.mask == predicted).mean() > 0.999
            assert np.abs(one.confidence.astype(int) - confidence).max() <= 1


def test_an_ensemble_of_different_networks_reproduces_the_mix_of_its_round(tmp_path: Path) -> None:
    grey = replace(PROBE, grey=True, input_size=24)
    config = replace(LABELS, members=(Member.of(grey), Member.of(replace(LABELS, learning_rate=0.01))))
    folder, paths = label_round(tmp_path, config)
    stored = np.load(folder / "probabilities.npy").astype(np.float32)
    for fold in range(2):
        rows = np.load(fold_file(folder, fold))["rows"].tolist()
        kept = [one for one in round_networks(folder) if one.name == f"fold_{fold}"]
        assert [one.full_name for one in kept] == [f"{place}fold_{fold}" for place in ("", "member_1/", "member_2/")]
        found = predict_labels(open_ensemble(kept, "cpu"), images_of([paths[row] for row in rows]), PredictionOptions())
        for row, one in zip(rows, found, strict=True):
            labels, own = zip(*one.top, strict=True)
            np.testing.assert_allclose(own, stored[row, list(labels)], atol=2e-3)
    assert keeps_networks(folder)
    assert drop_networks(folder) > 0
    assert not keeps_networks(folder)


def test_an_ensemble_predicts_the_mean_of_its_networks(tmp_path: Path) -> None:
    folder, paths = label_round(tmp_path)
    images = images_of(paths[:7])
    alone = [
        list(predict_labels(ensemble_of(folder, f"fold_{fold}"), images, PredictionOptions())) for fold in range(2)
    ]
    for *each, both in zip(*alone, predict_labels(ensemble_of(folder), images, PredictionOptions()), strict=True):
        own = np.mean([[dict(one.top)[label] for label in range(3)] for one in each], axis=0)
        np.testing.assert_allclose([dict(both.top)[label] for label in range(3)], own, atol=1e-6)


def test_an_ensemble_predicts_the_mean_of_each_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, scenes = mask_round(tmp_path)
    images = images_of(scenes.snapshot.paths[:3])
    whole = list(predict_masks(ensemble_of(folder), images, PredictionOptions()))
    monkeypatch.setattr(predicting, "_STRIP", 4 * 64 * 2)  # a few lines at once
    for one, striped in zip(whole, predict_masks(ensemble_of(folder), images, PredictionOptions()), strict=True):
        np.testing.assert_array_equal(one.mask, striped.mask)
        np.testing.assert_array_equal(one.confidence, striped.confidence)
    alone = [list(predict_masks(ensemble_of(folder, f"fold_{fold}"), images, PredictionOptions())) for fold in range(2)]
    for first, second, both in zip(*alone, whole, strict=True):
        agreed = first.mask == second.mask
        np.testing.assert_array_equal(both.mask[agreed], first.mask[agreed])
        mean = (first.confidence.astype(float) + second.confidence) / 2
        assert np.abs(both.confidence - mean)[agreed].max() <= 1


def test_a_predicted_table_can_be_imported_and_uncertain_images_have_no_label(tmp_path: Path) -> None:
    folder, paths = label_round(tmp_path)
    images = images_of(paths)
    sure = sorted(one.top[0][1] for one in predict_labels(ensemble_of(folder), images, PredictionOptions()))
    above = (sure[20] + sure[21]) / 2
    for suffix, form in ((".csv", SourceFormat.MANIFEST), (".parquet", SourceFormat.MANIFEST)):
        target = tmp_path / f"out{suffix}"
        tally = predict(ensemble_of(folder), images, target, PredictionOptions(above=above))
        assert (tally.images, tally.unsure, tally.by_class.total()) == (60, 21, 39)
        assert detect(target).format is form
        listing = FORMATS[form].read(target, ReadOptions())
        read = {sample.path: sample.label for sample in listing.samples}
        said = {one.image.path: one for one in predict_labels(ensemble_of(folder), images, PredictionOptions())}
        assert list(read) == paths
        assert listing.problems.kept == []
        for path, label in read.items():
            best, p = said[path].top[0]
            assert label == (CLASSES[best] if p >= above else None)
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert list(rows[0])[:5] == ["path", "label", "confidence", "top1", "top1_probability"]
    assert all(float(row["confidence"]) == float(row["top1_probability"]) for row in rows)


def test_predicted_masks_can_be_imported_bit_for_bit(tmp_path: Path) -> None:
    folder, scenes = mask_round(tmp_path)
    images, options = images_of(scenes.snapshot.paths), PredictionOptions(above=0.6, confidence=True)
    target = tmp_path / "out"
    tally = predict(ensemble_of(folder), images, target, options)
    assert tally.images == 12
    assert 0 < tally.unsure < sum(mask.size for mask in scenes.true)
    assert detect(target).format is SourceFormat.MASK_PAIRS
    listing = mask_pairs.read(target, ReadOptions())
    samples = list(listing.samples)
    assert listing.table.names == tuple(masked.CLASSES)
    said = list(predict_masks(ensemble_of(folder), images, options))
    by_name = {one.image.name: one for one in said}
    references = [(sample.mask, 0, 0) for sample in samples]
    sizes = [by_name[Path(sample.path).name].mask.shape for sample in samples]
    references = [(mask, width, height) for (mask, *_), (height, width) in zip(references, sizes, strict=True)]
    for sample, mask in zip(samples, read_masks(references, listing.table), strict=True):
        own = by_name[Path(sample.path).name]
        np.testing.assert_array_equal(mask, own.mask)
        np.testing.assert_array_equal(np.asarray(Image.open(target / "confidence" / own.image.name)), own.confidence)
        assert ((own.mask == 255) == (own.confidence < 0.6 * 255)).mean() > 0.99
        assert Path(sample.path).read_bytes() == Path(own.image.path).read_bytes()


def test_merged_classes_are_predicted_as_the_target_of_the_merge(tmp_path: Path) -> None:
    folder, paths = label_round(tmp_path)
    ensemble, images = ensemble_of(folder), images_of(paths)
    names = ("last", "both")
    listed = ListedClasses(names, (), (1, 1, *[None] * (len(CLASSES) - 3), 0))
    probs = torch.rand((len(CLASSES), 5, 4), generator=torch.Generator().manual_seed(0))
    wanted = torch.stack([probs[-1], probs[0] + probs[1]])
    torch.testing.assert_close(listed.added_up(probs), wanted)
    own = {one.image.name: dict(one.top) for one in predict_labels(ensemble, images, PredictionOptions())}
    for one in predict_labels(ensemble, images, PredictionOptions(listed=listed)):
        said, top = own[one.image.name], dict(one.top)
        assert top[1] == pytest.approx(said[0] + said[1], abs=1e-6)
        assert top[0] == pytest.approx(said[len(CLASSES) - 1], abs=1e-6)
    predict(ensemble, images, tmp_path / "out.csv", PredictionOptions(listed=listed))
    assert {row["label"] for row in csv.DictReader((tmp_path / "out.csv").open())} <= set(names)


def test_unusable_files_are_reported_and_the_rest_is_predicted(tmp_path: Path) -> None:
    folder, _ = label_round(tmp_path)
    new = tmp_path / "new"
    (new / "below").mkdir(parents=True)
    Image.new("L", (30, 20), 200).save(new / "below" / "good.png")
    Image.new("RGB", (400, 300)).save(new / "large.png")
    (new / "broken.png").write_bytes(b"no image at all")
    (new / "empty.jpg").touch()
    (new / "notes.txt").write_text("hello")
    options = PredictionOptions(max_pixels=100_000)
    images = find_images([new], ReadOptions(), options.problems)
    tally = predict(ensemble_of(folder), images, tmp_path / "out.csv", options)
    assert tally.images == 1
    told = {one.path: one for one in options.problems.kept}
    assert set(told) == {"large.png", "broken.png", "empty.jpg", "notes.txt"}
    assert "OUTFOLD_MAX_PIXELS" in told["large.png"].cure
    assert all(one.cure for one in told.values())


def test_an_image_of_other_proportions_gets_its_own_canvas(tmp_path: Path) -> None:
    folder, scenes = mask_round(tmp_path)
    wide = tmp_path / "wide.png"
    Image.new("RGB", (200, 20), (90, 90, 90)).save(wide)
    huge = tmp_path / "square.png"
    Image.new("RGB", (300, 300), (90, 90, 90)).save(huge)
    found = list(
        predict_masks(
            ensemble_of(folder), images_of([str(wide), scenes.snapshot.paths[0], str(huge)]), PredictionOptions()
        )
    )
    assert [one.mask.shape for one in found] == [(20, 200), scenes.true[0].shape, (300, 300)]


def test_a_modified_network_is_refused(tmp_path: Path) -> None:
    folder, _ = label_round(tmp_path)
    path = folder / "fold_1.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RoundError, match=r"fold_1\.safetensors is not the network that was kept"):
        ensemble_of(folder)
    path.unlink()
    with pytest.raises(RoundError, match=r"fold_1\.safetensors cannot be read"):
        ensemble_of(folder)
    with pytest.raises(RoundError, match="no network is kept"):
        open_ensemble([])


def test_networks_with_different_inputs_or_classes_are_not_combined(tmp_path: Path) -> None:
    folder, _ = label_round(tmp_path)
    first, second = kept_networks(folder)
    with pytest.raises(RoundError, match="do not see images alike"):
        open_ensemble([first, replace(second, about=replace(second.about, classes=("a", "b", "c")))])


@pytest.mark.parametrize("target", ["out.csv", "masks"])
def test_predictions_are_written_completely_or_not_at_all(tmp_path: Path, target: str) -> None:
    if target == "masks":
        folder, scenes = mask_round(tmp_path)
        paths = scenes.snapshot.paths
    else:
        folder, paths = label_round(tmp_path)
    calls = iter([False])
    options = PredictionOptions(should_stop=lambda: next(calls, True))
    out = tmp_path / "out" / target
    with pytest.raises(RoundCancelledError):
        predict(ensemble_of(folder), images_of(paths), out, options)
    assert not list(out.parent.iterdir())
    predict(ensemble_of(folder), images_of(paths[:2]), out, PredictionOptions())
    with pytest.raises(ExportError, match="exists already"):
        predict(ensemble_of(folder), images_of(paths[:2]), out, PredictionOptions())


def test_the_extension_of_a_table_must_be_csv_or_parquet(tmp_path: Path) -> None:
    folder, paths = label_round(tmp_path)
    with pytest.raises(ExportError, match=r"something\.csv or something\.parquet"):
        predict(ensemble_of(folder), images_of(paths), tmp_path / "out.txt", PredictionOptions())


def test_out_of_memory_halves_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, paths = label_round(tmp_path)
    ensemble = ensemble_of(folder, "fold_0")
    images = images_of(paths[:20])
    expected = list(predict_labels(ensemble, images, PredictionOptions()))
    whole = ensemble.views[0].forward
    most = 8

    def greedy(shown: torch.Tensor) -> torch.Tensor:
        if len(shown) > most:
            raise torch.OutOfMemoryError("too many at once")
        return whole(shown)

    monkeypatch.setattr(ensemble.views[0], "forward", greedy)
    for one, other in zip(predict_labels(ensemble, images, PredictionOptions()), expected, strict=True):
        np.testing.assert_allclose([p for _, p in one.top], [p for _, p in other.top], rtol=1e-4)
    most = 0
    with pytest.raises(RoundError, match="not even one image fits"):
        list(predict_labels(ensemble, images, PredictionOptions()))
