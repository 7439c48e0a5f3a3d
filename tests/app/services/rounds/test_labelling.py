"""Labelling from nothing: a round without suggestions, verdicts on it, and the first round that learns from them."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from app.services import reviews
from app.services.app_context import AppContext
from app.services.masks import editing
from app.services.reviews import Choice, RefusedError
from app.services.rounds import jobs as rounds, labelling
from app.worker import steps
from core.data.snapshot import Snapshot
from core.types import (
    NO_LABEL,
    FindingFilter,
    FindingKind,
    JobStatus,
    Order,
    Recipe,
    RoundError,
    Status,
    Verdict,
)
from tests.app.services.reviewed import import_folder

IMAGES = 40
NAMES = [str(digit) for digit in range(10)]


@pytest.fixture
def bare(app_context: AppContext, digits_folder: Path, tmp_path: Path) -> int:
    """Return a dataset of digits that nobody labelled; each is called after its digit, as only tests know."""
    folder = tmp_path / "bare"
    folder.mkdir()
    chosen = np.random.default_rng(0).permutation(sorted(digits_folder.glob("*/*.png")))[:IMAGES]
    for place, path in enumerate(map(Path, chosen)):
        shutil.copy(path, folder / f"{path.parent.name}-{place}.png")
    return import_folder(app_context, folder, "bare")


def go_on() -> bool:
    return False


def ran(app_context: AppContext, round_id: int) -> int:
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    steps.train_fold(app_context, go_on, round_id=round_id, fold=0)
    steps.judge(app_context, go_on, round_id=round_id)
    return round_id


def everything(round_id: int) -> FindingFilter:
    return FindingFilter(round_id=round_id, kinds=frozenset(FindingKind), statuses=frozenset())


def test_a_dataset_without_labels_is_labelled_by_hand_and_a_first_round_can_start(
    app_context: AppContext, bare: int
) -> None:
    started = labelling.start_labelling(app_context, bare, "ada", classes=["0", " 1", "1", "", *NAMES[2:]])
    ran(app_context, started.id)
    found = reviews.page(app_context, everything(started.id), Order.SIMILARITY, limit=100).items
    assert len(found) == IMAGES
    assert {(one.given, one.pseudo, one.kind) for one in found} == {(NO_LABEL, NO_LABEL, FindingKind.UNLABELLED)}
    assert [one.rank for one in found] == [one.similarity_rank for one in found]
    assert rounds.get_round(app_context, started.id).versions

    right = [int(one.name[0]) for one in found]
    choices = [Choice(one.id, Verdict.RELABEL, label) for one, label in zip(found, right, strict=True)]
    reviews.decide(app_context, choices[:-5], by="ada")
    counted = reviews.counts(app_context, everything(started.id))
    assert counted.labels == [Counter(right[:-5])[number] for number in range(10)]
    reviews.undo(app_context, bare, by="ada")
    assert sum(reviews.counts(app_context, everything(started.id)).labels) == 0
    reviews.redo(app_context, bare, by="ada")

    first = rounds.start_round(app_context, bare, rounds.propose_config(app_context, bare), "ada")
    steps.take_snapshot(app_context, go_on, round_id=first.id)
    labels = Snapshot.load(app_context.round_folder(first.id)).labels
    assert (labels == NO_LABEL).sum() == 5


def test_look_alikes_are_offered_and_labelled_in_one_act(app_context: AppContext, bare: int) -> None:
    started = labelling.start_labelling(app_context, bare, "ada", classes=NAMES)
    ran(app_context, started.id)
    first = reviews.page(app_context, everything(started.id), limit=1).items[0]
    alike = reviews.history(app_context, first.id).alike
    assert first.id in alike
    assert 1 < len(alike) <= IMAGES
    reviews.decide(app_context, [Choice(one, Verdict.RELABEL, 3) for one in alike], by="ada")
    counted = reviews.counts(app_context, everything(started.id))
    assert counted.by_status[Status.RELABEL] == len(alike)


def test_a_bulk_act_without_suggestions_accepts_nothing(app_context: AppContext, bare: int) -> None:
    started = labelling.start_labelling(app_context, bare, "ada", classes=NAMES)
    ran(app_context, started.id)
    first = reviews.page(app_context, everything(started.id), limit=1).items[0]
    with pytest.raises(RefusedError, match="nothing is suggested"):
        reviews.decide(app_context, [Choice(first.id, Verdict.ACCEPT)], by="ada")
    with pytest.raises(RefusedError, match="suggests no labels"):
        reviews.accept_all(app_context, everything(started.id), by="ada")
    with pytest.raises(RefusedError, match="suggests no labels"):
        reviews.preview(app_context, everything(started.id))
    with pytest.raises(RefusedError, match="suggests no labels"):
        reviews.audits.start(app_context, FindingFilter(round_id=started.id), by="ada")


def test_labelling_starts_once_and_again_only_for_new_images(
    app_context: AppContext, bare: int, digits_folder: Path, tmp_path: Path
) -> None:
    first = labelling.start_labelling(app_context, bare, "ada", classes=["cat", "dog"])
    assert labelling.start_labelling(app_context, bare, "ada").id == first.id
    ran(app_context, first.id)
    assert labelling.start_labelling(app_context, bare, "ada").id == first.id
    shutil.copy(max(digits_folder.glob("*/*.png")), tmp_path / "bare" / "new.png")
    import_folder(app_context, tmp_path / "bare", "bare")
    second = labelling.start_labelling(app_context, bare, "ada")
    assert (second.number, second.recipe, second.status) == (2, Recipe.LABELLING, JobStatus.QUEUED)
    ran(app_context, second.id)
    assert reviews.count(app_context, everything(second.id)) == IMAGES + 1
    assert rounds.classes_of(app_context, bare) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("classes", "why"),
    [([], "has no classes yet"), (["a" * 101], "1 to 100 characters"), (["two\nlines"], "no control characters")],
)
def test_labelling_requires_class_names(app_context: AppContext, bare: int, classes: list[str], why: str) -> None:
    with pytest.raises(RoundError, match=why):
        labelling.start_labelling(app_context, bare, "ada", classes=classes)


def test_existing_classes_are_not_replaced(app_context: AppContext, bare: int) -> None:
    labelling.start_labelling(app_context, bare, "ada", classes=["cat"])
    with pytest.raises(RoundError, match="has classes already: cat"):
        labelling.start_labelling(app_context, bare, "ada", classes=["dog"])


def test_labelling_a_labelled_dataset_is_refused(app_context: AppContext, digits_folder: Path) -> None:
    with pytest.raises(RoundError, match="every image of digits has a label"):
        labelling.start_labelling(app_context, import_folder(app_context, digits_folder), "ada")


def test_labels_of_an_unlabelled_dataset_can_be_masks_and_stay_so_after_another_import(
    app_context: AppContext, bare: int, digits_folder: Path, tmp_path: Path
) -> None:
    labelling.use_masks(app_context, bare, ["background", "digit"])
    now = labelling.labelling_state(app_context, bare)
    assert (now.in_grid, now.is_bare, now.classes) == (False, True, ["background", "digit"])
    opening = editing.find_opening(app_context, dataset_id=bare)
    assert opening is not None
    assert opening.dataset_id == bare
    with pytest.raises(RoundError, match="are masks; paint them"):
        labelling.start_labelling(app_context, bare, "ada")
    shutil.copy(max(digits_folder.glob("*/*.png")), tmp_path / "bare" / "new.png")
    import_folder(app_context, tmp_path / "bare", "bare")
    after = labelling.labelling_state(app_context, bare)
    assert (after.in_grid, after.unlabelled, after.classes) == (False, IMAGES + 1, ["background", "digit"])


def test_labels_stay_classes_once_labelling_has_started(app_context: AppContext, bare: int) -> None:
    labelling.start_labelling(app_context, bare, "ada", classes=["cat"])
    with pytest.raises(RoundError, match="has labels or rounds of classes already"):
        labelling.use_masks(app_context, bare, ["cat"])
