"""Masks mended elsewhere: taken as one act of a person that can be undone; what was decided here stands."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.services import import_store, imports, masks, reviews
from app.services.annotators import AnnotatorError
from app.services.imports import ImportInfo, ImportRequest
from app.services.reviews import ActKey, Choice
from app.services.workspace import Workspace
from app.worker import steps
from core.data.snapshot import Snapshot
from core.types import FindingFilter, IntArray, Order, RoundStatus, Status, Verdict
from db.models import SampleRow
from tests.app.pairs import HEIGHT, WIDTH, draw_pair, draw_stripes, mask_of
from tests.app.worker.test_mask_steps import go_on, opened, predict


def again(workspace: Workspace, *, take: bool = False, by: str = "ada") -> ImportInfo:
    request = replace(imports.request_again(workspace, 1, by), take_masks=take)
    done = imports.run_import(workspace, imports.start_import(workspace, request))
    assert done.status is RoundStatus.DONE, done.message
    return done


def mended(info: ImportInfo) -> tuple[int, int, int]:
    """Return how many were taken, could be taken and were left."""
    counts = (info.report or {})["mended"]
    return counts["taken"], counts["open"], counts["left"]


def sample_of(workspace: Workspace, name: str) -> int:
    with workspace.database.read() as session:
        return session.query(SampleRow.id).filter(SampleRow.name.endswith(f"{name}.png")).scalar() or 0


def present(workspace: Workspace, name: str) -> IntArray:
    return masks.labels(workspace, sample_of(workspace, name))[1]


def told(workspace: Workspace, info: ImportInfo) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in imports.problems(workspace, info.id):
        found.setdefault(problem.kind, []).append(Path(problem.path).stem)
    return found


def paint(workspace: Workspace, name: str, label: int) -> None:
    """Edit a mask here."""
    sample = sample_of(workspace, name)
    version, mask = masks.labels(workspace, sample)
    mask = mask.copy()
    mask[0, 0] = label
    packed = zlib.compress(mask.tobytes())
    masks.save_edit(workspace, sample, masks.EditAbout(), packed, base=version, by="grace", key=ActKey("x", sample))


@pytest.fixture
def root(workspace: Workspace, tmp_path: Path) -> Path:
    folder = draw_stripes(tmp_path / "set")
    asked = imports.start_import(workspace, ImportRequest(name="scenes", source=str(folder)))
    assert imports.run_import(workspace, asked).status is RoundStatus.DONE
    return folder


def test_masks_mended_elsewhere_are_taken_in_one_act_that_is_undone_and_redone(
    workspace: Workspace, root: Path
) -> None:
    before = {name: present(workspace, name) for name in ("01", "02", "03")}
    draw_pair(root, "01", mask_of(1))
    draw_pair(root, "02", mask_of(2, 1))
    (waiting, done) = again(workspace), again(workspace, take=True)
    assert (mended(waiting), mended(done)) == ((0, 2, 0), (2, 0, 0))
    assert told(workspace, waiting)["given mask changed"] == ["01", "02"]
    assert "given mask changed" not in told(workspace, done)
    np.testing.assert_array_equal(present(workspace, "01"), mask_of(1))
    np.testing.assert_array_equal(present(workspace, "02"), mask_of(2, 1))
    np.testing.assert_array_equal(present(workspace, "03"), before["03"])
    undone = reviews.undo(workspace, 1, by="ada").undone
    assert undone is not None
    assert (undone.size, undone.text) == (2, "took 2 masks mended elsewhere")
    for name, mask in before.items():
        np.testing.assert_array_equal(present(workspace, name), mask)
    reviews.redo(workspace, 1, by="ada")
    np.testing.assert_array_equal(present(workspace, "02"), mask_of(2, 1))


def test_what_was_decided_here_stands_and_is_named(workspace: Workspace, root: Path) -> None:
    paint(workspace, "01", 2)
    here = present(workspace, "01")
    draw_pair(root, "01", mask_of(1))
    draw_pair(root, "02", mask_of(2, 1))
    done = again(workspace, take=True)
    assert mended(done) == (1, 0, 1)
    assert told(workspace, done)["mask changed in both places"] == ["01"]
    np.testing.assert_array_equal(present(workspace, "01"), here)
    np.testing.assert_array_equal(present(workspace, "02"), mask_of(2, 1))


def test_taking_twice_is_taking_once_and_a_later_mending_is_taken_too(workspace: Workspace, root: Path) -> None:
    draw_pair(root, "01", mask_of(1))
    assert mended(again(workspace, take=True)) == (1, 0, 0)
    assert mended(again(workspace, take=True)) == (0, 0, 0)
    plain = again(workspace)
    assert mended(plain) == (0, 0, 0)
    assert "given mask changed" not in told(workspace, plain)
    draw_pair(root, "01", mask_of(2, 0, 1))
    assert mended(again(workspace, take=True)) == (1, 0, 0)
    np.testing.assert_array_equal(present(workspace, "01"), mask_of(2, 0, 1))
    draw_pair(root, "01", mask_of(0, 1, 2))  # as it was imported first: not mended, so the edits stand
    assert mended(again(workspace, take=True)) == (0, 0, 0)
    np.testing.assert_array_equal(present(workspace, "01"), mask_of(2, 0, 1))


def test_an_edit_back_to_the_former_mask_leaves_the_other_masks_of_the_act(workspace: Workspace, root: Path) -> None:
    former = present(workspace, "01")
    draw_pair(root, "01", mask_of(1))
    draw_pair(root, "02", mask_of(2, 1))
    again(workspace, take=True, by="grace")
    sample = sample_of(workspace, "01")
    version, _ = masks.labels(workspace, sample)
    packed = zlib.compress(former.tobytes())
    masks.save_edit(workspace, sample, masks.EditAbout(), packed, base=version, by="grace", key=ActKey("x", 1))
    np.testing.assert_array_equal(present(workspace, "01"), former)
    np.testing.assert_array_equal(present(workspace, "02"), mask_of(2, 1))


def reviewed(workspace: Workspace) -> int:
    """Finish a round that suggests a box of another class in two images."""
    round_id, _ = opened(workspace, 1)
    predict(workspace, round_id, {row: (slice(2, 6), slice(6, 11), 2) for row in (1, 2)})
    steps.judge(workspace, go_on, round_id=round_id)
    return round_id


def test_regions_that_the_taken_masks_painted_are_open_no_more(workspace: Workspace, root: Path) -> None:
    round_id = reviewed(workspace)
    wanted = FindingFilter(round_id=round_id)
    first = reviews.page(workspace, wanted, Order.SUSPICION, limit=9).items
    draw_pair(root, "02", np.full((HEIGHT, WIDTH), 2, np.uint8))
    again(workspace, take=True)
    after = reviews.page(workspace, FindingFilter(round_id=round_id, statuses=frozenset()), Order.SUSPICION, limit=9)
    statuses = {one.sample_id: one.status for one in after.items}
    assert statuses[sample_of(workspace, "02")] is Status.PAINTED
    assert len(reviews.page(workspace, wanted, Order.SUSPICION, limit=9).items) < len(first)
    reviews.undo(workspace, 1, by="ada")
    assert len(reviews.page(workspace, wanted, Order.SUSPICION, limit=9).items) == len(first)


def test_taken_masks_outweigh_bulk_acts_and_settle_their_pixels(workspace: Workspace, root: Path) -> None:
    round_id = reviewed(workspace)
    reviews.accept_all(workspace, FindingFilter(round_id=round_id), by="ada")
    draw_pair(root, "02", mask_of(1))
    assert mended(again(workspace, take=True)) == (1, 0, 0)
    mask = present(workspace, "02")
    assert (mask[mask_of(0, 1) == 0] == 1).all()
    _, snapshot = opened(workspace, 1)
    assert snapshot.masks is not None
    assert snapshot.masks.settled[[Path(path).stem for path in snapshot.paths].index("02")]
    assert isinstance(snapshot, Snapshot)


def test_a_verdict_on_a_region_counts_as_decided_here(workspace: Workspace, root: Path) -> None:
    round_id = reviewed(workspace)
    finding = reviews.page(workspace, FindingFilter(round_id=round_id), Order.SUSPICION, limit=9).items[0]
    reviews.decide(workspace, [Choice(finding.id, Verdict.ACCEPT)], by="grace")
    name = {sample_of(workspace, name): name for name in ("01", "02")}[finding.sample_id]
    draw_pair(root, name, mask_of(1))
    assert mended(again(workspace, take=True)) == (0, 0, 1)


def test_masks_are_taken_in_the_name_of_somebody(workspace: Workspace, root: Path) -> None:
    draw_pair(root, "01", mask_of(1))
    with pytest.raises(AnnotatorError, match="the name is empty"):
        again(workspace, take=True, by=" ")


def test_people_who_decide_while_the_import_runs_are_heard(
    workspace: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_pair(root, "01", mask_of(1))
    write: Callable[..., None] = import_store.write_problems

    def paint_first(*args: object) -> None:
        paint(workspace, "01", 2)
        write(*args)

    monkeypatch.setattr(import_store, "write_problems", paint_first)
    assert mended(again(workspace, take=True)) == (0, 0, 1)
