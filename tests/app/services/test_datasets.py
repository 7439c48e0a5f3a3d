from pathlib import Path

import pytest

from app.services import datasets
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from core.types import DatasetError, JobStatus
from tests.app.sampled import sample_both
from tests.app.services.reviewed import digits, digits_home
from tests.app.small import add_dataset

__all__ = ["digits", "digits_home"]


def test_wrong_labels_are_estimated_only_for_datasets_with_a_round(digits: AppContext) -> None:
    before = datasets.overview(digits)
    assert before.wrong[1].errors is None
    sample_both(digits, 1)
    wrong = datasets.overview(digits).wrong[1]
    assert wrong.errors is not None
    assert wrong.short == f"{wrong.errors.estimate:,.0f} ({wrong.errors.low:,.0f} to {wrong.errors.high:,.0f})"
    bare = add_dataset(digits, [0, 1], name="bare")
    assert bare not in datasets.overview(digits).wrong


def test_a_card_counts_the_findings_left_to_review(digits: AppContext) -> None:
    [card] = datasets.list_datasets(digits)
    assert card.images == 300
    assert card.class_counts == {str(number): 30 for number in range(10)}
    assert card.reviewable is not None
    assert card.newest == card.reviewable
    assert card.reviewable.status is JobStatus.DONE
    assert card.reviewable.left > 0
    assert card.reviewable.decided == 0
    assert card.rounds == 1
    assert datasets.overview(digits).at_work == ([], [])
    assert not datasets.overview(digits).is_empty


def test_a_dataset_can_be_renamed_but_not_to_a_used_name(app_context: AppContext, digits_folder: Path) -> None:
    for name in ("one", "two"):
        asked = imports.add_import(app_context, ImportRequest(name=name, source=str(digits_folder)))
        imports.run_import(app_context, asked)
    one = datasets.find_dataset(app_context, "one")
    assert one is not None
    datasets.rename(app_context, one.id, " 1 ")
    assert datasets.get_dataset(app_context, one.id).name == "1"
    assert imports.repeat_request(app_context, one.id).name == "1"
    for name in ("two", " ", "x" * 201, "\udcff"):
        with pytest.raises(DatasetError, match="choose another"):
            datasets.rename(app_context, one.id, name)
    with pytest.raises(DatasetError, match="no dataset"):
        datasets.rename(app_context, 99, "three")


def test_a_missing_dataset_is_refused(app_context: AppContext) -> None:
    assert datasets.overview(app_context).is_empty
    assert datasets.find_dataset(app_context, "none") is None
    with pytest.raises(DatasetError, match="no dataset 7"):
        datasets.get_dataset(app_context, 7)
