"""Classes merged and reordered: undone in any order, and followed by queue, counts, exports, rounds and imports."""

import json
import shutil
import sqlite3
import zlib
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from alembic import command

from app.services import datasets, reviews
from app.services.app_context import AppContext
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.masks import current as masks, round_masks
from app.services.recipes.predictions import PredictionsSettings
from app.services.reviews import ActKey, Choice, RefusedError
from app.services.rounds import predictions
from app.services.rounds.snapshots import current_snapshot
from app.services.tags import current as tags
from core.config import RoundConfig
from core.data.export.items import ExportFormat, ExportOptions
from core.data.export.placing import content_hash
from core.data.formats.detect import FORMATS, detect
from core.data.formats.predicted_masks import files_of, find_predicted, read_predicted
from core.data.formats.probabilities import write_probabilities
from core.data.formats.source import ReadOptions
from core.data.masks.reading import read_masks
from core.data.masks.store import MaskStore
from core.data.patch import apply, read_patch
from core.types import IGNORE, FindingFilter, FindingKind, JobStatus, SourceSample, Status, Verdict
from db.engine import alembic_config
from db.queries import classes as class_queries, decisions, snapshots
from tests.app.services.reviewed import CLASSES, add_round, digits, digits_home  # noqa: F401 fixtures
from tools.fixtures.scenes import CAR, HOUSE, ROAD, SKY, TABLE, TREE

pytestmark = pytest.mark.usefixtures("kept")

ADA, BOB = "Ada", "Bob"
EVERYTHING = FindingFilter(round_id=1, kinds=frozenset(), statuses=frozenset())


@pytest.fixture
def app_context(digits: AppContext) -> AppContext:  # noqa: F811
    return digits


def findings(app_context: AppContext) -> dict[int, tuple[object, ...]]:
    shown = reviews.page(app_context, EVERYTHING, limit=500).items
    return {one.id: (one.given, one.pseudo, one.kind, one.status, one.label) for one in shown}


def labels(app_context: AppContext) -> dict[int, int | None]:
    return {sample: found.label for sample, found in reviews.resolved_labels(app_context, 1).items()}


def everything(app_context: AppContext) -> tuple[object, ...]:
    """Return all that a merge moves."""
    info = datasets.get_dataset(app_context, 1)
    with app_context.database.read() as session:
        read = (
            snapshots.samples_of(session, 1),
            snapshots.label_counts(session, 1),
            class_queries.given_counts(session, 1),
            decisions.live_decisions(session, 1),
        )
    return info, findings(app_context), labels(app_context), reviews.counts(app_context, EVERYTHING), read


def pair_of(app_context: AppContext, given: int, pseudo: int) -> int:
    chosen = FindingFilter(round_id=1, given=given, pseudo=pseudo)
    return reviews.page(app_context, chosen, limit=1).items[0].id


def test_a_merge_moves_labels_findings_and_counts_and_its_undo_restores_them(app_context: AppContext) -> None:
    reviews.decide(app_context, [Choice(pair_of(app_context, 5, 4), Verdict.RELABEL, 3)], by=ADA)
    before, found, now = everything(app_context), findings(app_context), labels(app_context)
    told = reviews.preview_merge(app_context, 1, [3], 2)
    assert reviews.merge_classes(app_context, 1, [3], 2, by=ADA).changeset is not None
    moved = findings(app_context)
    for one, (given, pseudo, kind, status, label) in found.items():
        meant = tuple(2 if each == 3 else each for each in (given, pseudo))
        agreeing = FindingKind.AGREEING if meant[0] == meant[1] else kind
        assert moved[one] == (*meant, agreeing, status, 2 if label == 3 else label)
    assert labels(app_context) == {sample: 2 if label == 3 else label for sample, label in now.items()}
    left = [one for one, was in found.items() if was[2] != moved[one][2]]
    assert len(left) == told.settled_findings > 0
    assert [use.images for use in told.merged] == [Counter(now.values())[3]]
    assert [one.merged_into for one in reviews.list_classes(app_context, 1)] == [None, None, None, 2, *[None] * 6]
    assert {use.id for use in reviews.class_uses(app_context, 1)} == set(range(CLASSES)) - {3}
    undone = reviews.undo(app_context, 1, by=ADA).undone
    assert undone is not None
    assert undone.text == f"merged {before[0].classes[3]} into {before[0].classes[2]}"  # type: ignore[attr-defined]
    assert everything(app_context) == before
    reviews.redo(app_context, 1, by=ADA)
    assert findings(app_context) == moved


def test_verdicts_after_a_merge_refer_to_the_original_classes_once_it_is_undone(app_context: AppContext) -> None:
    accepted, related = pair_of(app_context, 4, 3), pair_of(app_context, 6, 5)
    merged = reviews.merge_classes(app_context, 1, [3], 2, by=BOB)
    saved = reviews.decide(app_context, [Choice(accepted, Verdict.ACCEPT), Choice(related, Verdict.RELABEL, 3)], by=ADA)
    assert [one.label for one in saved.items] == [2, 2]
    again = reviews.decide(app_context, [Choice(related, Verdict.RELABEL, 2)], by=ADA)
    assert again.size == 0
    bulk = reviews.accept_all(app_context, FindingFilter(round_id=1, pseudo=2), by=ADA)
    assert bulk.size > 0
    assert {one[4] for one in findings(app_context).values() if one[3] is Status.BULK} == {2}
    reviews.undo(app_context, 1, by=BOB, changeset_id=merged.changeset)
    after = findings(app_context)
    assert (after[accepted][4], after[related][4]) == (3, 3)
    for given, pseudo, _, status, label in after.values():
        if status in (Status.BULK, Status.ACCEPT):
            assert label == pseudo != given


def test_merges_chain_and_are_undone_in_any_order(app_context: AppContext) -> None:
    before = everything(app_context)
    first = reviews.merge_classes(app_context, 1, [3, 4], 2, by=ADA)
    second = reviews.merge_classes(app_context, 1, [2], 7, by=ADA)
    assert dict(datasets.get_dataset(app_context, 1).merged_classes) == {2: 7, 3: 7, 4: 7}
    reviews.undo(app_context, 1, by=ADA, changeset_id=first.changeset)
    assert dict(datasets.get_dataset(app_context, 1).merged_classes) == {2: 7}
    reviews.undo(app_context, 1, by=ADA, changeset_id=second.changeset)
    assert everything(app_context) == before


def test_a_merge_that_contradicts_other_acts_is_refused(app_context: AppContext) -> None:
    names = datasets.get_dataset(app_context, 1).classes
    added = reviews.add_class(app_context, 1, "smudge", by=BOB)
    reviews.merge_classes(app_context, 1, [3], added.id, by=ADA)
    with pytest.raises(RefusedError, match="which would be taken back"):
        reviews.undo(app_context, 1, by=BOB)
    for wrong, into, why in (([3], 2, "was merged into smudge"), ([], 2, "no class"), ([2], 2, "into itself")):
        with pytest.raises(RefusedError, match=why):
            reviews.merge_classes(app_context, 1, wrong, into, by=ADA)
    with pytest.raises(RefusedError, match="was merged into smudge"):
        reviews.add_class(app_context, 1, names[3], by=ADA)
    with pytest.raises(RefusedError, match="was merged into smudge"):
        reviews.rename_class(app_context, 1, 3, "three", by=ADA)
    reviews.undo(app_context, 1, by=ADA)
    reviews.merge_classes(app_context, 1, [added.id], 3, by=BOB)
    with pytest.raises(RefusedError, match="would be merged into itself"):
        reviews.redo(app_context, 1, by=ADA)


def test_an_order_is_stored_once_combined_with_merges_and_undone(app_context: AppContext) -> None:
    key, order = ActKey("tab", 1), [*range(CLASSES - 1, -1, -1)]
    first = reviews.reorder_classes(app_context, 1, order, by=ADA, key=key)
    assert reviews.reorder_classes(app_context, 1, order, by=ADA, key=key).changeset == first.changeset
    assert reviews.reorder_classes(app_context, 1, order, by=ADA).changeset is None
    merged = reviews.merge_classes(app_context, 1, [5], 2, by=ADA)
    assert [one.id for one in reviews.list_classes(app_context, 1)] == order
    with pytest.raises(RefusedError, match="does not name each class once"):
        reviews.reorder_classes(app_context, 1, order, by=ADA)
    reviews.reorder_classes(app_context, 1, [0, 1, 2, 3, 4, 6, 7, 8, 9], by=ADA)
    reviews.undo(app_context, 1, by=ADA, changeset_id=merged.changeset)
    assert datasets.get_dataset(app_context, 1).class_state.offered == (0, 1, 2, 3, 4, 6, 5, 7, 8, 9)
    reviews.undo(app_context, 1, by=ADA)
    assert datasets.get_dataset(app_context, 1).class_state.offered == tuple(order)
    reviews.undo(app_context, 1, by=ADA)
    assert datasets.get_dataset(app_context, 1).class_state.is_plain


def exported(app_context: AppContext, folder: Path, form: ExportFormat) -> Path:
    request = ExportRequest(dataset_id=1, options=ExportOptions(format=form), folder=str(folder))
    done = exports.run_export(app_context, exports.add_export(app_context, request).id)
    assert done.status is JobStatus.DONE, done.message
    return Path(done.path)


def imported(app_context: AppContext, source: Path, name: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the classes of an import and the name of the label by content."""
    request = imports.ImportRequest(name=name, source=str(source))
    done = imports.run_import(app_context, imports.add_import(app_context, request))
    assert done.dataset_id is not None, done.message
    info = datasets.get_dataset(app_context, done.dataset_id)
    with app_context.database.read() as session:
        samples = snapshots.samples_of(session, info.id)
    return info.classes, {one.content_hash: info.classes[one.label] for one in samples if one.label is not None}


def meant(app_context: AppContext) -> dict[str, str]:
    info, now = datasets.get_dataset(app_context, 1), labels(app_context)
    with app_context.database.read() as session:
        samples = snapshots.samples_of(session, 1)
    return {one.content_hash: info.classes[label] for one in samples if (label := now[one.id]) is not None}


def test_exports_read_back_after_a_rename_merge_or_reorder_and_after_their_undo(
    app_context: AppContext, tmp_path: Path, digits_folder: Path
) -> None:
    before = exported(app_context, tmp_path / "before", ExportFormat.CSV)
    reviews.rename_class(app_context, 1, 3, "three", by=ADA)
    reviews.merge_classes(app_context, 1, [3, 8], 2, by=ADA)
    reviews.rename_class(app_context, 1, 2, "round", by=ADA)
    order = [9, 2, 0, 1, 4, 5, 6, 7]
    reviews.reorder_classes(app_context, 1, order, by=ADA)
    info = datasets.get_dataset(app_context, 1)
    forms = [form for form in ExportFormat if not form.of_masks and not form.is_patch]
    for form in forms:
        folder = exported(app_context, tmp_path / form.value, form)
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["dataset"]["classes"] == [info.classes[one] for one in order]
        assert [one["kind"] for one in manifest["class_acts"]] == ["rename", "merge", "rename", "reorder"]
        found, back = imported(app_context, folder, form.value)
        assert set(found) == set(info.class_state.offered_names)
        assert back == meant(app_context)
    copied = shutil.copytree(digits_folder, tmp_path / "copy")
    patch = exported(app_context, tmp_path / "patch", ExportFormat.PATCH)
    apply(read_patch(patch), copied)
    assert imported(app_context, copied, "patched")[1] == meant(app_context)
    for _ in range(4):
        reviews.undo(app_context, 1, by=ADA)
    again = exported(app_context, tmp_path / "again", ExportFormat.CSV)
    assert [path.read_bytes() for path in sorted(again.iterdir())] == [
        path.read_bytes() for path in sorted(before.iterdir())
    ]


@pytest.mark.parametrize("form", [form for form in ExportFormat if form.of_masks])
def test_masks_are_exported_with_the_positions_of_their_classes_as_values(
    scenes: AppContext,
    tmp_path: Path,
    form: ExportFormat,
) -> None:
    reviews.decide(scenes, [Choice(1, Verdict.ACCEPT)], by=ADA)
    version, before = masks.read_mask(scenes, 2)
    edited = before.copy()
    edited[20:30, 5:15] = TREE
    save = partial(masks.save_edit, scenes, 2, masks.EditContext(), by=ADA)
    save(zlib.compress(edited.tobytes()), base=version, key=ActKey("x", 1))
    stored = {sample: masks.read_mask(scenes, sample)[1] for sample in range(1, 7)}
    reviews.merge_classes(scenes, 1, [TREE], HOUSE, by=ADA)
    reviews.reorder_classes(scenes, 1, [CAR, SKY, HOUSE, ROAD], by=ADA)
    now = {sample: masks.read_mask(scenes, sample)[1] for sample in stored}
    for sample, mask in stored.items():
        np.testing.assert_array_equal(now[sample], np.where(mask == TREE, HOUSE, mask))
    folder = exported(scenes, tmp_path / "out", form)
    listing = FORMATS[detect(folder).format].read(folder, ReadOptions())
    assert listing.table is not None
    assert listing.table.names == ("car", "sky", "house", "road")
    assert listing.table.colours == tuple(TABLE.colours[one] for one in (CAR, SKY, HOUSE, ROAD))
    values = np.array([1, 3, 2, 255, 0], dtype=np.uint8)  # by id; a tree is not a class any more
    with scenes.database.read() as session:
        by_content = {one.content_hash: one.id for one in snapshots.samples_of(session, 1)}
    for sample in listing.samples:
        if sample.mask is None:
            continue
        mask = next(read_masks([(sample.mask, 160, 120)], listing.table))
        resolved = now[by_content[content_hash(Path(sample.path))]]
        np.testing.assert_array_equal(mask, np.where(resolved == IGNORE, IGNORE, values[np.minimum(resolved, CAR)]))
    reviews.undo(scenes, 1, by=ADA)
    reviews.undo(scenes, 1, by=ADA)
    for sample, mask in stored.items():
        np.testing.assert_array_equal(masks.read_mask(scenes, sample)[1], mask)


def test_an_edit_after_a_merge_is_kept_when_the_merge_is_undone(scenes: AppContext) -> None:
    before = masks.read_mask(scenes, 1)[1]
    merged = reviews.merge_classes(scenes, 1, [TREE], HOUSE, by=BOB)
    version, mask = masks.read_mask(scenes, 1)
    edited = mask.copy()
    edited[100:110, 5:15] = CAR
    edited[110:115, 5:15] = TREE  # by an editor that was opened before
    masks.save_edit(
        scenes, 1, masks.EditContext(), zlib.compress(edited.tobytes()), base=version, by=ADA, key=ActKey("x", 1)
    )
    np.testing.assert_array_equal(masks.read_mask(scenes, 1)[1], np.where(edited == TREE, HOUSE, edited))
    reviews.undo(scenes, 1, by=BOB, changeset_id=merged.changeset)
    wanted = before.copy()
    wanted[100:110, 5:15], wanted[110:115, 5:15] = CAR, HOUSE
    np.testing.assert_array_equal(masks.read_mask(scenes, 1)[1], wanted)


def test_regions_between_merged_classes_leave_the_queue_and_tags_follow_the_merge(
    scenes: AppContext,
) -> None:
    tags.tag(scenes, 1, [TREE, CAR, ROAD], by=ADA)
    before = findings(scenes)
    told = reviews.preview_merge(scenes, 1, [CAR], ROAD)
    reviews.merge_classes(scenes, 1, [CAR], ROAD, by=ADA)
    cars = [one for one, (given, pseudo, *_) in before.items() if {given, pseudo} == {CAR, ROAD}]
    assert len(cars) == told.settled_findings > 0
    assert all(findings(scenes)[one][:3] == (ROAD, ROAD, FindingKind.AGREEING) for one in cars)
    assert tags.suggest_tags(scenes, 1).image.classes == [ROAD, TREE]
    assert (round_masks.predicted_mask(scenes, 1, 1) != CAR).all()
    assert told.merged[0].tagged == 1
    reviews.undo(scenes, 1, by=ADA)
    assert findings(scenes) == before
    assert tags.suggest_tags(scenes, 1).image.classes == [ROAD, TREE, CAR]


def test_a_round_after_a_merge_opens_with_merged_labels(app_context: AppContext) -> None:
    before = current_snapshot(app_context, 1)[1]
    reviews.reorder_classes(app_context, 1, [*range(CLASSES - 1, -1, -1)], by=ADA)
    assert current_snapshot(app_context, 1)[1].hash == before.hash
    reviews.merge_classes(app_context, 1, [3, 8], 2, by=ADA)
    _, snapshot, counts = current_snapshot(app_context, 1)
    np.testing.assert_array_equal(snapshot.labels, np.where(np.isin(before.labels, [3, 8]), 2, before.labels))
    assert set(counts.images) == set(range(CLASSES)) - {3, 8}
    assert add_round(app_context, 1) == 2
    shown = reviews.page(
        app_context, FindingFilter(round_id=2, kinds=frozenset(), statuses=frozenset()), limit=500
    ).items
    assert not {3, 8} & {one for card in shown for one in (card.given, card.pseudo)}


def test_a_round_of_masks_after_a_merge_opens_with_merged_masks(scenes: AppContext) -> None:
    given = current_snapshot(scenes, 1)[1]
    reviews.merge_classes(scenes, 1, [TREE], HOUSE, by=ADA)
    snapshot = current_snapshot(scenes, 1)[1]
    store = MaskStore(scenes.masks)
    assert given.masks is not None
    assert snapshot.masks is not None
    for old, new in zip(given.masks.labels, snapshot.masks.labels, strict=True):
        mask = store.get(old)
        np.testing.assert_array_equal(store.get(new), np.where(mask == TREE, HOUSE, mask))


def again(app_context: AppContext, **changes: object) -> imports.ImportInfo:
    request = replace(imports.repeat_request(app_context, 1), **changes)  # type: ignore[arg-type]
    return imports.run_import(app_context, imports.add_import(app_context, request))


def counts_on_card(app_context: AppContext) -> dict[str, int]:
    return dict(datasets.list_datasets(app_context)[0].class_counts)


@pytest.mark.parametrize("moved", [False, True])
def test_a_source_is_imported_correctly_after_a_rename_and_a_merge(
    app_context: AppContext,
    tmp_path: Path,
    digits_folder: Path,
    moved: bool,  # noqa: FBT001 a parameter of the test
) -> None:
    """The source still has the merged class, or its images were moved to the class they went into meanwhile."""
    before = counts_on_card(app_context)
    source = Path(shutil.copytree(digits_folder, tmp_path / "copy"))
    assert again(app_context, source=str(source), moved=True).report is not None
    one, other = before["2"], before["3"]
    reviews.rename_class(app_context, 1, 2, "two", by=ADA)
    merged = reviews.merge_classes(app_context, 1, [3], 2, by=ADA)
    assert counts_on_card(app_context) == {
        "two" if name == "2" else name: one + other if name == "2" else count
        for name, count in before.items()
        if name != "3"
    }
    stood = everything(app_context)[1:]
    if moved:
        for number, path in enumerate(sorted(source.rglob("3/*"))):
            path.rename(path.parent.parent / "2" / f"of three {number}{path.suffix}")
    done = again(app_context)
    assert done.report is not None, done.message
    assert "given label changed" not in done.report["problems"].get("warning", {})
    if not moved:
        assert everything(app_context)[1:] == stood
    assert counts_on_card(app_context)["two"] == one + other
    for wrong in ("two=zwei", "3=drei"):
        refused = again(app_context, renamed_classes=(wrong,))
        assert "people renamed or merged the class" in refused.message
    reviews.undo(app_context, 1, by=ADA, changeset_id=merged.changeset)
    reviews.undo(app_context, 1, by=ADA)
    assert counts_on_card(app_context) == before


def test_a_class_missing_in_the_source_is_asked_about_unless_it_was_merged(
    app_context: AppContext, tmp_path: Path, digits_folder: Path
) -> None:
    source = Path(shutil.copytree(digits_folder, tmp_path / "copy"))
    for path in source.rglob("3/*"):
        path.unlink()
    assert "no image of the class 3" in again(app_context, source=str(source), moved=True).message
    reviews.merge_classes(app_context, 1, [3], 2, by=ADA)
    assert again(app_context, source=str(source), moved=True).report is not None


def test_predictions_are_exported_with_the_current_classes_and_imported_as_the_original_ones(
    scenes: AppContext,
    tmp_path: Path,
) -> None:
    reviews.merge_classes(scenes, 1, [TREE], HOUSE, by=ADA)
    reviews.reorder_classes(scenes, 1, [CAR, SKY, HOUSE, ROAD], by=ADA)
    predictions.export(scenes, 1, tmp_path / "out")
    names = datasets.get_dataset(scenes, 1).class_state.offered_names
    found = find_predicted(tmp_path / "out", names)
    with scenes.database.read() as session:
        samples = snapshots.samples_of(session, 1)
    files = files_of(found, [SourceSample(one.path, one.name) for one in samples])
    ids = np.array(datasets.get_dataset(scenes, 1).class_state.offered)
    for sample, file in zip(samples, files, strict=True):
        said = read_predicted(found, file, (sample.height, sample.width), names)
        np.testing.assert_array_equal(ids[said.predicted], round_masks.predicted_mask(scenes, 1, sample.id))


def test_probabilities_of_merged_classes_are_added_up_with_or_without_their_columns(
    app_context: AppContext, tmp_path: Path
) -> None:
    names = datasets.get_dataset(app_context, 1).classes
    with app_context.database.read() as session:
        samples = snapshots.samples_of(session, 1)
    probs = np.random.default_rng(0).dirichlet(np.ones(CLASSES), len(samples)).astype(np.float32)
    write_probabilities(tmp_path / "all.csv", [one.name for one in samples], [probs], names)
    reviews.merge_classes(app_context, 1, [3], 2, by=ADA)
    reviews.reorder_classes(app_context, 1, [9, 8, 7, 6, 5, 4, 2, 1, 0], by=ADA)
    wanted = probs.copy()
    wanted[:, 2] += wanted[:, 3]
    wanted[:, 3] = 0
    offered = datasets.get_dataset(app_context, 1).class_state.offered
    few = [names[one] for one in offered]
    write_probabilities(tmp_path / "few.csv", [one.name for one in samples], [wanted[:, offered]], few)
    for name in ("all.csv", "few.csv"):
        settings = PredictionsSettings(file=str(tmp_path / name))
        stored = predictions.prepare_predictions(app_context, 1, settings, RoundConfig())[0].stored
        with np.load(predictions.stored_path(app_context, stored)) as kept:
            np.testing.assert_allclose(kept["probs"], wanted, atol=1e-4)


def test_the_previous_release_reads_findings_unchanged(app_context: AppContext, kept: str) -> None:
    reviews.decide(app_context, [Choice(pair_of(app_context, 5, 4), Verdict.RELABEL, 3)], by=ADA)
    query = "SELECT kind, given, pseudo, label, status FROM finding ORDER BY id"
    counted = (
        "SELECT kind, status, given, pseudo, percent, count FROM finding_count WHERE count > 0 ORDER BY 1, 2, 3, 4, 5"
    )
    acts = "SELECT id, act FROM changeset ORDER BY id"
    path = app_context.settings.home / "outfold.sqlite"
    before = rows_of(path, query, counted, acts)
    merged = reviews.merge_classes(app_context, 1, [3], 2, by=ADA)
    reviews.reorder_classes(app_context, 1, [9, 8, 7, 6, 5, 4, 2, 1, 0], by=ADA)
    reviews.undo(app_context, 1, by=ADA)
    assert merged.changeset is not None
    assert rows_of(path, query, counted, acts) != before
    app_context.database.close()
    if kept == "file":
        after = rows_of(path, query, counted, acts)
        with pytest.raises(RuntimeError, match="findings in a file"):
            command.downgrade(alembic_config(f"sqlite:///{path}"), "0015")
        assert rows_of(path, query, counted, acts) == after
        return
    command.downgrade(alembic_config(f"sqlite:///{path}"), "0015")
    assert rows_of(path, query, counted, acts) == before


def rows_of(path: Path, *queries: str) -> list[list[tuple[object, ...]]]:
    with sqlite3.connect(path) as connection:
        found = [connection.execute(one).fetchall() for one in queries]
    connection.close()
    return found
