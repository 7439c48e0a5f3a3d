"""Rights of roles: every route and page is in a table here, and a new one that is not fails."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.testclient import TestClient

from app.access import AccessMiddleware
from app.components import identity
from app.components.identity import PAGES, ForbiddenError, may, may_open, require
from app.routes import routes
from app.services import people, reviews
from app.services.app_context import AppContext, open_app
from app.settings import Settings
from core.types import LEAST_ROLES, FindingFilter, FindingKind, Right, Role
from tools.fixtures.reviews import fill

ROOT = Path(__file__).parents[3]
PASSWORD = "correct horse battery"
ANYBODY = None  # who is not signed in, too
LOOK, DECIDE, LEAD, ADMIN = Right.LOOK, Right.DECIDE, Right.LEAD, Right.DELETE
ROUTES: dict[tuple[str, str], Right | None] = {
    ("GET", "/outfold/health"): ANYBODY,
    ("GET", "/healthz"): ANYBODY,
    ("GET", "/readyz"): ANYBODY,
    ("GET", "/metrics"): ADMIN,  # and this machine itself; see test_operation.py
    ("GET", "/outfold/login"): ANYBODY,
    ("POST", "/outfold/login"): ANYBODY,
    ("GET", "/outfold/single_sign_on"): ANYBODY,
    ("GET", "/outfold/single_sign_on/done"): ANYBODY,
    ("GET", "/outfold/account"): LOOK,
    ("POST", "/outfold/sign_out"): LOOK,
    ("POST", "/outfold/sign_out_everywhere"): LOOK,
    ("POST", "/outfold/password"): LOOK,
    ("GET", "/worth"): LOOK,
    ("GET", "/outfold/assets/{version}/{path:path}"): LOOK,
    ("GET", "/outfold/rounds/{round_id}"): LOOK,
    ("GET", "/outfold/state"): LOOK,
    ("GET", "/outfold/findings"): LOOK,
    ("GET", "/outfold/findings/{finding_id}"): LOOK,
    ("GET", "/outfold/counts"): LOOK,
    ("GET", "/outfold/accept_all"): LEAD,
    ("POST", "/outfold/accept_all"): LEAD,
    ("GET", "/outfold/removal"): LEAD,
    ("POST", "/outfold/removal"): LEAD,
    ("GET", "/outfold/audits"): LOOK,
    ("GET", "/outfold/audits/{audit_id:int}"): LOOK,
    ("POST", "/outfold/audits"): LEAD,
    ("POST", "/outfold/audits/cards"): DECIDE,
    ("POST", "/outfold/audits/close"): LEAD,
    ("POST", "/outfold/audits/quarters"): LEAD,
    ("GET", "/outfold/exports/{export_id:int}.zip"): LEAD,
    ("GET", "/outfold/masks"): LOOK,
    ("GET", "/outfold/masks/{sample_id:int}"): LOOK,
    ("GET", "/outfold/masks/{sample_id:int}/labels"): LOOK,
    ("GET", "/outfold/masks/{sample_id:int}/predicted"): LOOK,
    ("POST", "/outfold/masks/{sample_id:int}"): DECIDE,
    ("GET", "/outfold/classes/{dataset_id:int}"): LOOK,
    ("GET", "/outfold/classes/{dataset_id:int}/merge"): LEAD,
    ("GET", "/outfold/tags/{dataset_id:int}"): LOOK,
    ("GET", "/outfold/tags/{dataset_id:int}/images"): LOOK,
    ("GET", "/outfold/tags/image/{sample_id:int}"): LOOK,
    ("POST", "/outfold/tags"): DECIDE,
    ("POST", "/outfold/acts"): DECIDE,
    ("GET", "/outfold/me"): LOOK,
    ("POST", "/outfold/me"): DECIDE,
    ("GET", "/outfold/image/{content_hash}/{edge:int}.webp"): LOOK,
    ("GET", "/outfold/image/{content_hash}/tiles/{level:int}/{column:int}/{row:int}.webp"): LOOK,
    ("GET", "/outfold/regions/{finding_id:int}/{layer}/{edge:int}.webp"): LOOK,
    ("GET", "/outfold/regions/{finding_id:int}/{which}.png"): LOOK,
}
OPS = {  # of POST /outfold/acts
    "add_class": DECIDE, "rename_class": LEAD, "merge_classes": LEAD, "reorder_classes": LEAD, "undo": DECIDE,
    "redo": DECIDE, "note": DECIDE, "decide": DECIDE,
}  # fmt: skip
_SIGN_OUT = {"/outfold/sign_out", "/outfold/sign_out_everywhere", "/outfold/password"}  # would end the session
REFUSAL = re.compile(r"the role (annotator|lead|admin) may not do this")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppContext]:
    made = open_app(Settings(home=tmp_path_factory.mktemp("rights"), demo=False, embedded_worker=False))
    fill(made, 8, suspicious=1)
    people.add_user(made, "admin", PASSWORD, Role.ADMIN, by="root")
    for role in (Role.LEAD, Role.ANNOTATOR):
        people.add_user(made, role, PASSWORD, role, by="admin")
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def clients(opened: AppContext) -> dict[Role | None, TestClient]:
    """Return a client of each role, signed in, and one of nobody."""
    app = Starlette(
        routes=routes(lambda: opened),
        middleware=[Middleware(AccessMiddleware, served=lambda: "127.0.0.1", opened=lambda: opened)],
    )
    made: dict[Role | None, TestClient] = {}
    for role in (None, *Role):
        made[role] = TestClient(
            app, base_url="http://localhost", headers={"X-Outfold": "1"}, follow_redirects=False,
            raise_server_exceptions=False,
        )  # fmt: skip
        if role is not None:
            made[role].post("/outfold/login", data={"name": role.value, "password": PASSWORD})
    return made


def listed(opened: AppContext) -> set[tuple[str, str]]:
    found = [route for route in routes(lambda: opened) if isinstance(route, Route)]
    assert len(found) == len(routes(lambda: opened))
    return {(method, route.path) for route in found for method in (route.methods or ()) if method != "HEAD"}


def test_every_route_is_in_the_table(opened: AppContext) -> None:
    assert listed(opened) == set(ROUTES)


@pytest.mark.parametrize("place", ROUTES, ids=" ".join)
def test_a_route_answers_only_users_with_its_right(
    place: tuple[str, str], clients: dict[Role | None, TestClient]
) -> None:
    method, path = place
    right, filled = ROUTES[place], re.sub(r"{(\w+)(:\w+)?}", "1", path)
    assert (clients[None].request(method, filled, json={}).status_code == 401) == (
        right is not ANYBODY or place == ("POST", "/outfold/login")  # whose empty form names no user
    )
    if path in _SIGN_OUT:
        return
    for role in Role:
        answer = clients[role].request(method, filled, json={})
        refused = answer.status_code == 403 and REFUSAL.search(answer.text)
        assert bool(refused) == (right is not ANYBODY and not role.may(right)), (role, answer.text)


@pytest.mark.parametrize("op", OPS)
def test_an_act_requires_its_own_right(op: str, clients: dict[Role | None, TestClient]) -> None:
    for role in Role:
        body = {"client": f"{role}-{op}", "seq": 1, "round": 1, "op": op, "decisions": [], "name": "x"}
        for sent in (body, {"client": body["client"], "acts": [body]}):
            answer = clients[role].post("/outfold/acts", json=sent)
            assert bool(REFUSAL.search(answer.text)) != role.may(OPS[op]), (role, answer.text)


def test_an_annotator_does_not_undo_the_bulk_act_of_a_lead(
    opened: AppContext, clients: dict[Role | None, TestClient]
) -> None:
    chosen = FindingFilter(round_id=1, kinds=frozenset({FindingKind.SUSPICIOUS}), min_confidence=0.0)
    saved = reviews.accept_all(opened, chosen, by="lead", expected=reviews.count(opened, chosen))
    body = {"client": "undo", "seq": 1, "round": 1, "op": "undo", "changeset": saved.changeset}
    refused = clients[Role.ANNOTATOR].post("/outfold/acts", json=body)
    assert (refused.status_code, "lead" in refused.json()["error"]) == (400, True)
    assert clients[Role.ADMIN].post("/outfold/acts", json=body).json()["undone"]["changeset"] == saved.changeset


def test_every_page_requires_a_right() -> None:
    files = {path.stem for path in (ROOT / "app" / "pages").glob("*.py")} - {"__init__"}
    assert files == set(PAGES)


@pytest.mark.parametrize(
    ("role", "open_pages"),
    [
        (Role.ANNOTATOR, {"home", "review", "tags", "masks"}),
        (Role.LEAD, set(PAGES)),
        (Role.ADMIN, set(PAGES)),
        (None, set(PAGES)),
    ],
)
def test_a_role_can_open_its_pages(role: Role | None, open_pages: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "current_role", lambda: role)
    assert {page for page in PAGES if may_open(f"pages/{page}.py")} == open_pages
    for right in Right:
        has: Callable[[], Any] = lambda right=right: require(right)  # noqa: E731
        if may(right):
            has()
        else:
            with pytest.raises(ForbiddenError, match=LEAST_ROLES[right]):
                has()


def test_each_role_has_all_rights_of_the_role_below() -> None:
    rights = [{right for right in Right if role.may(right)} for role in Role]
    assert rights == sorted(rights, key=len)
    assert rights[0] == {LOOK, DECIDE}
    assert rights[-1] == set(Right)
