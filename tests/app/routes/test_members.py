"""Datasets of members: a non-member gets 404 of every route that names one, or its rounds, images and findings."""

import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from app.access import AccessMiddleware
from app.routes import routes
from app.services import members, people
from app.services.app_context import AppContext
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.reviews import audits
from core.data.export.items import ExportFormat, ExportOptions
from core.types import FindingFilter, Role
from db.models import ChangesetRow, DecisionRow, SampleRow, TaggingRow
from tests.app.routes.test_rights import PASSWORD, ROUTES
from tools.fixtures.reviews import fill
from tools.fixtures.scenes import open_home, prepare

OUTSIDER, MEMBER = "lead-out", "lead-in"
WITHOUT_DATASET = {  # routes that name none: the page's own files, sign-in, the name
    ("GET", "/outfold/health"), ("GET", "/outfold/login"), ("POST", "/outfold/login"),
    ("GET", "/outfold/single_sign_on"), ("GET", "/outfold/single_sign_on/done"), ("GET", "/outfold/account"),
    ("POST", "/outfold/sign_out"), ("POST", "/outfold/sign_out_everywhere"), ("POST", "/outfold/password"),
    ("GET", "/worth"), ("GET", "/outfold/assets/{version}/{path:path}"), ("GET", "/outfold/me"),
    ("POST", "/outfold/me"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"),
}  # fmt: skip
KEY = {"client": "c", "seq": 1}
SET = {"round": 1, "filter": {"show": "suspicious", "min": 0}}
# What names something of dataset 1: parameters of a GET, body of a POST. HASH stands for the first image's content.
REQUESTS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("GET", "/outfold/rounds/{round_id}"): [{}],
    ("GET", "/outfold/state"): [{"after": 0, "round": 1, "client": "c"}, {"after": 0, "dataset": 1, "client": "c"}],
    ("GET", "/outfold/findings"): [{"round": 1}],
    ("GET", "/outfold/findings/{finding_id}"): [{}],
    ("GET", "/outfold/counts"): [{"round": 1}],
    ("GET", "/outfold/accept_all"): [{"round": 1}],
    ("POST", "/outfold/accept_all"): [{**KEY, **SET, "expected": 99, "certified": False}],
    ("GET", "/outfold/removal"): [{"round": 1}],
    ("POST", "/outfold/removal"): [{**SET, "expected": 99}],
    ("GET", "/outfold/audits"): [{"round": 1}],
    ("GET", "/outfold/audits/{audit_id:int}"): [{}],
    ("POST", "/outfold/audits"): [SET],
    ("POST", "/outfold/audits/cards"): [{"audit": 1}],
    ("POST", "/outfold/audits/close"): [{"audit": 1}],
    ("POST", "/outfold/audits/quarters"): [{"audit": 1}],
    ("GET", "/outfold/exports/{export_id:int}.zip"): [{}],
    ("GET", "/outfold/masks"): [{"dataset": 1}, {"dataset": 1, "round": 1}],
    ("GET", "/outfold/masks/{sample_id:int}"): [{}, {"round": 1}],
    ("GET", "/outfold/masks/{sample_id:int}/labels"): [{}],
    ("GET", "/outfold/masks/{sample_id:int}/predicted"): [{"round": 1}],
    ("POST", "/outfold/masks/{sample_id:int}"): [{}],
    ("GET", "/outfold/classes/{dataset_id:int}"): [{}],
    ("GET", "/outfold/classes/{dataset_id:int}/merge"): [{"class": 0, "into": 1}],
    ("GET", "/outfold/tags/{dataset_id:int}"): [{}],
    ("GET", "/outfold/tags/{dataset_id:int}/images"): [{}],
    ("GET", "/outfold/tags/image/{sample_id:int}"): [{}],
    ("POST", "/outfold/tags"): [
        {"acts": [{**KEY, "op": "tag", "sample": 1, "classes": [0]}]},
        {"acts": [{**KEY, "seq": 2, "op": "undo", "dataset": 1}]},
    ],
    ("POST", "/outfold/acts"): [
        {**KEY, "round": 1, "op": "decide", "decisions": [{"finding": 1, "verdict": "keep"}]},
        {**KEY, "seq": 2, "round": 1, "op": "decide", "audit": 1, "decisions": [{"finding": 1, "verdict": "keep"}]},
        {**KEY, "seq": 3, "round": 1, "op": "note", "finding": 1, "text": "seen"},
        {**KEY, "seq": 4, "round": 1, "op": "undo"},
        {**KEY, "seq": 5, "dataset": 1, "op": "undo"},
        {**KEY, "seq": 6, "round": 1, "op": "redo"},
        {**KEY, "seq": 7, "round": 1, "op": "add_class", "name": "new"},
        {**KEY, "seq": 8, "dataset": 1, "op": "rename_class", "class": 0, "name": "other"},
        {**KEY, "seq": 9, "dataset": 1, "op": "merge_classes", "class": 0, "into": 1},
        {**KEY, "seq": 10, "dataset": 1, "op": "reorder_classes", "order": [4, 3, 2, 1, 0]},
    ],
    ("GET", "/outfold/image/{content_hash}/{edge:int}.webp"): [{}, {"window": "0-255"}],
    ("GET", "/outfold/image/{content_hash}/tiles/{level:int}/{column:int}/{row:int}.webp"): [{}],
    ("GET", "/outfold/regions/{finding_id:int}/{layer}/{edge:int}.webp"): [{}],
    ("GET", "/outfold/regions/{finding_id:int}/{which}.png"): [{}],
}  # fmt: skip
PARTS = {"edge:int": "192", "level:int": "0", "column:int": "0", "row:int": "0", "layer": "image", "which": "given"}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppContext]:
    """Return an installation whose scenes, with an audit and an export, only the member sees."""
    folder = tmp_path_factory.mktemp("members")
    prepare(folder / "home", folder / "scenes")
    made = open_home(folder / "home")
    people.add_user(made, "admin", PASSWORD, Role.ADMIN, by="root")
    for name in (OUTSIDER, MEMBER):
        people.add_user(made, name, PASSWORD, Role.LEAD, by="admin")
    audits.start(made, FindingFilter(round_id=1, min_confidence=0.0), by=MEMBER)
    request = ExportRequest(dataset_id=1, options=ExportOptions(format=ExportFormat.VOC), by=MEMBER)
    exports.run_export(made, exports.add_export(made, request).id)
    members.set_members(made, 1, [MEMBER], by="admin")
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def clients(opened: AppContext) -> dict[str, TestClient]:
    app = Starlette(
        routes=routes(lambda: opened),
        middleware=[Middleware(AccessMiddleware, served=lambda: "127.0.0.1", opened=lambda: opened)],
    )
    made = {}
    for name in ("admin", OUTSIDER, MEMBER):
        made[name] = TestClient(app, base_url="http://localhost", headers={"X-Outfold": "1"}, follow_redirects=False)
        made[name].post("/outfold/login", data={"name": name, "password": PASSWORD})
    return made


def content_hash(opened: AppContext) -> str:
    with opened.database.read() as session:
        return session.scalars(select(SampleRow.content_hash).order_by(SampleRow.id)).first() or ""


def send(client: TestClient, opened: AppContext, place: tuple[str, str], sent: dict[str, Any]) -> Any:
    method, path = place
    for part, value in {**PARTS, "content_hash": content_hash(opened)}.items():
        path = path.replace(f"{{{part}}}", value)
    for name in ("round_id", "finding_id", "audit_id:int", "export_id:int", "sample_id:int", "dataset_id:int",
                 "finding_id:int"):  # fmt: skip
        path = path.replace(f"{{{name}}}", "1")
    assert "{" not in path
    if path.startswith("/outfold/masks/") and method == "POST":
        headers = {"X-Outfold-Base": "0" * 32, "X-Outfold-Client": "c", "X-Outfold-Seq": "1"}
        return client.post(path, content=zlib.compress(bytes(160 * 120)), headers=headers)
    return client.post(path, json=sent) if method == "POST" else client.get(path, params=sent)


def status_of(answer: Any) -> int:
    """Return the status of an answer, of several acts that of the first."""
    if answer.headers["content-type"].startswith("application/json") and "results" in answer.json():
        return int(answer.json()["results"][0].get("status", 200))
    return int(answer.status_code)


def rows(opened: AppContext) -> list[int | None]:
    with opened.database.read() as session:
        return [session.scalar(select(func.max(row.id))) for row in (ChangesetRow, DecisionRow, TaggingRow)]


def test_every_route_names_a_dataset_or_is_listed_as_an_exception() -> None:
    assert set(REQUESTS) | WITHOUT_DATASET == set(ROUTES)
    assert not set(REQUESTS) & WITHOUT_DATASET


CASES = [(place, sent) for place, all_sent in REQUESTS.items() for sent in all_sent]


@pytest.mark.parametrize(("place", "sent"), CASES, ids=str)
def test_a_non_member_gets_404_and_a_member_gets_an_answer(
    place: tuple[str, str], sent: dict[str, Any], clients: dict[str, TestClient], opened: AppContext
) -> None:
    before = rows(opened)
    refused = send(clients[OUTSIDER], opened, place, sent)
    assert status_of(refused) == 404, refused.text
    assert "scenes" not in refused.text
    assert rows(opened) == before
    for name in ("admin", MEMBER):
        answer = send(clients[name], opened, place, sent)
        assert status_of(answer) != 404 or answer.text != refused.text, answer.text


def test_hidden_objects_named_among_visible_ones_are_not_found(
    clients: dict[str, TestClient], opened: AppContext
) -> None:
    other = fill(opened, 5, suspicious=1)  # a dataset that everybody sees
    client, before = clients[OUTSIDER], rows(opened)
    seen = client.get("/outfold/findings", params={"ids": f"1,2,{13}"}).json()["items"]
    assert [one["id"] for one in seen] == [13]
    with opened.database.read() as session:
        hidden_act = session.scalar(select(func.max(ChangesetRow.id)).where(ChangesetRow.dataset_id == 1))
    assert hidden_act
    for seq, body in enumerate([
        {"op": "decide", "decisions": [{"finding": 1, "verdict": "keep"}]},
        {"op": "note", "finding": 1, "text": "x"},
        {"op": "undo", "changeset": hidden_act},
    ]):  # fmt: skip
        answer = client.post("/outfold/acts", json={"client": "o", "seq": seq, "round": other, **body})
        assert status_of(answer) in {400, 404}, answer.text
    several = {"client": "o", "round": other, "acts": [{"seq": 9, "op": "undo", "round": 1}]}
    assert client.post("/outfold/acts", json=several).status_code == 404
    assert rows(opened) == before
    answer = client.get(f"/outfold/rounds/{other}").json()
    assert [one["name"] for one in answer["datasets"]] == ["bench"]
    assert {one["name"] for one in clients[MEMBER].get(f"/outfold/rounds/{other}").json()["datasets"]} == {
        "bench", "scenes",
    }  # fmt: skip
