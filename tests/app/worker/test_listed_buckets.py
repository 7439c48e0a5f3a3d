"""Datasets in a bucket: a process lists it once for a round, and sees what changed or went before that."""

import io
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.settings import Settings
from app.worker import steps
from core.config import ProbabilityMethod, RoundConfig
from core.data import shards as dividing
from core.data.images import load_image
from core.data.remote import Remote
from core.data.store import close_store
from core.types import JobStatus, RoundError
from db.queries import rounds, snapshots
from tests.app.worker.test_worker import TINY
from tools.fixtures.object_store import ObjectStore

pytest_plugins = ["tests.object_store"]
CONFIG = RoundConfig(epochs=1, **TINY)
IMAGES = 24


def never() -> bool:
    return False


def picture(value: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def photos(bucket: ObjectStore) -> str:
    """Return the URL of a dataset in the bucket in which homes share their files, too."""
    url = f"{bucket.url}/photos"
    for number in range(IMAGES):
        Remote(url).write(f"{'ab'[number % 2]}/{number}.png", picture(10 * number))
    return url


@pytest.fixture
def home(tmp_path: Path, bucket: ObjectStore, photos: str) -> Iterator[AppContext]:
    """Return a home that shares its files, with the dataset imported."""
    urls = {f"{name}_url": f"sqlite:///{tmp_path / name}.sqlite" for name in ("database", "engine")}
    chosen = Settings(home=tmp_path / "home", demo=False, embedded_worker=False, files_url=f"{bucket.url}/home", **urls)
    opened = open_app(chosen)
    done = imports.run_import(opened, imports.add_import(opened, ImportRequest(name="photos", source=photos)))
    assert done.status is JobStatus.DONE, done.message
    yield opened
    opened.database.close()
    close_store(opened.files)


def open_round(app_context: AppContext, config: RoundConfig = CONFIG) -> int:
    with app_context.database.write() as session:
        number = rounds.add_round(session, 1, config.to_json(), "ada", datetime.now(UTC))
    steps.take_snapshot(app_context, never, round_id=number)
    return number


def test_a_process_lists_the_bucket_once_for_all_pieces_of_a_round(
    home: AppContext, bucket: ObjectStore, photos: str
) -> None:
    for _ in range(2):
        number = open_round(home)
        with bucket.recording_lists(photos) as first:
            steps.train_fold(home, never, round_id=number, fold=0)
        assert len(first) == 1
        with bucket.recording_lists(photos) as later:
            steps.train_fold(home, never, round_id=number, fold=1)
            steps.judge(home, never, round_id=number)
        assert later == []


@pytest.mark.slow
def test_shards_of_a_round_list_the_bucket_once_and_its_folds_no_more(
    home: AppContext, bucket: ObjectStore, photos: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dividing, "IMAGES", 8)
    settings = {"method": ProbabilityMethod.PROBE, "model": "test_resnet", "input_size": 32, "device": "cpu"}
    number = open_round(home, RoundConfig(folds=2, batch_size=8, **settings))
    with bucket.recording_lists(photos) as asked:
        for shard in range(IMAGES // 8):
            steps.make_shard(home, never, round_id=number, shard=shard)
        for fold in range(2):
            steps.train_fold(home, never, round_id=number, fold=fold)
    assert len(asked) == 1


def test_a_round_sees_what_changed_and_names_what_went_since_the_one_before(home: AppContext, photos: str) -> None:
    number = open_round(home)
    for fold in range(2):
        steps.train_fold(home, never, round_id=number, fold=fold)
    steps.judge(home, never, round_id=number)
    Remote(photos).write("a/0.png", picture(203))
    Remote(photos).remove("b/1.png")
    shutil.rmtree(home.image_caches)
    number = open_round(home)
    with pytest.raises(RoundError, match=r"1 images can no longer be read: .*b/1\.png"):
        steps.train_fold(home, never, round_id=number, fold=0)
    with home.database.read() as session:
        paths = {one.name: Path(one.path) for one in snapshots.samples_of(session, 1)}
    assert load_image(home.files / paths["a/0.png"].relative_to("/files"), grey=True)[0, 0] == 203
