"""Datasets in every state a page may meet: one image, no labels, 10,000 findings, failed, gone, masks, two people.

Rows are stored directly and rounds are finished without training; image files are real, each drawn once and linked.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import insert, select

from app.services.app_context import AppContext
from app.services.imports.request import ImportRequest
from core.config import RoundConfig
from core.data.formats.source import SourceFormat
from core.data.images import read_facts
from core.judge import calibration, confusions
from core.types import NO_LABEL, ClassTable, FindingKind, JobStatus, Task
from db.loading import NewFinding
from db.models import DatasetRow, ImportRow, SampleRow
from db.queries import findings, rounds, snapshots
from tools.fixtures import scenes as masked

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
PICTURES = 50
FINDINGS, CLASSES = 10_000, 200
MARKUP = '<img src=x onerror="window.struck=1"><b class=planted>bold</b> & *starred* `code` $x$'
NAMES = (
    MARKUP,
    "ตัวอักษรไทยที่ยาวมากและไม่มีช่องว่างเลยแม้แต่ช่องเดียวเพื่อทดสอบการตัดคำ",
    "🦊🐙🍄 smiling, waving, upside down 🙃🙃🙃",
    "قطة كبيرة جدا تنام على السطح",
    "Schwarzbrauenalbatrosjungvogelgefiederpflegebeobachtungsstation",
    "deer\\:red[stag]",
)
BROKEN = f"fold 2 ended: no space left on /data/{'very-long-folder-name/' * 8}{MARKUP}; free some space, then resume"


def add_one(app_context: AppContext, folder: Path) -> int:
    """Store a dataset of one image whose label is doubted."""
    dataset_id = add_dataset(app_context, folder, "a single image", ("cat", "dog"), [0])
    add_round(app_context, dataset_id, 2)
    return dataset_id


def add_bare(app_context: AppContext, folder: Path) -> int:
    """Store a dataset of three images without labels."""
    return add_dataset(app_context, folder, "no labels", (), [None] * 3)


def add_many(app_context: AppContext, folder: Path) -> int:
    """Store 10,000 findings in 200 classes with long, foreign and HTML-like names."""
    classes = [f"{NAMES[number % len(NAMES)]} {number}" for number in range(CLASSES)]
    labels = np.random.default_rng(1).integers(0, CLASSES, FINDINGS).tolist()
    dataset_id = add_dataset(app_context, folder, f"{MARKUP} {'many classes ' * 8}".strip(), classes, labels)
    add_round(app_context, dataset_id, CLASSES)
    add_round(app_context, dataset_id, CLASSES)
    return dataset_id


def add_failed(app_context: AppContext, folder: Path) -> int:
    """Store a dataset whose only round failed, with an image that is not an image any more."""
    dataset_id = add_dataset(app_context, folder, "a failed round", ("cat", "dog"), [0, 1, 0, 1])
    (folder / "drawn" / "0.png").write_bytes(b"no image")
    with app_context.database.write() as session:
        round_id = rounds.add_round(session, dataset_id, RoundConfig(folds=2).to_json(), "Ada", NOW)
        rounds.begin_round(session, round_id, "training", NOW)
        rounds.end_round(session, round_id, JobStatus.FAILED, BROKEN, NOW)
    return dataset_id


def add_gone(app_context: AppContext, folder: Path) -> int:
    """Store a reviewable dataset whose folder is gone."""
    dataset_id = add_dataset(app_context, folder, "folder is gone", ("cat", "dog"), [0, 1] * 10)
    add_round(app_context, dataset_id, 2)
    shutil.rmtree(folder)
    return dataset_id


def add_masks(app_context: AppContext, folder: Path) -> int:
    """Store scenes with masks, their classes badly named, with a finished round; the last file is not an image."""
    table = ClassTable(NAMES[: len(masked.TABLE)], masked.TABLE.colours)
    dataset_id = masked.add_scenes(app_context, folder, 4, table=table, name=f"masks {MARKUP}")
    masked.add_round(app_context, dataset_id)
    (folder / "scene_003.png").write_bytes(b"no image")
    note_import(app_context, dataset_id)
    return dataset_id


def add_shared(app_context: AppContext, folder: Path) -> int:
    """Store a dataset whose 20 suspicious labels wait for two people."""
    dataset_id = add_dataset(app_context, folder, "two people", ("cat", "dog"), [0, 1] * 20)
    add_round(app_context, dataset_id, 2)
    return dataset_id


def add_shared_masks(app_context: AppContext, folder: Path) -> int:
    """Store scenes for two people: regions to review, and two images to tag."""
    dataset_id = masked.add_scenes(app_context, folder, 4, name="masks of two people", unlabelled=2)
    masked.add_round(app_context, dataset_id)
    note_import(app_context, dataset_id)
    return dataset_id


STATES: Mapping[str, Callable[[AppContext, Path], int]] = {
    "one": add_one,
    "bare": add_bare,
    "many": add_many,
    "failed": add_failed,
    "gone": add_gone,
    "masks": add_masks,
}
SHARED: Mapping[str, Callable[[AppContext, Path], int]] = {"two": add_shared, "two_masks": add_shared_masks}


def add_dataset(
    app_context: AppContext, folder: Path, name: str, classes: Sequence[str], labels: Sequence[int | None]
) -> int:
    """Draw up to 50 images into `folder`, store a dataset in which every one is met under many paths, return its id."""
    random = np.random.default_rng(sum(name.encode()))  # no two datasets share an image, whose thumbnail may be kept
    drawn = [_draw(folder / "drawn" / f"{place}.png", random) for place in range(min(PICTURES, len(labels)))]
    facts = [read_facts(path, 10**9) for path in drawn]
    for link in range(-(-len(labels) // PICTURES)):
        (folder / str(link)).symlink_to(folder / "drawn")
    with app_context.database.write() as session:
        dataset = DatasetRow(
            name=name, task=Task.CLASSIFICATION, root=str(folder), format="imagefolder", classes=list(classes),
            options={}, created_at=NOW,
        )  # fmt: skip
        session.add(dataset)
        session.flush()
        rows = [
            {
                "dataset_id": dataset.id, "path": str(folder / str(number // PICTURES) / f"{number % PICTURES}.png"),
                "name": f"{number:05}.png", "label": label, "split": "", "width": 28, "height": 28,
                "content_hash": facts[number % PICTURES].content_hash, "bytes": facts[number % PICTURES].bytes,
                "grey": False, "imported_at": NOW,
            }
            for number, label in enumerate(labels)
        ]  # fmt: skip
        session.execute(insert(SampleRow), rows)
    note_import(app_context, dataset.id)
    return dataset.id


def note_import(app_context: AppContext, dataset_id: int) -> None:
    """Store the import that the dataset would have come by; its card shows the report."""
    with app_context.database.write() as session:
        dataset = session.get_one(DatasetRow, dataset_id)
        samples = session.scalars(select(SampleRow).where(SampleRow.dataset_id == dataset_id)).all()
        counts = Counter("" if one.label is None else dataset.classes[one.label] for one in samples)
        request = ImportRequest(name=dataset.name, source=dataset.root, format=SourceFormat(dataset.format))
        report: dict[str, Any] = {
            "images": len(samples), "classes": dict(counts), "splits": {"": len(samples)}, "problems": {},
            "covers": [one.content_hash for one in samples[:10]],
        }  # fmt: skip
        if dataset.colours is not None:
            report |= {"masks": len(samples), "classes": {}}
        session.add(
            ImportRow(
                dataset_id=dataset_id, request=request.to_json(), status=JobStatus.DONE, done=len(samples),
                total=len(samples), message="", report=report, created_at=NOW, finished_at=NOW,
            )
        )  # fmt: skip


def add_round(app_context: AppContext, dataset_id: int, classes: int) -> int:
    """Store a finished round that doubts every second label, with the figures that Insight draws; return its id."""
    with app_context.database.write() as session:
        samples = snapshots.samples_of(session, dataset_id)
        given = np.array([NO_LABEL if one.label is None else one.label for one in samples])
        random, doubted = np.random.default_rng(0), np.arange(len(samples)) % 2 == 0
        pseudo = np.where(doubted, (given + random.integers(1, classes, len(samples))) % classes, given)
        round_id = rounds.add_round(session, dataset_id, RoundConfig(folds=2).to_json(), "Ada", NOW)
        rounds.begin_round(session, round_id, "training", NOW)
        found = [
            _finding(rank, sample, int(pseudo[rank]), 0.99 - 0.6 * rank / len(samples), classes)
            for rank, sample in enumerate(samples)
        ]
        findings.add_findings(session, round_id, found)
        findings.open_findings(session, round_id)
        names = session.get_one(DatasetRow, dataset_id).classes
        facts = {"metrics": _metrics(names, given, pseudo), "versions": {"torch": "2"}, "snapshot_hash": "00ff"}
        rounds.set_facts(session, round_id, facts)
        rounds.end_round(session, round_id, JobStatus.DONE, "", NOW)
    return round_id


def _draw(path: Path, random: np.random.Generator) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((28, 28)).save(path)
    return path


def _finding(rank: int, sample: snapshots.Sample, pseudo: int, confidence: float, classes: int) -> NewFinding:
    given, rest = sample.label if sample.label is not None else NO_LABEL, 1 - confidence
    others = [(pseudo + step) % classes for step in range(1, min(classes, 5))]
    return NewFinding(
        sample_id=sample.id, row=rank, rank=rank,
        kind=FindingKind.AGREEING if given == pseudo else FindingKind.SUSPICIOUS, given=given, pseudo=pseudo,
        confidence=confidence, self_confidence=rest / 2, margin=0.5, fold=rank % 2, split=sample.split,
        top=[[pseudo, confidence], *([other, rest / 4] for other in others)], similarity_rank=None,
    )  # fmt: skip


def _metrics(names: Sequence[str], given: np.ndarray, pseudo: np.ndarray) -> dict[str, Any]:
    count, right = len(names), given == pseudo
    confusion = np.bincount(given * count + pseudo, minlength=count**2).reshape(count, count)
    return {
        "accuracy": float(right.mean()),
        "accuracy_per_fold": [float(right[fold::2].mean()) if len(right) > fold else None for fold in (0, 1)],
        "confusion": confusions.as_json(confusion),
        "calibration": calibration.reliability(np.linspace(0.99, 0.4, len(right)), right.astype(np.int64)),
        "estimated_errors": int((~right).sum()),
        "per_class": [
            {
                "class": number, "name": name, "count": int(row.sum()),
                "estimated_errors": int(row.sum() - row[number]),
                "worst_pair": {"pseudo": (number + 1) % count, "count": int(row[(number + 1) % count])},
                "agreement": float(row[number] / row.sum()) if row.sum() else None,
            }
            for number, (name, row) in enumerate(zip(names, confusion, strict=True))
        ],
    }  # fmt: skip
