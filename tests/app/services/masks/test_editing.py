"""First image of the editor, and the order of all images of a dataset."""

from pathlib import Path

import pytest

from app.services import reviews
from app.services.app_context import AppContext
from app.services.masks import current as masks, editing
from app.services.masks.editing import Opening
from app.services.reviews import Choice
from core.types import JobStatus, Verdict
from db.models import RoundRow, SampleRow
from tools.fixtures.scenes import NOW, add_round, add_scenes


@pytest.fixture
def mixed(scenes: AppContext, tmp_path: Path) -> AppContext:
    """Return six scenes with a round and, as dataset 2, four of which the two without a mask have no finding."""
    add_round(scenes, add_scenes(scenes, tmp_path / "mixed", 4, name="mixed", unlabelled=2))
    return scenes


def way(app_context: AppContext, sample: int | None, round_id: int | None) -> list[int]:
    """Return the images met on the way forward, and check the way back."""
    seen: list[int] = []
    while sample is not None:
        opened = masks.view_mask(app_context, sample, round_id)
        assert opened.previous == (seen[-1] if seen else None)
        seen.append(sample)
        sample = opened.next
    return seen


def test_images_without_findings_follow_by_name_after_those_with_findings(mixed: AppContext) -> None:
    with mixed.database.write() as session:
        session.get_one(SampleRow, 9).name = "z.png"
    assert way(mixed, 7, 2) == [7, 8, 10, 9]


def test_a_vanished_image_is_skipped(mixed: AppContext) -> None:
    with mixed.database.write() as session:
        session.get_one(SampleRow, 9).vanished_at = NOW
    assert way(mixed, 7, 2) == [7, 8, 10]


def test_images_are_ordered_by_name_before_the_first_round(mixed: AppContext) -> None:
    assert way(mixed, 7, None) == [7, 8, 9, 10]


def test_images_with_equal_names_are_all_visited(mixed: AppContext) -> None:
    with mixed.database.write() as session:
        for sample in (7, 8, 9, 10):
            session.get_one(SampleRow, sample).name = "the same"
    assert way(mixed, 7, None) == [7, 8, 9, 10]


def test_a_dataset_without_a_round_opens_with_its_first_image(scenes: AppContext, tmp_path: Path) -> None:
    other = add_scenes(scenes, tmp_path / "more", 2, name="more")
    assert editing.find_opening(scenes, dataset_id=other) == Opening(other, None, 7)
    assert editing.find_opening(scenes, dataset_id=other, sample_id=8) == Opening(other, None, 8)
    assert editing.find_opening(scenes, dataset_id=other, sample_id=1) == Opening(other, None, 7)
    assert editing.find_opening(scenes) == Opening(1, 1, 1)
    assert editing.find_opening(scenes, dataset_id=99) is None


def test_a_running_round_opens_its_dataset_without_findings(scenes: AppContext) -> None:
    with scenes.database.write() as session:
        session.get_one(RoundRow, 1).status = JobStatus.RUNNING
    assert editing.find_opening(scenes, round_id=1) == Opening(1, None, 1)


def test_a_round_that_found_nothing_opens_with_its_first_image(scenes: AppContext, tmp_path: Path) -> None:
    quiet = add_round(scenes, add_scenes(scenes, tmp_path / "quiet", 2, name="quiet", unlabelled=2))
    assert editing.find_opening(scenes, quiet) == Opening(2, quiet, 7)


def test_images_are_listed_page_by_page_with_their_open_findings(
    mixed: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editing, "LISTED", 2)
    reviews.decide(mixed, [Choice(13, Verdict.KEEP)], by="ada")
    first = editing.list_images(mixed, 2, 2)
    assert [(one.id, regions, undecided) for one, regions, undecided in first] == [(7, 2, 1), (8, 2, 2)]
    assert [one.id for one, *_ in editing.list_images(mixed, 2, 2, after=8)] == [9, 10]
    assert editing.list_images(mixed, 2, 2, after=10) == []
    assert [one.id for one, *_ in editing.list_images(mixed, 1, 1, text="_005")] == [6]
