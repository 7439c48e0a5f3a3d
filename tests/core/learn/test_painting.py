from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor

from core.data.predictions import create_predictions
from core.judge import calibration, mask_scoring
from core.learn import painting
from core.learn.crossfold import Held, Kept
from core.learn.painting import Painter, enlarged
from core.types import IGNORE, NO_LABEL

SIZES = np.array([[20, 30], [30, 20], [12, 12]], np.int32)
EXTENTS = np.array([[8, 12], [12, 8], [12, 12]])


@pytest.mark.parametrize("size", [(9, 7), (40, 60), (13, 70), (5, 3), (1, 1)])
@pytest.mark.parametrize("strip", [1, 200, 1 << 24])
def test_strips_together_are_the_bilinear_enlargement(size: tuple[int, int], strip: int) -> None:
    logits = torch.randn(3, 9, 7, generator=torch.Generator().manual_seed(0))
    parts = list(enlarged(logits, *size, strip=strip))
    assert [top for top, _ in parts] == np.cumsum([0, *(part.shape[1] for _, part in parts)])[:-1].tolist()
    assert strip > 1 or len(parts) == size[0]
    expected = F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(torch.cat([part for _, part in parts], dim=1), expected)


def logits_on_canvas() -> Tensor:
    return 3 * torch.randn(3, 4, 12, 12, generator=torch.Generator().manual_seed(1))


def painted(folder: Path, given: list[np.ndarray], logits: Tensor, labels: np.ndarray | None = None) -> Kept:
    painter = Painter(
        predictions=create_predictions(folder, SIZES, 4),
        extents=EXTENTS,
        given=given.__getitem__,
        classes=4,
        fit=calibration.temperature,
        mean_iou=mask_scoring.mean_iou,
    )
    rows = np.arange(3)

    def predict(some: np.ndarray, _stage: str) -> Iterator[tuple[np.ndarray, Tensor]]:
        for part in np.array_split(some, 2):
            yield part, logits[torch.from_numpy(part)]

    return painter(Held(1, rows, rows, np.zeros(3, np.int64) if labels is None else labels), predict)


def masks(seed: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, 4, size, dtype=np.uint8) for size in SIZES.tolist()]
    drawn[0][:5] = IGNORE
    return drawn


def test_each_pixel_is_what_the_dense_probabilities_say(tmp_path: Path) -> None:
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


def test_it_is_the_same_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = painted(tmp_path / "whole", masks(), logits_on_canvas())
    expected = (tmp_path / "whole" / "confidence.npy").read_bytes()
    monkeypatch.setattr(painting, "_STRIP", 100)
    strips = painted(tmp_path / "strips", masks(), logits_on_canvas())
    np.testing.assert_array_equal(whole.columns["confusion"], strips.columns["confusion"])
    assert (tmp_path / "strips" / "confidence.npy").read_bytes() == expected


def test_an_overconfident_network_is_cooled_down(tmp_path: Path) -> None:
    honest, sure = (
        painted(tmp_path / name, masks(), logits_on_canvas() * factor) for name, factor in (("a", 1), ("b", 10))
    )
    assert float(sure.columns["temperature"]) > float(honest.columns["temperature"])


def test_without_any_given_pixel_the_temperature_is_one(tmp_path: Path) -> None:
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
