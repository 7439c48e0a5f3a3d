"""A round of masks through the worker's steps: opened with the resolved masks, its regions stored and reviewed."""

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from app.services import reviews
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.masks import current as masks
from app.services.reviews import ActKey, Choice
from app.services.rounds import jobs as rounds
from app.worker import finding_writer, steps
from core.config import SMALL_MASK_NETWORK, RoundConfig
from core.data.masks.store import MaskStore
from core.data.predictions import create_predictions, create_votes
from core.data.snapshot import Snapshot
from core.rounds import fold_split
from core.types import (
    EVERY_FOLD,
    IGNORE,
    NO_LABEL,
    Finding,
    FindingFilter,
    FindingKind,
    IntArray,
    JobStatus,
    Order,
    RoundCancelledError,
    RoundError,
    Verdict,
)
from tests.app.pairs import HEIGHT, WIDTH, draw_pair, draw_pairs, draw_stripes, mask_of

CONFIG = RoundConfig(folds=2, model=SMALL_MASK_NETWORK, input_size=32, epochs=1, batch_size=4, min_region=4, boundary=0)


def go_on() -> bool:
    return False


def imported(app_context: AppContext, root: Path) -> int:
    asked = imports.add_import(app_context, ImportRequest(name="scenes", source=str(root)))
    dataset_id = imports.run_import(app_context, asked).dataset_id
    assert dataset_id is not None
    return dataset_id


def opened(app_context: AppContext, dataset_id: int) -> tuple[int, Snapshot]:
    """Start a round and return its snapshot."""
    round_id = rounds.start_round(app_context, dataset_id, CONFIG, "ada").id
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    return round_id, Snapshot.load(app_context.round_folder(round_id))


def predict(app_context: AppContext, round_id: int, changed: dict[int, tuple[slice, slice, int]]) -> None:
    """Write folds that say what was given, but for a box of another class in some rows."""
    folder = app_context.round_folder(round_id)
    snapshot = Snapshot.load(folder)
    assert snapshot.masks is not None
    predictions = create_predictions(folder, snapshot.masks.sizes, len(snapshot.classes))
    store = MaskStore(app_context.masks)
    for row, name in enumerate(snapshot.masks.labels):
        predicted, confidence, given = predictions.of(row)
        predicted[:] = np.where((mask := store.get(name)) == IGNORE, 0, mask) if name else 0
        confidence[:], given[:] = 230, 230
        if row in changed:
            down, across, label = changed[row]
            predicted[down, across], given[down, across] = label, 10
        predictions.fold[row] = row % CONFIG.folds
    predictions.flush()
    shared = np.flatnonzero(snapshot.is_unseen())
    for fold in range(CONFIG.folds if len(shared) else 0):
        votes = create_votes(folder, fold, snapshot.masks.sizes, shared, len(snapshot.classes))
        for row in shared.tolist():
            votes.of(row)[0][:], votes.of(row)[1][:] = predictions.of(row)[:2]
        votes.flush()


def found(app_context: AppContext, round_id: int) -> list[Finding]:
    chosen = FindingFilter(round_id=round_id, kinds=frozenset(), statuses=frozenset())
    return reviews.page(app_context, chosen, Order.SUSPICION, None, 100).items


def stored(app_context: AppContext) -> int:
    with app_context.database.read() as session:
        return int(session.execute(text("SELECT count(*) FROM finding")).scalar_one())


def present(app_context: AppContext, sample_id: int) -> IntArray:
    return masks.read_mask(app_context, sample_id)[1]


def test_a_round_of_masks_assigns_folds_by_the_rarest_class(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    draw_pair(root, "none", None)
    draw_pair(root, "ignored", mask_of(IGNORE))
    _, snapshot = opened(app_context, imported(app_context, root))
    assert snapshot.masks is not None
    names = [Path(path).stem for path in snapshot.paths]
    labels = dict(zip(names, snapshot.labels.tolist(), strict=True))
    assert labels.pop("none") == labels.pop("ignored") == NO_LABEL
    assert {name: label == 2 for name, label in labels.items()} == {name: bool(int(name) % 2) for name in labels}
    assert snapshot.masks.labels[names.index("none")] == ""
    assert set(snapshot.masks.settled) == {""}
    assert snapshot.masks.sizes.tolist() == [[HEIGHT, WIDTH]] * len(names)


def test_masks_of_one_class_or_too_few_are_refused(app_context: AppContext, tmp_path: Path) -> None:
    one = draw_pairs(tmp_path / "one", {f"{number}": mask_of(1) for number in range(12)})
    with pytest.raises(RoundError, match="'road'; a round needs at least two classes"):
        rounds.start_round(app_context, imported(app_context, one), CONFIG, "ada")
    asked = imports.add_import(app_context, ImportRequest(name="few", source=str(draw_stripes(tmp_path / "few", 3))))
    few = imports.run_import(app_context, asked).dataset_id
    assert few is not None
    with pytest.raises(RoundError, match="3 labelled images, too few for 2 folds"):
        rounds.start_round(app_context, few, CONFIG, "ada")


def test_a_network_for_other_labels_is_refused_but_not_the_proposed_one(
    app_context: AppContext, tmp_path: Path
) -> None:
    dataset_id = imported(app_context, draw_stripes(tmp_path / "set"))
    with pytest.raises(RoundError, match="no network for these labels"):
        rounds.start_round(app_context, dataset_id, RoundConfig(model="resnet18"), "ada")
    proposal = rounds.propose(app_context, dataset_id)
    assert proposal.config.model in proposal.models
    assert rounds.start_round(app_context, dataset_id, proposal.config, "ada").status is JobStatus.QUEUED


def test_regions_are_stored_with_their_boxes_and_verdicts_reach_the_next_round(
    app_context: AppContext, tmp_path: Path
) -> None:
    dataset_id = imported(app_context, draw_stripes(tmp_path / "set"))
    round_id, snapshot = opened(app_context, dataset_id)
    predict(app_context, round_id, {0: (slice(1, 5), slice(0, 4), 2), 3: (slice(0, 3), slice(8, 12), 0)})
    steps.judge(app_context, go_on, round_id=round_id)
    info = rounds.get_round(app_context, round_id)
    assert info.status is JobStatus.DONE, info
    listed = {one.row: one for one in found(app_context, round_id)}
    assert set(listed) == {0, 3}
    assert (listed[0].given, listed[0].pseudo, listed[0].box, listed[0].area) == (0, 2, (0, 1, 4, 4), 16)
    assert (listed[3].given, listed[3].pseudo, listed[3].box, listed[3].area) == (2, 0, (8, 0, 4, 3), 12)
    assert listed[0].top[0][0] == 2
    metrics = rounds.metrics(app_context, round_id)
    assert metrics is not None
    assert metrics["task"] == "segmentation"

    reviews.decide(app_context, [Choice(listed[0].id, Verdict.ACCEPT), Choice(listed[3].id, Verdict.KEEP)], by="ada")
    _, later = opened(app_context, dataset_id)
    assert later.masks is not None
    assert snapshot.masks is not None
    store = MaskStore(app_context.masks)
    expected = store.get(snapshot.masks.labels[0]).copy()
    expected[1:5, 0:4] = 2
    assert (store.get(later.masks.labels[0]) == expected).all()
    assert (present(app_context, int(later.sample_ids[0])) == expected).all()
    assert later.masks.labels[1:] == snapshot.masks.labels[1:]
    assert [bool(settled) for settled in later.masks.settled[:4]] == [True, False, False, True]
    assert store.get(later.masks.settled[3]).astype(bool).sum() == 12


def test_repeating_an_interrupted_judgement_changes_nothing(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_id, _ = opened(app_context, imported(app_context, draw_stripes(tmp_path / "set")))
    predict(app_context, round_id, {row: (slice(1, 5), slice(0, 4), 2) for row in range(6)})
    monkeypatch.setattr(finding_writer, "CHUNK", 2)
    with pytest.raises(RoundCancelledError):
        steps.judge(app_context, lambda: stored(app_context) > 0, round_id=round_id)
    assert stored(app_context) == 2
    steps.judge(app_context, go_on, round_id=round_id)
    assert len(found(app_context, round_id)) == 6


def test_judging_does_not_load_torch() -> None:
    code = "import sys, app.worker.steps, core.judge.mask_judgement; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_a_small_round_of_masks_runs_through_all_steps(app_context: AppContext, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    scenes = {
        f"{number:02}": np.kron(random.integers(0, 3, (2, 3)), np.ones((16, 16))).astype(np.uint8)
        for number in range(8)
    }
    round_id, _ = opened(app_context, imported(app_context, draw_pairs(tmp_path / "set", scenes)))
    for fold in range(CONFIG.folds):
        steps.train_fold(app_context, go_on, round_id=round_id, fold=fold)
    steps.judge(app_context, go_on, round_id=round_id)
    info = rounds.get_round(app_context, round_id)
    assert info.status is JobStatus.DONE, info
    assert info.accuracy is not None
    assert all(one.box is not None and one.area for one in found(app_context, round_id))


def test_an_unlabelled_image_that_was_painted_is_trained_on_in_the_next_round(
    app_context: AppContext, tmp_path: Path
) -> None:
    dataset_id = imported(
        app_context, draw_pairs(tmp_path / "scenes", {name: mask_of(0, 1) for name in "abcde"} | {"f": None})
    )
    sample = next(one for one in range(1, 7) if masks.view_mask(app_context, one, None).given is None)
    version, mask = masks.read_mask(app_context, sample)
    painted = mask.copy()
    painted[:4] = 1
    masks.save_edit(
        app_context,
        sample,
        masks.EditContext(),
        zlib.compress(painted.tobytes()),
        base=version,
        by="ada",
        key=ActKey("a", 1),
    )
    _, snapshot = opened(app_context, dataset_id)
    row = snapshot.sample_ids.tolist().index(sample)
    assert snapshot.masks is not None
    store = MaskStore(app_context.masks)
    np.testing.assert_array_equal(store.get(snapshot.masks.labels[row]), painted)
    np.testing.assert_array_equal(store.get(snapshot.masks.settled[row]), painted == 1)
    assert snapshot.is_labelled(row)


def test_accepted_regions_of_an_image_without_a_mask_are_trained_on_in_the_next_round(
    app_context: AppContext, tmp_path: Path
) -> None:
    """By key, in bulk, undone again; its own fold never learns it, and what is left of it is proposed again."""
    root = draw_stripes(tmp_path / "set", 8)
    for name in ("new-a", "new-b"):
        draw_pair(root, name, None)
    dataset_id = imported(app_context, root)
    first, snapshot = opened(app_context, dataset_id)
    rows = {Path(path).stem: row for row, path in enumerate(snapshot.paths)}
    a, b = rows["new-a"], rows["new-b"]
    boxes = {row: (slice(0, 4), slice(0, 8), 1) for row in (a, b)}
    predict(app_context, first, boxes)
    steps.judge(app_context, go_on, round_id=first)
    proposed = {(one.row, one.pseudo): one for one in found(app_context, first)}
    assert set(proposed) == {(row, label) for row in (a, b) for label in (0, 1)}
    assert {(one.kind, one.given, one.fold) for one in proposed.values()} == {
        (FindingKind.UNLABELLED, NO_LABEL, EVERY_FOLD)
    }
    sample_a, sample_b = (proposed[row, 0].sample_id for row in (a, b))
    reviews.decide(app_context, [Choice(proposed[a, 1].id, Verdict.ACCEPT)], by="ada")
    reviews.decide(app_context, [Choice(proposed[a, 0].id, Verdict.AMBIGUOUS)], by="ada")
    chosen = FindingFilter(round_id=first, kinds=frozenset({FindingKind.UNLABELLED}), pseudo=1)
    assert reviews.accept_all(app_context, chosen, by="ada").size == 1
    expected = np.full((HEIGHT, WIDTH), IGNORE, np.uint8)
    expected[0:4, 0:8] = 1
    for sample in (sample_a, sample_b):
        np.testing.assert_array_equal(present(app_context, sample), expected)

    second, snapshot = opened(app_context, dataset_id)
    assert snapshot.masks is not None
    assert [(snapshot.masks.is_bare(row), int(snapshot.labels[row])) for row in (a, b)] == [(True, 1)] * 2
    assert not snapshot.is_unseen().any()
    learnt = [set(fold_split(snapshot, CONFIG, fold).learn_rows.tolist()) for fold in range(CONFIG.folds)]
    held = [set(fold_split(snapshot, CONFIG, fold).held_rows.tolist()) for fold in range(CONFIG.folds)]
    assert all({a, b} & learns == {a, b} - holds for learns, holds in zip(learnt, held, strict=True))
    predict(app_context, second, {})
    steps.judge(app_context, go_on, round_id=second)
    assert [(one.row, one.given, one.pseudo) for one in found(app_context, second)] == [(b, NO_LABEL, 0)]

    reviews.undo(app_context, dataset_id, by="ada")
    assert (present(app_context, sample_b) == IGNORE).all()
    with pytest.raises(reviews.RefusedError, match="no given label to keep"):
        reviews.decide(app_context, [Choice(proposed[b, 0].id, Verdict.KEEP)], by="ada")
