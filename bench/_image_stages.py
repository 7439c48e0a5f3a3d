"""Stages of `bench/scale.py --images`: generated images through import, a probe's round and an export."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from app.services.app_context import AppContext, open_app
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.rounds import jobs as rounds
from app.settings import Settings
from app.worker import steps
from core.config import RoundConfig, packaged_probe
from core.types import JobStatus

SIZE = 32  # pixels
CLASSES = 10
_ROUND = 1


def draw(home: Path, count: int) -> None:
    """Write so many different images, each class in a colour of its own and noise."""
    for label in range(CLASSES):
        (_images(home) / str(label)).mkdir(parents=True)
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (CLASSES, 3))
    for number in range(count):
        label = number % CLASSES
        noisy = colours[label] + rng.integers(-60, 61, (SIZE, SIZE, 3))
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(_images(home) / str(label) / f"{number}.png")


def read(home: Path, count: int) -> None:
    """Import them, in place."""
    opened = _open(home)
    done = imports.run_import(opened, imports.add_import(opened, ImportRequest(name="b", source=str(_images(home)))))
    if done.status is not JobStatus.DONE or done.report is None or done.report["images"] != count:
        raise SystemExit(f"the import ended as {done.status}: {done.message}")


def freeze(home: Path, _count: int) -> None:
    """Open a round of the packaged network at the images' own size."""
    opened = _open(home)
    rounds.start_round(opened, 1, probe(), "bench")
    steps.take_snapshot(opened, _go_on, round_id=_ROUND)


def embed_and_learn(home: Path, _count: int) -> None:
    """Embed every image and learn the folds' probes."""
    for fold in range(probe().folds):
        steps.train_fold(_open(home), _go_on, round_id=_ROUND, fold=fold)


def judge(home: Path, _count: int) -> None:
    """Judge every label, find the nearest neighbours, and store the findings."""
    steps.judge(_open(home), _go_on, round_id=_ROUND)


def export(home: Path, _count: int) -> None:
    """Export all images as class folders, by hard links."""
    opened = _open(home)
    done = exports.run_export(opened, exports.add_export(opened, ExportRequest(dataset_id=1)).id)
    if done.status is not JobStatus.DONE:
        raise SystemExit(f"the export ended as {done.status}: {done.message}")


def probe() -> RoundConfig:
    """Return the cheapest probe: one pass of the packaged network, not enlarged, only its last stage."""
    return replace(packaged_probe(SIZE), upscale=0, all_stages=False, flip=False)


STAGES = {
    "draw": draw, "import": read, "open": freeze, "embed_and_learn": embed_and_learn, "judge": judge, "export": export,
}  # fmt: skip


def _images(home: Path) -> Path:
    return home.parent / "images"


def _open(home: Path) -> AppContext:
    return open_app(Settings(home=home, demo=False, embedded_worker=False))


_go_on = partial(bool, False)  # noqa: FBT003  # never stop
