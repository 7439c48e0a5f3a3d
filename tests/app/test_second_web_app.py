"""Two web apps in homes of their own, on one PostgreSQL and one store of files: each shows what the other has made."""

import io
import os
import subprocess
import sys
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.imports.sources import store_upload
from app.worker import steps
from core.config import ProbabilityMethod, RoundConfig
from core.data.remote import Remote
from core.types import JobStatus
from db.queries import rounds as round_rows, snapshots
from tests.app.routes.test_members import REQUESTS, send
from tests.core.data.formats.embedded_tables import encoded
from tests.e2e.conftest import ROOT
from tools.fixtures.object_store import ObjectStore
from tools.fixtures.scenes import CAR

if TYPE_CHECKING:
    from tests.second_home import Homes

pytest_plugins = ["tests.object_store", "tests.postgres", "tests.second_home"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def grey(value: int) -> bytes:
    return encoded(Image.fromarray(np.full((8, 8), value, np.uint8)))


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


def test_a_second_web_app_answers_every_route_like_the_first_and_shares_its_data(
    homes: "Homes",
) -> None:
    assert homes.upload_scenes() == 1
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
    homes: "Homes", digits_folder: Path
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


def test_bucket_images_imported_by_one_home_are_shown_and_reimported_by_the_other(
    homes: "Homes", object_store_server: ObjectStore
) -> None:
    photos = Remote(f"{object_store_server.url}/photos")
    for number in range(6):
        photos.write(f"{'ab'[number % 2]}/{number}.png", grey(20 * number))
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
    photos.write("a/0.png", grey(201))
    photos.write("b/7.png", grey(202))
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
    assert changed == grey(201)


def export_of(homes: "Homes", dataset_id: int) -> dict[str, Any]:
    """Export a dataset in the first home and return what the second one's download holds."""
    written = exports.run_export(homes.one, exports.add_export(homes.one, ExportRequest(dataset_id=dataset_id)).id)
    assert written.status is JobStatus.DONE, written.message
    found: dict[str, Any] = content(homes.second.get(f"/outfold/exports/{written.id}.zip"))
    return found
