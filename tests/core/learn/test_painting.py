from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.data.predictions import create_predictions, create_votes
from core.judge import calibration, mask_scoring
from core.learn import painting
from core.learn.augment import MultiViewNetwork
from core.learn.batches import ImageBatches, Scaling
from core.learn.crossfold import FoldOutput, FoldSplit
from core.learn.painting import Canvas, Painter, enlarge, mask_of, paint_rows, sure_mask_of
from core.types import IGNORE, NO_LABEL

SIZES = np.array([[20, 30], [30, 20], [12, 12]], np.int32)
EXTENTS = np.array([[8, 12], [12, 8], [12, 12]])


@pytest.mark.parametrize("size", [(9, 7), (40, 60), (13, 70), (5, 3), (1, 1)])
@pytest.mark.parametrize("strip", [1, 200, 1 << 24])
def test_strips_together_equal_the_bilinear_enlargement(size: tuple[int, int], strip: int) -> None:
    logits = torch.randn(3, 9, 7, generator=torch.Generator().manual_seed(0))
    parts = list(enlarge(logits, *size, strip=strip))
    assert [top for top, _ in parts] == np.cumsum([0, *(part.shape[1] for _, part in parts)])[:-1].tolist()
    assert strip > 1 or len(parts) == size[0]
    expected = F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(torch.cat([part for _, part in parts], dim=1), expected)


def logits_on_canvas() -> Tensor:
    return 3 * torch.randn(3, 4, 12, 12, generator=torch.Generator().manual_seed(1))


def painted(
    folder: Path,
    given: list[np.ndarray],
    logits: Tensor,
    labels: np.ndarray | None = None,
    tags: np.ndarray | None = None,
    *,
    shared: tuple[int, ...] = (),
    learnable: np.ndarray | None = None,
) -> FoldOutput:
    painter = Painter(
        predictions=create_predictions(folder, SIZES, 4),
        open_votes=lambda fold, shared: create_votes(folder, fold, SIZES, shared, 4),
        extents=EXTENTS,
        given=given.__getitem__,
        classes=4,
        fit=calibration.temperature,
        mean_iou=mask_scoring.mean_iou,
        tags=tags,
        learnable=learnable,
    )
    rows = np.arange(3)

    def predict(some: np.ndarray, _stage: str) -> Iterator[tuple[np.ndarray, Tensor]]:
        for part in np.array_split(some, 2):
            yield part, logits[torch.from_numpy(part)]

    known = np.zeros(3, np.int64) if labels is None else labels
    return painter(FoldSplit(1, rows, rows, known, np.array(shared, np.int64)), predict)


def masks(seed: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, 4, size, dtype=np.uint8) for size in SIZES.tolist()]
    drawn[0][:5] = IGNORE
    return drawn


def test_predicted_pixels_equal_the_dense_probabilities(tmp_path: Path) -> None:
    given, logits = masks(), logits_on_canvas()
    kept = painted(tmp_path, given, logits)
    written = create_predictions(tmp_path, SIZES, 4)
    confusion = np.zeros((4, 4), np.int64)
    for row, (height, width) in enumerate(EXTENTS.tolist()):
        own = F.interpolate(logits[row : row + 1, :, :height, :width], tuple(SIZES[row].tolist()), mode="bilinear")[0]
        probs = (own / float(kept.columns["temperature"])).softmax(dim=0).numpy()
        predicted, confidence, given_probability = written.of(row)
        np.testing.assert_array_equal(predicted, probs.argmax(axis=0))
        np.testing.assert_allclose(confidence, 255 * probs.max(axis=0), atol=0.51)
        known = given[row] != IGNORE
        likely = np.take_along_axis(probs, np.where(known, given[row], 0)[None], axis=0)[0]
        np.testing.assert_allclose(given_probability[known], 255 * likely[known], atol=0.51)
        assert (given_probability[~known] == 255).all()
        np.add.at(confusion, (given[row][known], predicted[known]), 1)
    np.testing.assert_array_equal(kept.columns["confusion"], confusion)
    assert kept.accuracy == pytest.approx(confusion.trace() / confusion.sum())
    assert kept.mean_iou == mask_scoring.mean_iou(confusion)
    assert (written.fold == 1).all()


def test_masks_excluded_from_training_do_not_affect_the_temperature(tmp_path: Path) -> None:
    learnable, logits = np.array([True, True, False]), logits_on_canvas()
    given, other = masks(), masks()
    other[2] = ((other[2] + 1) % 4).astype(np.uint8)
    one, same = (
        painted(tmp_path / str(number), own, logits, learnable=learnable) for number, own in enumerate((given, other))
    )
    assert one.columns["temperature"] == same.columns["temperature"]
    assert not np.array_equal(one.columns["confusion"], same.columns["confusion"])
    assert painted(tmp_path / "all", other, logits).columns["temperature"] != one.columns["temperature"]
    none = painted(tmp_path / "none", given, logits, learnable=np.zeros(3, np.bool_))
    assert none.columns["temperature"] == 1


def test_images_predicted_by_all_folds_are_stored_per_fold(tmp_path: Path) -> None:
    given, logits = masks(), logits_on_canvas()
    given[1] = np.full(SIZES[1], IGNORE, np.uint8)
    alone, apart = (
        painted(tmp_path / "alone", given, logits),
        painted(tmp_path / "apart", given, logits, shared=(1,)),
    )
    np.testing.assert_array_equal(alone.columns["confusion"], apart.columns["confusion"])
    whole, kept = (create_predictions(tmp_path / name, SIZES, 4) for name in ("alone", "apart"))
    assert kept.fold.tolist() == [1, -1, 1]
    vote = create_votes(tmp_path / "apart", 1, SIZES, np.array([1]), 4)
    assert len(vote.predicted) == 600
    for own, expected in zip(vote.of(1), whole.of(1), strict=False):
        np.testing.assert_array_equal(own, expected)


def test_predicting_in_strips_gives_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = painted(tmp_path / "whole", masks(), logits_on_canvas())
    expected = (tmp_path / "whole" / "confidence.npy").read_bytes()
    monkeypatch.setattr(painting, "_STRIP", 100)
    strips = painted(tmp_path / "strips", masks(), logits_on_canvas())
    np.testing.assert_array_equal(whole.columns["confusion"], strips.columns["confusion"])
    assert (tmp_path / "strips" / "confidence.npy").read_bytes() == expected


def test_an_overconfident_network_gets_a_higher_temperature(tmp_path: Path) -> None:
    honest, sure = (
        painted(tmp_path / name, masks(), logits_on_canvas() * factor) for name, factor in (("a", 1), ("b", 10))
    )
    assert float(sure.columns["temperature"]) > float(honest.columns["temperature"])


def test_the_temperature_is_one_without_labelled_pixels(tmp_path: Path) -> None:
    nothing = [np.full(size, IGNORE, np.uint8) for size in SIZES.tolist()]
    for name, labels in (("masks", None), ("none", np.full(3, NO_LABEL))):
        kept = painted(tmp_path / name, nothing, logits_on_canvas(), labels)
        assert float(kept.columns["temperature"]) == 1
        assert kept.accuracy is None
        assert kept.mean_iou is None


def test_the_temperature_is_fitted_on_a_subsample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = float(painted(tmp_path / "all", masks(), logits_on_canvas()).columns["temperature"])
    monkeypatch.setattr(painting, "_FIT_PIXELS", 600)
    some = float(painted(tmp_path / "some", masks(), logits_on_canvas()).columns["temperature"])
    assert some != everything
    assert some == pytest.approx(everything, rel=0.3)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_predictions_are_unchanged_without_tags(tmp_path: Path) -> None:
    for name, tags in (("none", None), ("unknown", np.zeros((3, 4), np.bool_)), ("all", np.ones((3, 4), np.bool_))):
        painted(tmp_path / name, masks(), logits_on_canvas(), tags=tags)
    assert files_of(tmp_path / "none") == files_of(tmp_path / "unknown") == files_of(tmp_path / "all")


def test_tags_exclude_absent_classes_and_the_rest_shares_all_probability(tmp_path: Path) -> None:
    tags = np.array([[True, False, True, False], [False] * 4, [False, True, False, False]])
    plain = painted(tmp_path / "plain", masks(), logits_on_canvas())
    tagged = painted(tmp_path / "tagged", masks(), logits_on_canvas(), tags=tags)
    assert float(tagged.columns["temperature"]) == float(plain.columns["temperature"])  # it is fitted without them
    before, after = (create_predictions(tmp_path / name, SIZES, 4) for name in ("plain", "tagged"))
    for old, new in zip(before.of(1), after.of(1), strict=True):  # of this one nothing is known
        np.testing.assert_array_equal(old, new)
    predicted, confidence, given_probability = after.of(0)
    assert set(np.unique(predicted)) == {0, 2}
    assert (confidence >= 127).all()  # the likelier of two
    given = masks()[0]
    assert (given_probability[(given == 1) | (given == 3)] == 0).all()
    shown = (given == 0) | (given == 2)
    agreeing = shown & (given == predicted)
    np.testing.assert_array_equal(given_probability[agreeing], confidence[agreeing])
    other = shown & (given != predicted)
    assert (np.abs(given_probability[other].astype(int) + confidence[other] - 255) <= 1).all()
    assert (after.of(2)[0] == 1).all()
    assert (after.of(2)[1] == 255).all()


def test_probabilities_under_tags_sum_to_one_over_the_present_classes() -> None:
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(3))
    present = np.array([False, True, True, False])
    probs = painting.veto(logits, present).softmax(dim=0)
    assert (probs[[0, 3]] == 0).all()
    torch.testing.assert_close(probs.sum(dim=0), torch.ones(5))
    torch.testing.assert_close(probs[[1, 2]], logits[[1, 2]].softmax(dim=0))


CPU = torch.device("cpu")


def canvas() -> Canvas:
    return Canvas(np.array([[6, 8], [8, 6]]), np.array([[12, 16], [16, 12]]))


def logits() -> Tensor:
    return torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_likeliest_class_is_found_at_the_size_of_the_image() -> None:
    large = F.interpolate(logits()[None, :, :6, :8], (12, 16), mode="bilinear", align_corners=False)[0]
    mask = mask_of(logits(), canvas(), 0)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, large.argmax(dim=0).numpy())


def test_only_tagged_classes_are_predicted() -> None:
    large = F.interpolate(logits()[None, :, :8, :6], (16, 12), mode="bilinear", align_corners=False)[0]
    mask = mask_of(logits(), canvas(), 1, np.array([True, False, True]))
    np.testing.assert_array_equal(mask, np.where(large[0] >= large[2], 0, 2))
    assert (mask_of(logits(), canvas(), 1, np.zeros(3, np.bool_)) == IGNORE).all()


def test_confidence_is_normalised_over_the_present_classes() -> None:
    large = F.interpolate(logits()[None, :, :8, :6], (16, 12), mode="bilinear", align_corners=False)[0]
    mask, sure = sure_mask_of(logits(), canvas(), 1, np.array([True, False, True]))
    probs = large[[0, 2]].softmax(dim=0)
    np.testing.assert_array_equal(mask, np.array([0, 2])[probs.argmax(dim=0)])
    np.testing.assert_allclose(sure, 255 * probs.max(dim=0).values, atol=0.51)
    plain, less_sure = sure_mask_of(logits(), canvas(), 1)
    np.testing.assert_array_equal(plain, mask_of(logits(), canvas(), 1))
    same = plain == mask
    assert (less_sure[same] <= sure[same]).all()
    assert (sure_mask_of(logits(), canvas(), 1, np.array([False, True, False]))[1] == 255).all()
    assert (sure_mask_of(logits(), canvas(), 1, np.zeros(3, np.bool_))[1] == 0).all()


class Sided(nn.Module):
    """Says which side a pixel is on: its logits differ with the place alone, so a mirrored look disagrees."""

    def forward(self, images: Tensor) -> Tensor:
        across = torch.linspace(0, 1, images.shape[3]).expand(len(images), *images.shape[2:])
        return torch.stack((across, 0.8 * (1 - across) + 0.2, torch.full_like(across, 0.55)), dim=1)


def test_all_scales_and_mirrored_views_are_averaged_before_tags_are_applied() -> None:
    array = np.zeros((2, 8, 8, 3), np.uint8)
    images = ImageBatches(array, Scaling((0.5,) * 3, (0.5,) * 3), CPU)
    view = MultiViewNetwork(Sided(), crop=0, scales=(0.5, 1.0, 1.5), flip=True)
    tags = np.array([[True, True, True], [True, False, True]])
    looked = paint_rows(
        view, images, np.array([1, 0]), canvas(), tags, at_once=2, on_progress=print, should_stop=lambda: False
    )
    found = {row: mask for row, mask, _ in looked}
    assert list(found) == [1, 0]
    assert found[0].shape == (12, 16)
    assert (found[0] == 1).all()  # its mean is .6 everywhere, the others' .5 and .55
    assert (found[1] == 2).all()
