"""A reviewed round out of thin air: as many findings as asked for, stored the way a round stores them.

The joint distribution is that of a trained classifier on noisy labels: suspicious findings first, the more confident
the suggestion the less likely the given label, class pairs of unequal size.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from app.services.workspace import Workspace
from core.types import FindingKind, RoundStatus, Task
from db.models import DatasetRow, RoundRow, SampleRow
from db.queries.findings import NewFinding, add_findings, open_findings

CLASSES = 10
CHUNK = 50_000
PICTURES = 200


def fill(
    workspace: Workspace, count: int, *, suspicious: float = 0.5, seed: int = 0, pictures: Path | None = None
) -> int:
    """Store a dataset of `count` samples and a finished round over it; return the round's id.

    `pictures` is a folder as `draw_pictures` makes it; without it the samples have no files.
    """
    now = datetime.now(UTC)
    with workspace.database.write() as session:
        dataset = DatasetRow(
            name="bench", task=Task.CLASSIFICATION, root="/", format="imagefolder", options={}, created_at=now,
            classes=[str(number) for number in range(CLASSES)],
        )  # fmt: skip
        session.add(dataset)
        session.flush()
        first = (session.scalar(select(func.max(SampleRow.id))) or 0) + 1
        for start in range(0, count, CHUNK):
            session.execute(
                insert(SampleRow), _samples(dataset.id, range(start, min(start + CHUNK, count)), now, pictures)
            )
    return add_round(workspace, dataset.id, range(first, first + count), suspicious=suspicious, seed=seed)


def draw_pictures(folder: Path, count: int) -> Path:
    """Write a few small images that so many samples find under paths of their own; return the folder."""
    drawn = folder / "drawn"
    drawn.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (PICTURES, 28, 28), dtype=np.uint8)
    for place, picture in enumerate(pixels):
        Image.fromarray(picture).save(drawn / f"{place}.png")
    for name in range(1 + count // PICTURES):
        (folder / str(name)).symlink_to(drawn)
    return folder


def add_round(
    workspace: Workspace, dataset_id: int, samples: range, *, suspicious: float = 0.5, seed: int = 0, number: int = 1
) -> int:
    """Store one more finished round over these samples; return its id."""
    now = datetime.now(UTC)
    with workspace.database.write() as session:
        row = RoundRow(
            dataset_id=dataset_id, number=number, config={"folds": 5}, status=RoundStatus.RUNNING, created_at=now,
            metrics={"accuracy": 0.9, "proposed_threshold": 0.9},
        )  # fmt: skip
        session.add(row)
        session.flush()
        add_findings(session, row.id, _findings(samples, suspicious, seed))
        _finish(session, row)
    return row.id


def _finish(session: Session, row: RoundRow) -> None:
    open_findings(session, row.id)
    row.status = RoundStatus.DONE


def _samples(dataset_id: int, numbers: range, now: datetime, pictures: Path | None) -> list[dict[str, object]]:
    sizes = [(pictures / "0" / f"{place}.png").stat().st_size if pictures else 0 for place in range(PICTURES)]
    return [
        {
            "dataset_id": dataset_id, "path": f"{pictures}/{number // PICTURES}/{number % PICTURES}.png",
            "name": f"{number % CLASSES}/{number:07d}.png", "label": number % CLASSES,
            "split": "test" if number % 7 == 0 else "train", "content_hash": f"{number:032x}", "width": 28,
            "height": 28, "bytes": sizes[number % PICTURES], "grey": True, "imported_at": now,
        }
        for number in numbers
    ]  # fmt: skip


def _findings(samples: range, suspicious: float, seed: int) -> Iterator[NewFinding]:
    rng = np.random.default_rng(seed)
    count = len(samples)
    doubted = rng.random(count) < suspicious
    confidence = np.clip(rng.beta(5, 1.2, count), 0.11, 1.0)
    own = np.where(doubted, (1 - confidence) * rng.random(count) ** 2, confidence)  # p(given)
    order = np.argsort(own, kind="stable")
    given = (np.arange(count) + samples.start - 1) % CLASSES
    shift = np.minimum(rng.geometric(0.3, count), CLASSES - 1)
    pseudo = np.where(doubted, (given + shift) % CLASSES, given)
    alike = rng.permutation(count)
    for rank, row in enumerate(order.tolist()):
        likeliest = [[(int(pseudo[row]) + step) % CLASSES, 0.9 / 2**step] for step in range(5)]
        kind = FindingKind.SUSPICIOUS if doubted[row] else FindingKind.AGREEING
        yield NewFinding(
            samples[row], row, rank, kind, int(given[row]), int(pseudo[row]), float(confidence[row]), float(own[row]),
            float(own[row] - confidence[row] + 1) / 2, row % 5, "test" if (samples[row] - 1) % 7 == 0 else "train",
            likeliest, int(alike[row]),
        )  # fmt: skip
