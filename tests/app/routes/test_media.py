"""Images, tiles and archives of exports over HTTP."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import routes
from app.services import datasets
from app.services.app_context import AppContext
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.rounds.snapshots import current_snapshot
from tests.app.services.reviewed import digits, digits_home  # noqa: F401 fixtures


@pytest.fixture
def address(app_context: AppContext, tmp_path: Path) -> str:
    ramp = np.tile(np.linspace(0, 1_023, 40), (40, 1)).astype(np.uint16)
    (tmp_path / "scans" / "a").mkdir(parents=True)
    Image.fromarray(ramp).save(tmp_path / "scans" / "a" / "1.png")
    request = ImportRequest(name="scans", source=str(tmp_path / "scans"), window="0-1023")
    done = imports.run_import(app_context, imports.add_import(app_context, request))
    assert done.dataset_id is not None, done.message
    return f"/outfold/image/{current_snapshot(app_context, done.dataset_id)[1].content_hashes[0]}/96.webp"


@pytest.fixture
def client(app_context: AppContext) -> TestClient:
    return TestClient(Starlette(routes=routes(lambda: app_context)), headers={"X-Outfold": "1"})


def test_an_address_without_a_window_uses_that_of_the_dataset_and_is_not_cached(
    app_context: AppContext, client: TestClient, address: str
) -> None:
    own, named = client.get(address), client.get(f"{address}?window=0-1023")
    assert own.content == named.content
    assert own.headers["cache-control"] == "private, no-cache"
    assert "immutable" in named.headers["cache-control"]
    known = {"If-None-Match": own.headers["etag"]}
    assert client.get(address, headers=known).status_code == 304
    info = datasets.find_dataset(app_context, "scans")
    assert info is not None
    datasets.set_window(app_context, info.id, "0-300")
    assert client.get(address, headers=known).status_code == 200
    assert client.get(address).content == client.get(f"{address}?window=0-300").content != own.content
    assert client.get(f"{address}?window=full").content != own.content


@pytest.mark.parametrize("window", ["9-3", "a", "0-65536"])
def test_an_invalid_window_is_refused(client: TestClient, address: str, window: str) -> None:
    answer = client.get(f"{address}?window={window}")
    assert answer.status_code == 400
    assert "as in 0-4095" in answer.text


def test_tiles_of_an_image_use_its_window(client: TestClient, address: str) -> None:
    tile = address.replace("96.webp", "tiles/0/0/0.webp")
    own = client.get(tile)
    with Image.open(io.BytesIO(own.content)) as image:
        assert image.size == (40, 40)
        shown = np.asarray(image.convert("L")).mean()
    assert own.content == client.get(f"{tile}?window=0-1023").content != client.get(f"{tile}?window=full").content
    with Image.open(io.BytesIO(client.get(address).content)) as image:
        assert shown == pytest.approx(np.asarray(image.convert("L")).mean(), abs=3)
    assert client.get(tile, headers={"If-None-Match": own.headers["etag"]}).status_code == 304
    assert client.get(tile.replace("tiles/0/0/0", "tiles/0/1/0")).status_code == 404
    assert client.get(tile.replace("tiles/0/0/0", "tiles/9/0/0")).status_code == 400
    assert client.get(tile.replace("image/", "image/x")).status_code == 400


@pytest.fixture
def exporting(digits: AppContext) -> Iterator[TestClient]:  # noqa: F811
    with TestClient(Starlette(routes=routes(lambda: digits))) as opened:
        yield opened


def test_a_finished_export_is_downloaded_as_one_file(exporting: TestClient, digits: AppContext) -> None:  # noqa: F811
    done = exports.run_export(digits, exports.add_export(digits, ExportRequest(dataset_id=1)).id)
    answer = exporting.get(f"/outfold/exports/{done.id}.zip")
    assert answer.status_code == 200
    assert "digits-imagefolder" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sum(name.endswith(".png") for name in archive.namelist()) == 300


def test_an_unavailable_download_is_refused_with_the_cause(exporting: TestClient, digits: AppContext) -> None:  # noqa: F811
    waiting = exports.add_export(digits, ExportRequest(dataset_id=1))
    for export_id in (waiting.id, 999):
        answer = exporting.get(f"/outfold/exports/{export_id}.zip")
        assert answer.status_code == 404
        assert set(answer.json()) == {"error", "cure"}
