"""Two web apps in homes of their own, on one PostgreSQL and one store of files: each shows what the other has made."""

import io
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from app.services.app_context import AppContext, open_app
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.imports.sources import store_upload
from app.services.reviews import audits
from app.settings import Settings
from app.worker import steps
from core.config import ProbabilityMethod, RoundConfig
from core.data.export.items import ExportFormat, ExportOptions
from core.data.remote import Remote
from core.data.shared_rounds import publish_done
from core.data.store import close_store
from core.types import FindingFilter, JobStatus
from db.queries import rounds as round_rows, snapshots
from tests.app.routes.test_members import REQUESTS, send
from tests.e2e.conftest import ROOT, Server
from tools.fixtures.object_store import ObjectStore
from tools.fixtures.postgres import empty_database
from tools.fixtures.scenes import CAR, TABLE, add_round, draw

pytest_plugins = ["tests.object_store", "tests.postgres"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SCENES = 6


@dataclass(frozen=True)
class Homes:
    """Home of the first web app, opened beside it, and a client of either app."""

    one: AppContext
    first: httpx2.Client
    second: httpx2.Client
    other: dict[str, str]  # environment of the second app


@pytest.fixture(scope="module")
def homes(
    postgres_server: str, object_store_server: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Homes]:
    """Start the two web apps, without workers."""
    folder = tmp_path_factory.mktemp("homes")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in object_store_server.variables.items():
            patch.setenv(name, value)
        url = stack.enter_context(empty_database(postgres_server))
        shared = {"database_url": url, "engine_url": url, "files_url": f"{object_store_server.url}/second-app"}
        one = open_app(Settings(home=folder / "one", demo=False, embedded_worker=False, **shared))
        stack.callback(close_store, one.files)
        stack.callback(one.database.close)
        told = {f"OUTFOLD_{name.upper()}": value for name, value in shared.items()}
        told |= {"OUTFOLD_EMBEDDED_WORKER": "false", "OUTFOLD_DEMO": "false"}
        clients = []
        for name in ("one", "other"):
            server = Server(folder / name, told)
            stack.callback(server.stop)
            server.start()
            headers, cookies = {"X-Outfold": "1"}, {"outfold_name": "ada"}
            client = httpx2.Client(base_url=server.url, headers=headers, cookies=cookies, timeout=60)
            clients.append(stack.enter_context(client))
        yield Homes(one, clients[0], clients[1], {**told, "OUTFOLD_HOME": str(folder / "other")})


def png(pixels: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def uploaded_scenes(homes: Homes) -> int:
    """Upload scenes with their masks to the first home, import them with a round, an audit and an export."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for number in range(SCENES):
            scene = draw(number)
            file.writestr(f"images/scene_{number:03d}.png", png(scene.image))
            file.writestr(f"masks/scene_{number:03d}.png", png(scene.given))
        file.writestr("classes.txt", "\n".join(TABLE.names))
    one = homes.one
    folder = store_upload(one, data, "scenes.zip")
    done = imports.run_import(one, imports.add_import(one, ImportRequest(name="scenes", source=str(folder))))
    assert done.status is JobStatus.DONE, done.message
    assert done.dataset_id is not None
    number = add_round(one, done.dataset_id)
    assert one.shared is not None
    publish_done(one.shared, number)
    audits.start(one, FindingFilter(round_id=number, min_confidence=0.0), by="ada")
    request = ExportRequest(dataset_id=done.dataset_id, options=ExportOptions(format=ExportFormat.VOC), by="ada")
    written = exports.run_export(one, exports.add_export(one, request).id)
    assert written.status is JobStatus.DONE, written.message
    return number


def content(answer: httpx2.Response) -> Any:
    """Return what an answer says: JSON, the pixels of a picture, the files of an archive."""
    kind = answer.headers["content-type"].partition(";")[0]
    if kind == "application/json":
        return answer.json()
    if kind.startswith("image/"):
        with Image.open(io.BytesIO(answer.content)) as image:
            return image.mode, image.tobytes()
    assert kind == "application/zip", kind
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_the_second_web_app_answers_every_route_as_the_first_and_stores_what_the_first_then_shows(
    homes: Homes,
) -> None:
    assert uploaded_scenes(homes) == 1
    asked: list[tuple[tuple[str, str], dict[str, Any]]] = []
    for place, all_sent in REQUESTS.items():
        asked += [(place, sent) for sent in all_sent if place[0] == "GET"]
    for place, sent in asked:
        first, second = (send(client, homes.one, place, sent) for client in (homes.first, homes.second))  # type: ignore[arg-type]
        assert (second.status_code, second.text if second.is_error else "") == (200, ""), (place, sent)
        assert content(second) == content(first), (place, sent)

    mask = homes.second.get("/outfold/masks/1/labels")
    with Image.open(io.BytesIO(mask.content)) as image:
        painted = np.array(image)
    painted[:10, :10] = CAR
    said = {"X-Outfold-Base": mask.headers["x-outfold-version"], "X-Outfold-Client": "c", "X-Outfold-Seq": "1"}
    saved = homes.second.post("/outfold/masks/1", content=zlib.compress(painted.tobytes()), headers=said)
    assert saved.status_code == 200, saved.text
    decided = {"op": "decide", "decisions": [{"finding": 3, "verdict": "accept"}]}
    answer = homes.second.post("/outfold/acts", json={"client": "c", "seq": 2, "round": 1, **decided})
    assert answer.status_code == 200, answer.text
    seen = homes.first.get("/outfold/masks/1/labels")
    with Image.open(io.BytesIO(seen.content)) as image:
        assert np.array_equal(np.asarray(image), painted)
    cards = [client.get("/outfold/findings/3").json() for client in (homes.first, homes.second)]
    assert cards[0] == cards[1]
    assert (cards[0]["status"], cards[0]["by"]) == ("accept", "ada")
    assert [client.get("/").status_code for client in (homes.first, homes.second)] == [200, 200]


def test_a_round_of_classes_shows_its_neighbours_and_images_in_the_second_web_app(
    homes: Homes, digits_folder: Path
) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for path in sorted(digits_folder.rglob("*.png")):
            file.write(path, path.relative_to(digits_folder).as_posix())
    one = homes.one
    request = ImportRequest(name="digits", source=str(store_upload(one, data, "digits.zip")))
    done = imports.run_import(one, imports.add_import(one, request))
    assert done.dataset_id is not None, done.message
    with one.database.write() as session:
        config = RoundConfig(
            folds=2, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, batch_size=32, device="cpu"
        )
        number = round_rows.add_round(session, done.dataset_id, config.to_json(), "ada", datetime.now(UTC))
    steps.take_snapshot(one, lambda: False, round_id=number)
    for fold in range(2):
        steps.train_fold(one, lambda: False, round_id=number, fold=fold)
    steps.judge(one, lambda: False, round_id=number)
    items = homes.second.get("/outfold/findings", params={"round": number}).json()["items"]
    card = homes.second.get(f"/outfold/findings/{items[0]['id']}").json()
    assert card == homes.first.get(f"/outfold/findings/{items[0]['id']}").json()
    assert card["neighbours"]
    for edge in (96, 0):
        address = f"/outfold/image/{items[0]['hash']}/{edge}.webp"
        assert content(homes.second.get(address)) == content(homes.first.get(address))


def test_images_of_a_bucket_that_one_home_imported_are_shown_and_imported_again_by_the_other(
    homes: Homes, object_store_server: ObjectStore
) -> None:
    photos = Remote(f"{object_store_server.url}/photos")
    for number in range(6):
        photos.write(f"{'ab'[number % 2]}/{number}.png", png(np.full((8, 8), 20 * number, np.uint8)))
    one = homes.one
    asked = imports.add_import(one, ImportRequest(name="photos", source=photos.url))
    done = imports.run_import(one, asked)
    assert done.dataset_id is not None, done.message

    def samples() -> dict[str, tuple[int, str, str]]:
        with one.database.read() as session:
            found = snapshots.samples_of(session, done.dataset_id or 0)
        return {found.name: (found.id, found.path, found.content_hash) for found in found}

    def shown(client: httpx2.Client) -> list[Any]:
        return [content(client.get(f"/outfold/image/{digest}/0.webp")) for _, _, digest in samples().values()]

    before = samples()
    assert len(before) == 6
    assert shown(homes.second) == shown(homes.first)
    export_of(homes, done.dataset_id)
    photos.write("a/0.png", png(np.full((8, 8), 201, np.uint8)))
    photos.write("b/7.png", png(np.full((8, 8), 202, np.uint8)))
    command = [sys.executable, "-m", "app", "import", photos.url, "--name", "photos", "--json"]
    again = subprocess.run(
        command, cwd=ROOT, env=os.environ | homes.other, capture_output=True, text=True, timeout=120, check=False
    )
    assert again.returncode == 0, again.stderr
    after = samples()
    assert set(after) == {*before, "b/7.png"}
    assert after["a/0.png"][:2] == before["a/0.png"][:2]
    assert {name for name, found in before.items() if after[name] != found} == {"a/0.png"}
    assert shown(homes.second) == shown(homes.first)
    exported = export_of(homes, done.dataset_id)
    (changed,) = (data for name, data in exported.items() if name.endswith("a/0.png"))
    assert changed == png(np.full((8, 8), 201, np.uint8))


def export_of(homes: Homes, dataset_id: int) -> dict[str, Any]:
    """Export a dataset in the first home and return what the second one's download holds."""
    written = exports.run_export(homes.one, exports.add_export(homes.one, ExportRequest(dataset_id=dataset_id)).id)
    assert written.status is JobStatus.DONE, written.message
    found: dict[str, Any] = content(homes.second.get(f"/outfold/exports/{written.id}.zip"))
    return found
