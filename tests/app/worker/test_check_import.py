"""A finished check becomes a dataset and its first round: with its folds where the labels are the same."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from app.services import reviews
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.reviews import Choice
from app.services.rounds import jobs as rounds
from app.worker.check_import import adopt
from core import rounds as round_module
from core.checking import FolderCheck, Stages, check_folder, read_folder
from core.config import ProbabilityMethod, RoundConfig
from core.data.formats.source import ReadOptions
from core.data.networks import kept_networks
from core.types import DatasetError, FindingFilter, JobStatus, Verdict

CONFIG = RoundConfig(
    folds=3, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, batch_size=32, device="cpu"
)


class Finished(NamedTuple):
    """A folder, its check, and where the check's round lies."""

    request: ImportRequest
    check: FolderCheck
    place: Path


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the folds that were learnt, in the order in which they were."""
    folds: list[int] = []
    learn = round_module.train_and_predict

    def counted(snapshot, config, held, **rest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202
        folds.append(held.fold)
        return learn(snapshot, config, held, **rest)

    monkeypatch.setattr(round_module, "train_and_predict", counted)
    return folds


@pytest.fixture
def finished(app_context: AppContext, learnt: list[int], tmp_path: Path) -> Finished:
    """Return a check of bright and dark images, two of which have the other's label."""
    root, rng = tmp_path / "lamps", np.random.default_rng(0)
    for number in range(40):
        bright = number % 2
        label = "on" if bright != (number in {4, 9}) else "off"
        (root / label).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(120 * bright, 120 * bright + 100, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / label / f"{number:02}.png")
    folder = read_folder(root, ReadOptions(), None, 1 << 20, Stages())
    place = tmp_path / "place"
    check = check_folder(
        folder, CONFIG, place, image_cache=app_context.image_caches, stages=Stages(), keep_networks=True
    )
    assert learnt == [0, 1, 2]
    return Finished(ImportRequest(name="lamps", source=str(root)), check, place)


def adopted(app_context: AppContext, finished: Finished) -> int:
    round_id = adopt(
        app_context, finished.request, finished.check, finished.place, by="ada", report=lambda _text, _done: None
    )
    assert round_id is not None
    return round_id


def suspects(app_context: AppContext, round_id: int) -> list[tuple[str, float]]:
    items = reviews.page(app_context, FindingFilter(round_id=round_id), limit=100).items
    return [(one.name, round(one.confidence, 6)) for one in items]


def test_the_round_has_the_findings_of_the_check_without_another_training(
    app_context: AppContext, finished: Finished, learnt: list[int]
) -> None:
    round_id = adopted(app_context, finished)
    assert learnt == [0, 1, 2]
    judged = finished.check.judgement
    assert judged is not None
    rows = [row for row in np.argsort(judged.rank).tolist() if judged.kind[row] == 0]
    expected = [(finished.check.folder.samples[row].name, round(float(judged.confidence[row]), 6)) for row in rows]
    assert suspects(app_context, round_id) == expected
    info = rounds.get_round(app_context, round_id)
    measured = rounds.metrics(app_context, round_id)
    assert measured is not None
    assert measured["weight_decay"] == judged.metrics["weight_decay"]
    assert (info.status, info.number, RoundConfig.from_json(info.config)) == (JobStatus.DONE, 1, CONFIG)
    assert [one.name for one in kept_networks(app_context.round_folder(round_id)) if one.about.predicts] == [
        "fold_0",
        "fold_1",
        "fold_2",
    ]
    first = reviews.page(app_context, FindingFilter(round_id=round_id), limit=1).items[0]
    assert len(reviews.history(app_context, first.id).neighbours) == 6


def test_the_folds_are_fitted_again_if_people_have_decided_meanwhile(
    app_context: AppContext, finished: Finished, learnt: list[int]
) -> None:
    first = adopted(app_context, finished)
    worst = reviews.page(app_context, FindingFilter(round_id=first), limit=1).items[0]
    reviews.decide(app_context, [Choice(worst.id, Verdict.ACCEPT)], by="ada")
    second = adopted(app_context, finished)
    assert learnt == [0, 1, 2, 0, 1, 2]
    assert worst.name not in {name for name, _ in suspects(app_context, second)}


def test_a_name_of_another_source_is_refused(app_context: AppContext, finished: Finished, tmp_path: Path) -> None:
    other = tmp_path / "other" / "on"
    other.mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(other / "1.png")
    request = ImportRequest(name="lamps", source=str(other.parent))
    imports.run_import(app_context, imports.add_import(app_context, request))
    with pytest.raises(DatasetError, match="lamps"):
        adopted(app_context, finished)
