"""Audits and removal of images over HTTP, as the review page asks for them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import routes
from app.services.app_context import AppContext, open_app
from app.settings import Settings
from core.judge import confusions
from db.models import RoundRow
from tools.fixtures.reviews import fill

COUNT = 150
SET = {"round": 1, "filter": {"show": "suspicious", "min": 0.5}}


@pytest.fixture
def client(app_context: AppContext) -> TestClient:
    fill(app_context, COUNT, suspicious=1)
    return client_of(app_context, "ada")


def client_of(app_context: AppContext, name: str) -> TestClient:
    made = TestClient(Starlette(routes=routes(lambda: app_context)), cookies={"outfold_name": name})
    made.headers.update({"X-Outfold": "1"})
    return made


def post(browser: TestClient, path: str, **body: Any) -> dict[str, Any]:
    answer = browser.post(f"/outfold/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def judge(client: TestClient, cards: list[dict[str, Any]], audit: int, verdict: str = "accept") -> None:
    acts = [
        {"seq": card["place"], "op": "decide", "decisions": [{"finding": card["id"], "verdict": verdict}]}
        | {"audit": audit, "blind": True}
        for card in cards
    ]
    answer = post(client, "acts", client=f"tab-{cards[0]['place']}", round=1, acts=acts)
    assert [one.get("error") for one in answer["results"]] == [None] * len(cards)


def test_an_audit_is_started_judged_and_certifies_accept_all(client: TestClient) -> None:
    before = client.get("/outfold/accept_all?round=1&min=0.5").json()
    assert before["known"]["precision"] is before["known"]["certificate"] is before["audit"] is None
    assert before["to_certify"] > 40
    audit = post(client, "audits", **SET)
    assert (audit["size"], audit["order"], audit["alpha"], audit["state"]) == (before["size"], 1, 0.05, "open")
    assert audit["needed"] == before["to_certify"]
    last, shown = -1, []
    while len(shown) < audit["needed"]:
        hand = post(client, "audits/cards", audit=audit["id"], after=last, limit=10)
        assert [card["place"] for card in hand["items"]] == list(range(last + 1, last + 11))
        judge(client, hand["items"], audit["id"])
        shown += [card["id"] for card in hand["items"]]
        last = hand["next"]
    assert shown[:24] == [item["id"] for item in before["sample"]]
    seen = client.get(f"/outfold/audits/{audit['id']}").json()
    assert (seen["state"], seen["judged"], seen["wrong"]) == ("certified", len(shown), 0)
    after = client.get("/outfold/accept_all?round=1&min=0.5").json()
    assert after["known"]["certificate"]["text"] == seen["certificate"]["text"]
    assert after["to_certify"] is None
    body = {"client": "bulk", "seq": 1, "expected": after["count"], "certified": True, **SET}
    done = post(client, "accept_all", **body)
    assert done["size"] == after["count"] == audit["size"] - len(shown)
    assert done["known"]["certificate"] == after["known"]["certificate"]
    answer = client.get("/outfold/rounds/1").json()
    assert [one["id"] for one in answer["audits"]] == [audit["id"]]
    assert answer["bulk_acts"][0]["known"]["certified"] is True


def test_a_missing_certificate_is_refused(client: TestClient) -> None:
    count = client.get("/outfold/accept_all?round=1&min=0.5").json()["count"]
    body = {"client": "bulk", "seq": 1, "expected": count, "certified": True, **SET}
    answer = client.post("/outfold/accept_all", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == "this set has no certificate"
    assert "random sample" in answer.json()["cure"]


def test_other_annotators_get_other_cards_and_see_the_progress(client: TestClient, app_context: AppContext) -> None:
    audit = post(client, "audits", **SET)["id"]
    bob = client_of(app_context, "bob")
    mine = post(client, "audits/cards", audit=audit, limit=5)["items"]
    theirs = post(bob, "audits/cards", audit=audit, limit=5)["items"]
    assert [card["place"] for card in theirs] == [5, 6, 7, 8, 9]
    judge(bob, theirs, audit)
    seen = client.get(f"/outfold/audits/{audit}").json()
    assert (seen["judged"], seen["beyond"]) == (0, 5)
    assert seen["gap"] == {"place": 0, "finding": mine[0]["id"], "why": "leased", "by": "ada"}
    judge(client, mine, audit)
    assert client.get("/outfold/audits?round=1").json()["audits"][0]["judged"] == 10


def test_closing_an_audit_counts_skipped_cards_as_wrong_and_offers_quarters(client: TestClient) -> None:
    audit = post(client, "audits", **SET)["id"]
    hand = post(client, "audits/cards", audit=audit, limit=12)["items"]
    judge(client, hand[:3] + hand[4:8], audit)
    closed = post(client, "audits/close", audit=audit)
    assert (closed["judged"], closed["wrong"], closed["state"]) == (8, 1, "closed")
    quarters = post(client, "audits/quarters", audit=audit)["quarters"]
    assert sum(one["size"] for one in quarters) == closed["size"]
    assert all(one["parent"] == audit for one in quarters)
    opened = post(client, "audits/close", audit=audit, closed=False)
    assert (opened["judged"], opened["wrong"], opened["closed"]) == (3, 0, False)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("audits", {"round": 1, "filter": 3}),
        ("audits", {"round": 99, "filter": {}}),
        ("audits", {"round": 1, "filter": {"by": "ada"}}),
        ("audits", {"round": 1, "filter": {"min": 0.999, "max": 0.9991, "pseudo": 3, "given": 3}}),
        ("audits/cards", {}),
        ("audits/cards", {"audit": 99}),
        ("audits/cards", {"audit": 1, "limit": 100_000}),
        ("audits/close", {"audit": 1, "closed": "no"}),
        ("audits/quarters", {"audit": "x"}),
    ],
)
def test_an_invalid_request_is_refused_with_a_cure(client: TestClient, path: str, body: dict[str, Any]) -> None:
    post(client, "audits", **SET)
    answer = client.post(f"/outfold/{path}", json=body)
    assert answer.status_code in {400, 404}, answer.text
    assert answer.json()["error"]
    assert answer.json()["cure"]


def test_a_round_returns_its_hints_each_with_reason_and_advice(client: TestClient, app_context: AppContext) -> None:
    assert client.get("/outfold/rounds/1").json()["hints"] == []
    rows = [{"class": number, "name": str(number)} for number in range(3)]
    with app_context.database.write() as session:
        stored = session.get_one(RoundRow, 1)
        confusion = confusions.as_json(np.full((3, 3), 40))
        stored.metrics = dict(stored.metrics or {}) | {"confusion": confusion, "per_class": rows}
    (hint,) = client.get("/outfold/rounds/1").json()["hints"]
    assert hint["key"] == "low-agreement"
    assert hint["text"].startswith("Agrees with 33% of the labels")
    assert "random sample" in hint["advice"]


HEADERS = {"X-Outfold": "1"}


@pytest.fixture
def few(tmp_path: Path) -> TestClient:
    opened = open_app(Settings(home=tmp_path, demo=False, embedded_worker=False))
    fill(opened, 30, suspicious=1)
    return TestClient(Starlette(routes=routes(lambda: opened)), cookies={"outfold_name": "ada"}, headers=HEADERS)


def remove(few: TestClient, **body: Any) -> Any:
    return few.post("/outfold/removal", json={"round": 1, "filter": {"show": "suspicious"}, **body})


def test_the_previewed_images_are_removed_once(few: TestClient) -> None:
    told = few.get("/outfold/removal?round=1&show=suspicious").json()
    assert (told["images"], told["text"]) == (30, "30 images")
    answer = remove(few, expected=30, what="suspicious").json()
    assert (answer["images"], answer["name"]) == (30, "bench, suspicious")
    assert few.get("/outfold/counts?round=1").json()["total"] == 0
    again = remove(few, expected=30)
    assert (again.status_code, again.json()["error"]) == (404, "bench has no such image")


def test_an_outdated_number_of_images_removes_nothing(few: TestClient) -> None:
    refused = remove(few, expected=29)
    assert refused.json() == {"error": "30 images are chosen now, not 29", "cure": "look at them again"}
    assert remove(few).status_code == 400
    assert remove(few, filter="all", expected=30).json()["error"] == "'filter' is not an object"
    assert few.get("/outfold/counts?round=1").json()["total"] == 30


def test_a_verdict_on_a_removed_card_is_refused(few: TestClient) -> None:
    remove(few, expected=30)
    act = {"client": "one", "seq": 1, "round": 1, "op": "decide", "decisions": [{"finding": 1, "verdict": "keep"}]}
    assert few.post("/outfold/acts", json=act).status_code == 404
    assert few.get("/outfold/findings/1").status_code == 404
