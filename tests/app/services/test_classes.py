"""Classes added and renamed in the review: stored, undone, exported, imported again."""

from pathlib import Path

import pytest

from app.services import datasets, reviews
from app.services.app_context import AppContext
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.imports.store import refuse_class_acts
from app.services.reviews import ActKey, Choice, RefusedError, classes as class_service
from app.services.tags import current as tags
from core.data.export.items import ExportOptions
from core.judge.class_acts import resolve_classes
from core.types import DatasetError, FindingFilter, Verdict
from tests.app.services.reviewed import CLASSES, digits, digits_home  # noqa: F401 fixtures

pytestmark = pytest.mark.usefixtures("kept")

ADA, BOB = "Ada", "Bob"


@pytest.fixture
def app_context(digits: AppContext) -> AppContext:  # noqa: F811
    return digits


def names(app_context: AppContext) -> tuple[str, ...]:
    return datasets.get_dataset(app_context, 1).classes


def card(app_context: AppContext) -> int:
    return reviews.page(app_context, FindingFilter(round_id=1), limit=1).items[0].id


def relabel(app_context: AppContext, finding: int, label: int) -> None:
    reviews.decide(app_context, [Choice(finding, Verdict.RELABEL, label)], by=ADA)


def test_one_undo_reverts_the_relabel_and_a_second_one_the_class(app_context: AppContext) -> None:
    added = reviews.add_class(app_context, 1, "  smudge ", by=ADA)
    assert (added.id, added.name, names(app_context)[-1]) == (CLASSES, "smudge", "smudge")
    finding = card(app_context)
    relabel(app_context, finding, added.id)
    assert reviews.undo(app_context, 1, by=ADA).items[0].label is None
    undone = reviews.undo(app_context, 1, by=ADA).undone
    assert undone is not None
    assert undone.text == "added the class smudge"
    assert datasets.get_dataset(app_context, 1).retired_classes == (CLASSES,)
    with pytest.raises(RefusedError, match="was taken back"):
        relabel(app_context, finding, added.id)
    reviews.redo(app_context, 1, by=ADA)
    assert datasets.get_dataset(app_context, 1).retired_classes == ()
    assert reviews.redo(app_context, 1, by=ADA).items[0].label == CLASSES


def test_adding_a_class_cannot_be_undone_while_it_is_used(app_context: AppContext) -> None:
    added = reviews.add_class(app_context, 1, "smudge", by=ADA)
    assert added.saved is not None
    relabel(app_context, card(app_context), added.id)
    with pytest.raises(RefusedError, match="1 image carries the class smudge; give them another class first"):
        reviews.undo(app_context, 1, by=ADA, changeset_id=added.saved.changeset)


def test_a_verdict_with_a_removed_class_cannot_be_redone(app_context: AppContext) -> None:
    added = reviews.add_class(app_context, 1, "smudge", by=BOB)
    relabel(app_context, card(app_context), added.id)
    reviews.undo(app_context, 1, by=ADA)
    reviews.undo(app_context, 1, by=BOB)
    with pytest.raises(RefusedError, match="was taken back"):
        reviews.redo(app_context, 1, by=ADA)


def test_adding_an_existing_class_in_any_case_finds_it_and_restores_a_retired_one(app_context: AppContext) -> None:
    key = ActKey("tab", 1)
    first = reviews.add_class(app_context, 1, "Smudge", by=ADA, key=key)
    assert first.saved is not None
    again = reviews.add_class(app_context, 1, "Smudge", by=ADA, key=key)
    assert again.saved is not None
    assert again.saved.changeset == first.saved.changeset
    other = reviews.add_class(app_context, 1, "SMUDGE", by=BOB)
    assert (other.id, other.name, other.saved) == (CLASSES, "Smudge", None)
    reviews.undo(app_context, 1, by=ADA)
    assert reviews.add_class(app_context, 1, "smudge", by=BOB).id == CLASSES
    assert datasets.get_dataset(app_context, 1).retired_classes == ()


def test_a_rename_keeps_the_id_and_is_undone(app_context: AppContext) -> None:
    before = names(app_context)
    reviews.rename_class(app_context, 1, 3, "three", by=ADA)
    assert names(app_context)[3] == "three"
    with pytest.raises(RefusedError, match="three is a class of digits already"):
        reviews.rename_class(app_context, 1, 4, "THREE", by=ADA)
    with pytest.raises(RefusedError, match="1 to 100 characters"):
        reviews.rename_class(app_context, 1, 4, "  ", by=ADA)
    reviews.add_class(app_context, 1, before[3], by=BOB)
    with pytest.raises(RefusedError, match="two classes would be called"):
        reviews.undo(app_context, 1, by=ADA)
    reviews.undo(app_context, 1, by=BOB)
    with pytest.raises(RefusedError, match="two classes would be called"):
        reviews.undo(app_context, 1, by=ADA)  # the retired class keeps its name


def test_undoing_a_rename_restores_the_former_name(app_context: AppContext) -> None:
    before = names(app_context)
    reviews.rename_class(app_context, 1, 3, "three", by=ADA)
    reviews.rename_class(app_context, 1, 3, "drei", by=ADA)
    reviews.undo(app_context, 1, by=ADA)
    assert names(app_context)[3] == "three"
    reviews.undo(app_context, 1, by=ADA)
    assert names(app_context) == before


def test_stored_classes_equal_the_pure_function(app_context: AppContext) -> None:
    reviews.rename_class(app_context, 1, 3, "three", by=ADA)
    reviews.add_class(app_context, 1, "smudge", by=BOB)
    reviews.rename_class(app_context, 1, CLASSES, "stain", by=ADA)
    reviews.undo(app_context, 1, by=BOB)
    info = datasets.get_dataset(app_context, 1)
    with app_context.database.read() as session:
        acts = class_service._acts(session, 1)
    state = resolve_classes(info.classes, acts)
    assert (info.classes, info.retired_classes) == (state.names, state.retired)


def test_the_source_is_imported_correctly_after_a_rename(app_context: AppContext) -> None:
    before = names(app_context)
    reviews.rename_class(app_context, 1, 3, "three", by=ADA)
    done = imports.run_import(app_context, imports.add_import(app_context, imports.repeat_request(app_context, 1)))
    assert done.report is not None, done.message
    assert done.report["changes"]["unchanged"] == done.report["images"]
    assert names(app_context) == (*before[:3], "three", *before[4:])


def test_a_source_with_a_removed_class_is_refused(app_context: AppContext) -> None:
    reviews.add_class(app_context, 1, "smudge", by=ADA)
    reviews.undo(app_context, 1, by=ADA)
    with pytest.raises(DatasetError, match="whose addition to digits was undone"):
        refuse_class_acts(app_context, imports.repeat_request(app_context, 1), {}, ["smudge"])


def test_an_export_has_the_added_and_the_renamed_class_and_reads_back(app_context: AppContext, tmp_path: Path) -> None:
    added = reviews.add_class(app_context, 1, "smudge", by=ADA)
    relabel(app_context, card(app_context), added.id)
    reviews.rename_class(app_context, 1, 3, "three", by=ADA)
    reviews.add_class(app_context, 1, "taken back", by=ADA)
    reviews.undo(app_context, 1, by=ADA)
    request = ExportRequest(dataset_id=1, options=ExportOptions(), folder=str(tmp_path / "out"))
    done = exports.run_export(app_context, exports.add_export(app_context, request).id)
    assert "taken back" not in (Path(done.path) / "manifest.json").read_text()
    read = imports.run_import(
        app_context, imports.add_import(app_context, imports.ImportRequest(name="read", source=done.path))
    )
    assert read.dataset_id is not None, read.message
    assert set(datasets.get_dataset(app_context, read.dataset_id).classes) == set(names(app_context)) - {"taken back"}


def test_a_class_of_masks_has_a_colour_and_stays_while_tags_use_it(scenes: AppContext) -> None:
    added = reviews.add_class(scenes, 1, "boat", by=ADA)
    assert added.saved is not None
    colours = datasets.get_dataset(scenes, 1).colours or ()
    assert len(set(colours)) == added.id + 1
    tags.tag(scenes, 1, [added.id], by=BOB)
    with pytest.raises(RefusedError, match="1 image carries the class boat"):
        reviews.undo(scenes, 1, by=ADA)
    tags.tag(scenes, 1, [0], by=BOB)
    reviews.undo(scenes, 1, by=ADA)
    with pytest.raises(RefusedError, match="was taken back"):
        tags.tag(scenes, 1, [added.id], by=BOB)
