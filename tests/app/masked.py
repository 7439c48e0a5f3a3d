"""A dataset of drawn scenes whose masks have known wrong regions, and a finished round that found them: no training.

Each scene is sky over road with a house, a tree and a car; its given mask calls the car road and a piece of the sky
house. The round suggests what was drawn. Images are real files, masks lie in the store, the round's folder holds its
snapshot and its predictions, as after a real round: tests of services and pages, and browsers, start from here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from app.services.workspace import Workspace, open_workspace
from app.settings import Settings
from core.config import RoundConfig
from core.data.images import read_facts
from core.data.masks.store import MaskStore
from core.data.snapshot import Masks, Snapshot
from core.types import ByteArray, ClassTable, FindingKind, IntArray, Region, RoundStatus, Task, mask_dtype
from db.models import DatasetRow, SampleRow
from db.queries import findings, rounds
from db.queries.findings import NewFinding

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
TABLE = ClassTable(("sky", "road", "house", "tree", "car"), ("#808080", "#804080", "#800000", "#808000", "#400080"))
SKY, ROAD, HOUSE, TREE, CAR = range(5)
PAINTS = np.array([[150, 190, 230], [105, 100, 108], [160, 90, 70], [70, 120, 60], [190, 50, 60]], dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One drawn image, (H, W, 3), what it shows and what its mask says, both (H, W)."""

    image: ByteArray
    truth: IntArray
    given: IntArray


def draw(number: int, width: int = 160, height: int = 120, dtype: Any = np.uint8) -> Scene:
    """Return the scene of this number; the same one each time."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    truth = np.where(y < height * 0.6, SKY, ROAD).astype(dtype)
    left = int(random.integers(width // 16, width // 4))
    truth[height // 4 : int(height * 0.6), left : left + width // 4] = HOUSE
    middle = int(random.integers(width * 5 // 8, width * 7 // 8))
    truth[(x - middle) ** 2 + (y - height // 2) ** 2 < (height // 7) ** 2] = TREE
    start = int(random.integers(width // 8, width // 2))
    car = (slice(int(height * 0.7), int(height * 0.7) + height // 8), slice(start, start + width // 5))
    truth[car] = CAR
    given = truth.copy()
    given[car] = ROAD
    given[height // 16 : height // 6, middle - width // 16 : middle + width // 16] = HOUSE
    given[:2] = np.iinfo(dtype).max
    noise = random.integers(-12, 13, (height, width, 1))
    image = np.clip(PAINTS[np.minimum(truth, CAR)].astype(int) + noise, 0, 255).astype(np.uint8)
    return Scene(image, truth, given)


def regions_of(scene: Scene) -> list[tuple[int, int, Region]]:
    """Return (given, drawn, region) of everything the given mask gets wrong, largest first."""
    ignore = np.iinfo(scene.given.dtype).max
    found = []
    for given in np.unique(scene.given[scene.given != ignore]).tolist():
        for truth in np.unique(scene.truth).tolist():
            wrong = (scene.given == given) & (scene.truth == truth) & (given != truth)
            parts, count = ndimage.label(wrong, structure=np.ones((3, 3)))
            found += [(given, truth, Region.of(parts == part)) for part in range(1, count + 1)]
    return sorted(found, key=lambda one: -one[2].area)


def add_scenes(
    workspace: Workspace, folder: Path, count: int = 6, *, width: int = 160, height: int = 120,
    table: ClassTable = TABLE, name: str = "scenes", unlabelled: int = 0,
) -> int:  # fmt: skip
    """Draw scenes into a folder (the last `unlabelled` of them get no mask), store them as a dataset, return its id."""
    folder.mkdir(parents=True, exist_ok=True)
    store = MaskStore(workspace.masks)
    with workspace.database.write() as session:
        dataset = DatasetRow(
            name=name, task=Task.SEGMENTATION, root=str(folder), format="mask-pairs", classes=list(table.names),
            colours=list(table.colours), options={}, created_at=NOW,
        )  # fmt: skip
        session.add(dataset)
        session.flush()
        for number in range(count):
            scene = draw(number, width, height, mask_dtype(len(table)))
            path = folder / f"scene_{number:03d}.png"
            Image.fromarray(scene.image).save(path)
            facts = read_facts(path, 10**9)
            session.add(
                SampleRow(
                    dataset_id=dataset.id, path=str(path), name=path.name, label=None,
                    mask_hash=store.put(scene.given) if number < count - unlabelled else None,
                    split="train" if number % 3 else "test", content_hash=facts.content_hash, width=width,
                    height=height, bytes=facts.bytes, grey=facts.grey, imported_at=NOW,
                )
            )  # fmt: skip
        return dataset.id


def add_round(workspace: Workspace, dataset_id: int) -> int:
    """Add a finished round that found every wrong region, the car of each scene before the sky; return its id.

    It opens with the given masks. Confidence falls with the rank from .97 to .5.
    """
    with workspace.database.write() as session:
        dataset = session.get_one(DatasetRow, dataset_id)
        samples = session.query(SampleRow).filter_by(dataset_id=dataset_id).order_by(SampleRow.id).all()
        round_id = rounds.add_round(session, dataset_id, RoundConfig(folds=2).to_json(), "Ada", NOW)
        rounds.begin_round(session, round_id, "training", NOW)
        dtype = mask_dtype(len(dataset.classes))
        scenes = [draw(_number(one), one.width, one.height, dtype) for one in samples]
        labelled = [(row, one) for row, one in enumerate(samples) if one.mask_hash]
        found = [(row, one, what) for row, one in labelled for what in regions_of(scenes[row])]
        found.sort(key=lambda one: (-one[2][1], one[0]))  # cars first
        confidences = np.linspace(0.97, 0.5, max(1, len(found))).tolist()
        findings.add_findings(
            session, round_id, [_finding(rank, *one, confidences[rank]) for rank, one in enumerate(found)]
        )
        findings.open_findings(session, round_id)
        folder = workspace.round_folder(round_id)
        snapshot_hash = _snapshot(dataset.classes, samples).save(folder)
        _predict(folder, scenes)
        metrics = _metrics(dataset.classes, found, samples)
        rounds.set_facts(session, round_id, {"metrics": metrics, "snapshot_hash": snapshot_hash})
        rounds.end_round(session, round_id, RoundStatus.DONE, "", NOW)
    return round_id


def open_home(home: Path) -> Workspace:
    """Open an installation without worker and demo, beside a server that may work on it."""
    return open_workspace(Settings(home=home, demo=False, embedded_worker=False))


def prepare(home: Path, folder: Path, count: int = 6, *, width: int = 160, height: int = 120) -> int:
    """Make an installation with the scenes and their round; return the round's id."""
    opened = open_home(home)
    try:
        return add_round(opened, add_scenes(opened, folder, count, width=width, height=height))
    finally:
        opened.database.close()


@pytest.fixture
def scenes(tmp_path: Path) -> Iterator[Workspace]:
    """Return an installation with six scenes as dataset 1 and their finished round 1: 12 findings."""
    prepare(tmp_path / "home", tmp_path / "scenes")
    opened = open_home(tmp_path / "home")
    yield opened
    opened.database.close()


def _number(sample: SampleRow) -> int:
    return int(Path(sample.path).stem.removeprefix("scene_"))


def _finding(rank: int, row: int, sample: SampleRow, what: tuple[int, int, Region], confidence: float) -> NewFinding:
    given, pseudo, region = what
    x, y, width, height = region.box
    rest = (1 - confidence) / 2
    return NewFinding(
        sample_id=sample.id, row=row, rank=rank, kind=FindingKind.SUSPICIOUS, given=given, pseudo=pseudo,
        confidence=confidence, self_confidence=rest, margin=(rest - confidence + 1) / 2, fold=row % 2,
        split=sample.split, top=[[pseudo, confidence], [given, rest]], similarity_rank=None, x=x, y=y, width=width,
        height=height, area=region.area, region=region.to_bytes(),
    )  # fmt: skip


def _snapshot(classes: list[str], samples: list[SampleRow]) -> Snapshot:
    count = len(samples)
    masks = Masks(
        [one.mask_hash or "" for one in samples], [""] * count, np.array([(one.height, one.width) for one in samples])
    )
    return Snapshot(
        np.array([one.id for one in samples]), [one.path for one in samples], np.full(count, CAR), [""] * count,
        [one.content_hash for one in samples], classes, masks,
    )  # fmt: skip


def _predict(folder: Path, scenes: list[Scene]) -> None:
    """Write the round's arrays: the network sees what was drawn and is sure of it."""
    predicted = np.concatenate([scene.truth.ravel() for scene in scenes])
    right = np.concatenate([(scene.truth == scene.given).ravel() for scene in scenes])
    np.save(folder / "predicted.npy", predicted)
    np.save(folder / "confidence.npy", np.full(len(predicted), 230, np.uint8))
    np.save(folder / "given_probability.npy", np.where(right, 230, 12).astype(np.uint8))
    np.save(folder / "fold.npy", np.arange(len(scenes)) % 2)
    np.save(folder / "image_scores.npy", np.linspace(0.2, 0.9, len(scenes)))


def _metrics(classes: list[str], found: list[Any], samples: list[SampleRow]) -> dict[str, Any]:
    count = len(classes)
    return {
        "task": "segmentation",
        "miou": 0.72,
        "iou_per_class": [0.9, 0.85, 0.7, 0.6, 0.55][:count] + [None] * (count - 5),
        "accuracy": 0.94,
        "accuracy_per_fold": [0.93, 0.95],
        "confusion": (np.eye(count, dtype=int) * 1000 + 10).tolist(),
        "per_class": [
            {"class": place, "name": name, "count": 1000, "iou": 0.7, "estimated_errors": 20,
             "worst_pair": {"pseudo": (place + 1) % count, "count": 10}, "agreement": 0.9}
            for place, name in enumerate(classes[:20])
        ],
        "wobble_regions": 9,
        "regions": len(found),
        "worst_images": [{"row": row, "sample_id": one.id, "score": 0.2 + 0.1 * row, "name": one.name}
                         for row, one in enumerate(samples[:5])],
        "proposed_threshold": 0.8,
        "estimated_errors": 120,
        "calibration": [{"lower": 0.9, "upper": 1.0, "mean_confidence": 0.95, "accuracy": 0.9, "count": 20}],
    }  # fmt: skip
