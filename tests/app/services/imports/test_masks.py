"""Masks corrected elsewhere: imported as one undoable act; decisions made here stay."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.services import reviews
from app.services.annotators import AnnotatorError
from app.services.app_context import AppContext
from app.services.imports import jobs as imports, store as import_store
from app.services.imports.jobs import ImportInfo, ImportRequest
from app.services.masks import current as masks
from app.services.reviews import ActKey, Choice
from app.worker import steps
from core.data.snapshot import Snapshot
from core.types import FindingFilter, IntArray, JobStatus, Order, Status, Verdict
from db.models import SampleRow
from tests.app.pairs import HEIGHT, WIDTH, draw_pair, draw_stripes, mask_of
from tests.app.worker.test_mask_steps import go_on, opened, predict


def again(app_context: AppContext, *, take: bool = False, by: str = "ada") -> ImportInfo:
    request = replace(imports.repeat_request(app_context, 1, by), take_masks=take)
    done = imports.run_import(app_context, imports.add_import(app_context, request))
    assert done.status is JobStatus.DONE, done.message
    return done


def mended(info: ImportInfo) -> tuple[int, int, int]:
    """Return the numbers of masks that were taken, could be taken and were left."""
    counts = (info.report or {})["mended"]
    return counts["taken"], counts["open"], counts["left"]


def sample_of(app_context: AppContext, name: str) -> int:
    with app_context.database.read() as session:
        return session.query(SampleRow.id).filter(SampleRow.name.endswith(f"{name}.png")).scalar() or 0


def present(app_context: AppContext, name: str) -> IntArray:
    return masks.read_mask(app_context, sample_of(app_context, name))[1]


def told(app_context: AppContext, info: ImportInfo) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in imports.problems(app_context, info.id):
        found.setdefault(problem.kind, []).append(Path(problem.path).stem)
    return found


def paint(app_context: AppContext, name: str, label: int) -> None:
    """Edit a mask here."""
    sample = sample_of(app_context, name)
    version, mask = masks.read_mask(app_context, sample)
    mask = mask.copy()
    mask[0, 0] = label
    packed = zlib.compress(mask.tobytes())
    masks.save_edit(app_context, sample, masks.EditContext(), packed, base=version, by="grace", key=ActKey("x", sample))


@pytest.fixture
def root(app_context: AppContext, tmp_path: Path) -> Path:
    folder = draw_stripes(tmp_path / "set")
    asked = imports.add_import(app_context, ImportRequest(name="scenes", source=str(folder)))
    assert imports.run_import(app_context, asked).status is JobStatus.DONE
    return folder


def test_masks_corrected_elsewhere_are_accepted_in_one_act_that_can_be_undone_and_redone(
    app_context: AppContext, root: Path
) -> None:
    before = {name: present(app_context, name) for name in ("01", "02", "03")}
    draw_pair(root, "01", mask_of(1))
    draw_pair(root, "02", mask_of(2, 1))
    (waiting, done) = again(app_context), again(app_context, take=True)
    assert (mended(waiting), mended(done)) == ((0, 2, 0), (2, 0, 0))
    assert told(app_context, waiting)["given mask changed"] == ["01", "02"]
    assert "given mask changed" not in told(app_context, done)
    np.testing.assert_array_equal(present(app_context, "01"), mask_of(1))
    np.testing.assert_array_equal(present(app_context, "02"), mask_of(2, 1))
    np.testing.assert_array_equal(present(app_context, "03"), before["03"])
    undone = reviews.undo(app_context, 1, by="ada").undone
    assert undone is not None
    assert (undone.size, undone.text) == (2, "took 2 masks corrected elsewhere")
    for name, mask in before.items():
        np.testing.assert_array_equal(present(app_context, name), mask)
    reviews.redo(app_context, 1, by="ada")
    np.testing.assert_array_equal(present(app_context, "02"), mask_of(2, 1))


def test_local_decisions_are_kept_and_named(app_context: AppContext, root: Path) -> None:
    paint(app_context, "01", 2)
    here = present(app_context, "01")
    draw_pair(root, "01", mask_of(1))
    draw_pair(root, "02", mask_of(2, 1))
    done = again(app_context, take=True)
    assert mended(done) == (1, 0, 1)
    assert told(app_context, done)["mask changed in both places"] == ["01"]
    np.testing.assert_array_equal(present(app_context, "01"), here)
    np.testing.assert_array_equal(present(app_context, "02"), mask_of(2, 1))


def test_accepting_twice_changes_nothing_and_a_later_correction_is_accepted_too(
    app_context: AppContext, root: Path
) -> None:
    draw_pair(root, "01", mask_of(1))
    assert mended(again(app_context, take=True)) == (1, 0, 0)
    assert mended(again(app_context, take=True)) == (0, 0, 0)
    plain = again(app_context)
    assert mended(plain) == (0, 0, 0)
    assert "given mask changed" not in told(app_context, plain)
    draw_pair(root, "01", mask_of(2, 0, 1))
    assert mended(again(app_context, take=True)) == (1, 0, 0)
    np.testing.assert_array_equal(present(app_context, "01"), mask_of(2, 0, 1))
    draw_pair(root, "01", mask_of(0, 1, 2))  # as it was imported first: not mended, so the edits stand
    assert mended(again(app_context, take=True)) == (0, 0, 0)
    np.testing.assert_array_equal(present(app_context, "01"), mask_of(2, 0, 1))


def test_restoring_one_former_mask_keeps_the_other_masks_of_the_act(app_context: AppContext, root: Path) -> None:
    former = present(app_context, "01")
    draw_pair(root, "01", mask_of(1))
    draw_pair(root, "02", mask_of(2, 1))
    again(app_context, take=True, by="grace")
    sample = sample_of(app_context, "01")
    version, _ = masks.read_mask(app_context, sample)
    packed = zlib.compress(former.tobytes())
    masks.save_edit(app_context, sample, masks.EditContext(), packed, base=version, by="grace", key=ActKey("x", 1))
    np.testing.assert_array_equal(present(app_context, "01"), former)
    np.testing.assert_array_equal(present(app_context, "02"), mask_of(2, 1))


def reviewed(app_context: AppContext) -> int:
    """Finish a round that suggests a box of another class in two images."""
    round_id, _ = opened(app_context, 1)
    predict(app_context, round_id, {row: (slice(2, 6), slice(6, 11), 2) for row in (1, 2)})
    steps.judge(app_context, go_on, round_id=round_id)
    return round_id


def test_regions_painted_by_accepted_masks_are_no_longer_open(app_context: AppContext, root: Path) -> None:
    round_id = reviewed(app_context)
    wanted = FindingFilter(round_id=round_id)
    first = reviews.page(app_context, wanted, Order.SUSPICION, limit=9).items
    draw_pair(root, "02", np.full((HEIGHT, WIDTH), 2, np.uint8))
    again(app_context, take=True)
    after = reviews.page(app_context, FindingFilter(round_id=round_id, statuses=frozenset()), Order.SUSPICION, limit=9)
    statuses = {one.sample_id: one.status for one in after.items}
    assert statuses[sample_of(app_context, "02")] is Status.PAINTED
    assert len(reviews.page(app_context, wanted, Order.SUSPICION, limit=9).items) < len(first)
    reviews.undo(app_context, 1, by="ada")
    assert len(reviews.page(app_context, wanted, Order.SUSPICION, limit=9).items) == len(first)


def test_accepted_masks_override_bulk_acts_and_settle_their_pixels(app_context: AppContext, root: Path) -> None:
    round_id = reviewed(app_context)
    reviews.accept_all(app_context, FindingFilter(round_id=round_id), by="ada")
    draw_pair(root, "02", mask_of(1))
    assert mended(again(app_context, take=True)) == (1, 0, 0)
    mask = present(app_context, "02")
    assert (mask[mask_of(0, 1) == 0] == 1).all()
    _, snapshot = opened(app_context, 1)
    assert snapshot.masks is not None
    assert snapshot.masks.settled[[Path(path).stem for path in snapshot.paths].index("02")]
    assert isinstance(snapshot, Snapshot)


def test_a_verdict_on_a_region_counts_as_a_local_decision(app_context: AppContext, root: Path) -> None:
    round_id = reviewed(app_context)
    finding = reviews.page(app_context, FindingFilter(round_id=round_id), Order.SUSPICION, limit=9).items[0]
    reviews.decide(app_context, [Choice(finding.id, Verdict.ACCEPT)], by="grace")
    name = {sample_of(app_context, name): name for name in ("01", "02")}[finding.sample_id]
    draw_pair(root, name, mask_of(1))
    assert mended(again(app_context, take=True)) == (0, 0, 1)


def test_accepting_masks_requires_a_name(app_context: AppContext, root: Path) -> None:
    draw_pair(root, "01", mask_of(1))
    with pytest.raises(AnnotatorError, match="the name is empty"):
        again(app_context, take=True, by=" ")


def test_decisions_made_during_the_import_are_kept(
    app_context: AppContext, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_pair(root, "01", mask_of(1))
    write: Callable[..., None] = import_store.write_problems

    def paint_first(*args: object) -> None:
        paint(app_context, "01", 2)
        write(*args)

    monkeypatch.setattr(import_store, "write_problems", paint_first)
    assert mended(again(app_context, take=True)) == (0, 0, 1)
