"""Images whose annotators differ: second opinions after the next round, once, as an act that undo takes back."""

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app.services import reviews
from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.reviews import Choice, audits
from app.services.rounds import jobs as rounds
from app.settings import Settings
from app.worker import steps
from core.config import RoundConfig
from core.data.snapshot import Snapshot
from core.types import FindingFilter, FindingKind, Status, Verdict
from db.models import ChangesetRow, SampleRow
from tests.app.services.test_reviews import assert_projections_hold
from tests.app.worker.test_mask_steps import go_on, opened, predict
from tests.core.data.formats.drawn import draw_all

pytestmark = pytest.mark.usefixtures("kept")

pytest_plugins = ["tests.postgres"]
IMAGES = [f"{number:02}.png" for number in range(12)]
DIFFERING = {0, 1, 5}
PAIR = ("cat", "dog")


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AppContext]:
    """Return an empty installation on each of the databases."""
    urls = {}
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        urls = {"database_url": url, "engine_url": url}
    made = open_app(Settings(home=tmp_path / "home", demo=False, embedded_worker=False, **urls))
    yield made
    made.database.close()


def export(root: Path, differing: Collection[int], *, drawn: bool = False, mended: Collection[int] = ()) -> Path:
    """Write an export of Label Studio; in images of `differing` the first annotator says the other class."""
    if not root.exists():
        draw_all(root, IMAGES, size=(12, 8))
    tasks = []
    for number, image in enumerate(IMAGES):
        last = (number + (number in mended)) % 2
        said = (last + (number in differing)) % 2, last
        annotations = [{"result": [_result(PAIR[label], drawn=drawn)]} for label in said]
        tasks.append({"id": number, "data": {"image": image}, "annotations": annotations})
    (root / "project.json").write_text(json.dumps(tasks))
    return root


def _result(name: str, *, drawn: bool) -> dict[str, Any]:
    if not drawn:
        return {"type": "choices", "value": {"choices": [name]}}
    points = [[0, 0], [50, 0], [50, 100], [0, 100]]
    return {"type": "polygonlabels", "value": {"points": points, "polygonlabels": [name]}}


def bring(app_context: AppContext, root: Path) -> dict[str, Any]:
    """Import an export, or import it again, and return the report."""
    asked = imports.add_import(app_context, ImportRequest(name="pets", source=str(root), by="ada"))
    done = imports.run_import(app_context, asked)
    assert done.report is not None, done.message
    return done.report


def do_round(app_context: AppContext) -> int:
    """Do a round of classes whose folds say what was given."""
    round_id = rounds.start_round(app_context, 1, RoundConfig(folds=2), "bob").id
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    labels = Snapshot.load(app_context.round_folder(round_id)).labels
    for fold in range(2):
        rows = np.arange(fold, len(labels), 2)
        logits = 4 * np.eye(2, dtype=np.float32)[labels[rows]]
        np.savez(app_context.round_folder(round_id) / f"fold_{fold}.npz", rows=rows, logits=logits)
    steps.judge(app_context, go_on, round_id=round_id)
    return round_id


def everything(round_id: int, *statuses: Status) -> FindingFilter:
    return FindingFilter(round_id=round_id, kinds=frozenset(), statuses=frozenset(statuses))


def waiting(app_context: AppContext, round_id: int) -> set[str]:
    """Return the images that the filter of second opinions shows."""
    found = reviews.page(app_context, everything(round_id, Status.SECOND_OPINION), limit=100)
    return {finding.name for finding in found.items}


def names(numbers: set[int]) -> set[str]:
    return {IMAGES[number] for number in numbers}


def acts(app_context: AppContext) -> list[ChangesetRow]:
    with app_context.database.read() as session:
        return list(session.scalars(select(ChangesetRow).order_by(ChangesetRow.id)))


def marked(app_context: AppContext) -> set[str]:
    with app_context.database.read() as session:
        return set(session.scalars(select(SampleRow.name).where(SampleRow.annotators_differ)))


def test_images_with_differing_annotators_await_a_second_opinion_and_undo_is_permanent(
    stored: AppContext, tmp_path: Path
) -> None:
    report = bring(stored, export(tmp_path / "set", DIFFERING))
    assert report["annotators_differ"] == 3
    first = do_round(stored)
    assert waiting(stored, first) == names(DIFFERING)
    (act,) = acts(stored)
    assert (act.size, act.live, act.round_id) == (3, True, first)
    assert rounds.compare(stored, [first])[0].numbers["second_opinions"] == 3
    assert_projections_hold(stored)
    undone = reviews.undo(stored, 1, by="ada").undone
    assert undone is not None
    assert undone.text == "asked for a second opinion on 3 whose annotators disagree"
    assert waiting(stored, first) == waiting(stored, do_round(stored)) == set()
    assert_projections_hold(stored)
    assert reviews.redo(stored, 1, by="ada").size == 3
    assert waiting(stored, first) == names(DIFFERING)


def test_a_later_round_does_not_request_a_second_opinion_again(app_context: AppContext, tmp_path: Path) -> None:
    bring(app_context, export(tmp_path / "set", DIFFERING))
    kept = reviews.page(app_context, everything(do_round(app_context), Status.SECOND_OPINION), limit=1).items[0]
    reviews.decide(app_context, [Choice(kept.id, Verdict.KEEP)], by="bob")
    later = do_round(app_context)
    assert waiting(app_context, later) == names(DIFFERING) - {kept.name}
    assert len(acts(app_context)) == 2
    assert "second_opinions" not in rounds.compare(app_context, [later])[0].numbers
    assert_projections_hold(app_context)


def test_a_new_import_renews_the_marks_and_keeps_decisions(app_context: AppContext, tmp_path: Path) -> None:
    root = tmp_path / "set"
    bring(app_context, export(root, {0, 1}))
    assert marked(app_context) == names({0, 1})
    assert bring(app_context, export(root, set()))["annotators_differ"] == 0
    assert marked(app_context) == set()
    first = do_round(app_context)
    assert waiting(app_context, first) == set()
    known = {one.name: one.id for one in reviews.page(app_context, everything(first), limit=100).items}
    reviews.decide(app_context, [Choice(known[IMAGES[2]], Verdict.KEEP)], by="bob")
    bring(app_context, export(root, {1, 2}))
    assert waiting(app_context, do_round(app_context)) == names({1})


def test_bulk_acts_leave_second_opinions_out_and_audits_include_them(app_context: AppContext, tmp_path: Path) -> None:
    bring(app_context, export(tmp_path / "set", DIFFERING))
    every = everything(do_round(app_context))
    agreeing = replace(every, kinds=frozenset({FindingKind.AGREEING}))
    assert audits.start(app_context, agreeing, by="bob").audit.size == len(IMAGES)
    assert reviews.accept_all(app_context, every, by="bob").size == len(IMAGES) - 3
    assert waiting(app_context, every.round_id) == names(DIFFERING)
    assert_projections_hold(app_context)


def test_regions_of_masks_await_a_second_opinion_and_their_masks_can_be_corrected_elsewhere(
    stored: AppContext, tmp_path: Path
) -> None:
    root = export(tmp_path / "set", DIFFERING, drawn=True)
    assert bring(stored, root)["annotators_differ"] == 3
    round_id, _ = opened(stored, 1)
    box = (slice(0, 8), slice(0, 5), 2)
    predict(stored, round_id, dict.fromkeys((0, 1, 2), box))
    steps.judge(stored, go_on, round_id=round_id)
    assert waiting(stored, round_id) == names({0, 1})
    report = bring(stored, export(root, set(), drawn=True, mended={0}))
    assert (report["annotators_differ"], report["mended"]) == (0, {"taken": 0, "open": 1, "left": 0})
    assert reviews.undo(stored, 1, by="ada").undone is not None
    assert waiting(stored, round_id) == set()


def test_the_preview_counts_second_opinions(app_context: AppContext, tmp_path: Path) -> None:
    root = export(tmp_path / "set", DIFFERING)
    assert imports.preview(app_context, ImportRequest(name="pets", source=str(root))).annotators_differ == 3
