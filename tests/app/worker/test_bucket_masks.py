"""A dataset of masks in a bucket through import, round, review and export, while none of its copies stays."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import routes
from app.services.app_context import AppContext
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.masks import current as masks
from app.services.rounds import jobs as rounds
from app.worker import steps
from core.config import SMALL_MASK_NETWORK, RoundConfig
from core.data.buckets import prune_originals
from core.data.export.items import ExportFormat, ExportOptions, Link
from core.data.export.placing import content_hash
from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions
from core.data.masks.reading import read_masks
from core.data.remote import Remote
from core.types import IntArray, JobStatus
from db.queries import snapshots
from tests.app.pairs import draw_pairs
from tools.fixtures.object_store import ObjectStore

pytest_plugins = ["tests.object_store"]
CONFIG = RoundConfig(folds=2, model=SMALL_MASK_NETWORK, input_size=32, epochs=1, batch_size=4, min_region=4, boundary=0)
PREDICTED = ("predicted.npy", "confidence.npy", "given_probability.npy", "fold.npy")
SIZE = (48, 32)


def never() -> bool:
    return False


def forget_copies(app_context: AppContext) -> None:
    buckets = app_context.files / "buckets"
    prune_originals(buckets, 0, grace_seconds=-1)
    assert not sum(path.stat().st_size for path in buckets.rglob("*") if path.suffix in {".png", ".txt"})


def imported(app_context: AppContext, name: str, source: str) -> int:
    asked = imports.add_import(app_context, ImportRequest(name=name, source=source))
    done = imports.run_import(app_context, asked)
    assert done.status is JobStatus.DONE, done.message
    assert done.dataset_id is not None
    return done.dataset_id


def resolved(app_context: AppContext, dataset_id: int) -> dict[str, IntArray]:
    with app_context.database.read() as session:
        samples = snapshots.samples_of(session, dataset_id)
    return {one.content_hash: masks.read_mask(app_context, one.id)[1] for one in samples}


def read_back(folder: Path) -> dict[str, Any]:
    listing = FORMATS[detect(folder).format].read(folder, ReadOptions())
    samples = list(listing.samples)
    assert listing.table is not None
    found = read_masks([(one.mask or {}, *SIZE) for one in samples], listing.table)
    return {content_hash(Path(one.path)): mask for one, mask in zip(samples, found, strict=True)}


def test_masks_in_a_bucket_are_trained_reviewed_and_exported_like_those_in_a_folder(
    app_context: AppContext, bucket: ObjectStore, tmp_path: Path
) -> None:
    random = np.random.default_rng(3)
    scenes = {
        f"{number:02}": np.kron(random.integers(0, 3, (2, 3)), np.ones((16, 16))).astype(np.uint8)
        for number in range(8)
    }
    folder = draw_pairs(tmp_path / "set", scenes)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        Remote(bucket.url).put(path.relative_to(folder).as_posix(), path)
    folders = []
    for name, source in (("disk", str(folder)), ("bucket", bucket.url)):
        dataset_id = imported(app_context, name, source)
        number = rounds.start_round(app_context, dataset_id, CONFIG, "ada").id
        steps.take_snapshot(app_context, never, round_id=number)
        for fold in range(CONFIG.folds):
            if name == "bucket":
                forget_copies(app_context)
            steps.train_fold(app_context, never, round_id=number, fold=fold)
        steps.judge(app_context, never, round_id=number)
        info = rounds.get_round(app_context, number)
        assert info.status is JobStatus.DONE, info
        folders.append(app_context.round_folder(number))
    for name in PREDICTED:
        assert np.array_equal(np.load(folders[0] / name), np.load(folders[1] / name)), name

    forget_copies(app_context)
    client = TestClient(Starlette(routes=routes(lambda: app_context)), cookies={"outfold_name": "ada"})
    client.headers.update({"X-Outfold": "1"})
    items = client.get("/outfold/findings?round=2").json()["items"]
    card = items[0]
    for address in (f"regions/{card['id']}/image/192.webp", f"regions/{card['id']}/given.png"):
        answer = client.get(f"/outfold/{address}")
        assert answer.status_code == 200, address
        with Image.open(io.BytesIO(answer.content)) as image:
            image.load()
    before = resolved(app_context, 2)
    decided = {"op": "decide", "decisions": [{"finding": card["id"], "verdict": "accept"}]}
    answer = client.post("/outfold/acts", json={"client": "one", "seq": 1, "round": 2, **decided})
    assert answer.status_code == 200, answer.text

    forget_copies(app_context)
    target = tmp_path / "export"
    options = ExportOptions(format=ExportFormat.MASK_PAIRS, link=Link.COPY)
    request = ExportRequest(dataset_id=2, options=options, folder=str(target))
    written = exports.run_export(app_context, exports.add_export(app_context, request).id)
    assert written.status is JobStatus.DONE, written.message
    wanted, found = resolved(app_context, 2), read_back(target)
    assert sum(not np.array_equal(before[name], mask) for name, mask in wanted.items()) == 1
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], mask) for name, mask in wanted.items())
