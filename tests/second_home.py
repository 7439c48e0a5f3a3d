"""Two web apps in homes of their own, on one PostgreSQL and one store of files."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import uuid4

import httpx2
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
from core.data.export.items import ExportFormat, ExportOptions
from core.data.shared_rounds import publish_done
from core.data.store import close_store
from core.types import FindingFilter, JobStatus
from tests.core.data.formats.embedded_tables import encoded
from tests.e2e.conftest import Server
from tools.fixtures.object_store import ObjectStore
from tools.fixtures.postgres import empty_database
from tools.fixtures.scenes import TABLE, add_round, draw

SCENES = 6


@dataclass(frozen=True)
class Homes:
    """Home of the first web app, opened beside it, and a client of either app."""

    one: AppContext
    first: httpx2.Client
    second: httpx2.Client
    other: dict[str, str]  # environment of the second app

    def upload_scenes(self) -> int:
        """Upload scenes with their masks to the first home, import them with a round, an audit and an export."""
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as file:
            for number in range(SCENES):
                scene = draw(number)
                file.writestr(f"images/scene_{number:03d}.png", encoded(Image.fromarray(scene.image)))
                file.writestr(f"masks/scene_{number:03d}.png", encoded(Image.fromarray(scene.given)))
            file.writestr("classes.txt", "\n".join(TABLE.names))
        one = self.one
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
        shared = {"database_url": url, "engine_url": url, "files_url": f"{object_store_server.url}/{uuid4().hex[:8]}"}
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
