"""Pictures of greys of more than 8 bits: by the dataset's range, or by the one an address names."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import routes
from app.services import datasets, imports
from app.services.imports import ImportRequest
from app.services.workspace import Workspace
from app.worker.opening import opening


@pytest.fixture
def address(workspace: Workspace, tmp_path: Path) -> str:
    ramp = np.tile(np.linspace(0, 1_023, 40), (40, 1)).astype(np.uint16)
    (tmp_path / "scans" / "a").mkdir(parents=True)
    Image.fromarray(ramp).save(tmp_path / "scans" / "a" / "1.png")
    request = ImportRequest(name="scans", source=str(tmp_path / "scans"), window="0-1023")
    done = imports.run_import(workspace, imports.start_import(workspace, request))
    assert done.dataset_id is not None, done.message
    return f"/outfold/image/{opening(workspace, done.dataset_id)[1].content_hashes[0]}/96.webp"


@pytest.fixture
def client(workspace: Workspace) -> TestClient:
    return TestClient(Starlette(routes=routes(lambda: workspace)), headers={"X-Outfold": "1"})


def test_an_address_that_names_no_greys_follows_the_dataset_and_is_asked_for_anew(
    workspace: Workspace, client: TestClient, address: str
) -> None:
    own, named = client.get(address), client.get(f"{address}?window=0-1023")
    assert own.content == named.content
    assert own.headers["cache-control"] == "private, no-cache"
    assert "immutable" in named.headers["cache-control"]
    info = datasets.find_dataset(workspace, "scans")
    assert info is not None
    datasets.set_window(workspace, info.id, "0-300")
    assert client.get(address).content == client.get(f"{address}?window=0-300").content != own.content
    assert client.get(f"{address}?window=full").content != own.content


@pytest.mark.parametrize("window", ["9-3", "a", "0-65536"])
def test_what_is_no_range_of_greys_is_refused(client: TestClient, address: str, window: str) -> None:
    answer = client.get(f"{address}?window={window}")
    assert answer.status_code == 400
    assert "as in 0-4095" in answer.text
