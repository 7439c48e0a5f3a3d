"""The classes of a dataset over HTTP: what the page shows, and acts on them without a round."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import routes
from app.services import class_lists, reviews
from app.services.app_context import AppContext
from tests.app.services.reviewed import CLASSES, digits, digits_home  # noqa: F401 fixtures


@pytest.fixture
def client(digits: AppContext) -> TestClient:  # noqa: F811
    made = TestClient(Starlette(routes=routes(lambda: digits)), cookies={"outfold_name": "ada"})
    made.headers.update({"X-Outfold": "1"})
    return made


def act(client: TestClient, seq: int, **body: Any) -> Any:
    return client.post("/outfold/acts", json={"client": "tab", "seq": seq, "dataset": 1, **body}).json()


def shown(client: TestClient) -> Any:
    return client.get("/outfold/classes/1").json()


def test_acts_on_classes_return_the_classes_and_a_readable_history(client: TestClient) -> None:
    before = shown(client)
    assert before["offered"] == list(range(CLASSES))
    assert (before["history"], before["alike"]) == ([], [])
    added = act(client, 1, op="add_class", name="smudge")
    assert (added["class"], added["offered"]) == (CLASSES, list(range(CLASSES + 1)))
    renamed = act(client, 2, op="rename_class", **{"class": 3}, name="three")
    assert act(client, 2, op="rename_class", **{"class": 3}, name="three")["changeset"] == renamed["changeset"]
    undone = act(client, 3, op="undo", changeset=added["changeset"])
    assert (undone["undone"]["text"], undone["offered"]) == ("added the class smudge", list(range(CLASSES)))
    now = shown(client)
    assert now["classes"][3] == "three"
    assert [(one["text"], one["by"], one["live"]) for one in now["history"]] == [
        (f"renamed the class {before['classes'][3]} to three", "ada", True),
        ("added the class smudge", "ada", False),
    ]


def test_an_invalid_class_is_refused_with_its_cure(client: TestClient) -> None:
    assert "is a class of digits already" in act(client, 1, op="rename_class", **{"class": 3}, name="4")["error"]
    assert "characters" in act(client, 2, op="rename_class", **{"class": 3}, name=" ")["error"]
    assert client.get("/outfold/classes/77").status_code == 404
    assert "reorder_classes" in act(client, 3, op="paint")["cure"]


def test_names_that_differ_only_in_spelling_are_reported_as_one_class(client: TestClient, digits: AppContext) -> None:  # noqa: F811
    reviews.add_class(digits, 1, "Ink blot", by="ada")
    reviews.add_class(digits, 1, "ink-blot", by="ada")
    (one,) = shown(client)["alike"]
    assert one["classes"] == [CLASSES + 1, CLASSES]
    assert one["why"] == "Ink blot and ink-blot differ in spelling alone"
    assert [(two.class_id, two.other_id) for two in class_lists.similar_by_spelling(digits, 1)] == [(11, 10)]


def test_a_merge_is_previewed_and_an_order_must_name_every_class(client: TestClient) -> None:
    use = shown(client)["uses"]["3"]
    told = client.get("/outfold/classes/1/merge?class=3&into=4").json()
    assert told["use"] == use
    assert use["images"] > 0
    assert told["settled"] <= use["open"]
    merged = act(client, 1, op="merge_classes", **{"class": 3}, into=4)
    assert 3 not in merged["offered"]
    assert client.get("/outfold/classes/1/merge?class=3&into=4").status_code == 400
    wanted = merged["offered"][::-1]
    assert act(client, 2, op="reorder_classes", order=wanted)["offered"] == wanted
    assert "each class once" in act(client, 3, op="reorder_classes", order=[1])["error"]
    assert "'order'" in act(client, 4, op="reorder_classes", order=["a"])["error"]
    assert [one["text"].split()[0] for one in shown(client)["history"]] == ["reordered", "merged"]
    items = client.get("/outfold/findings?round=1&show=any&status=any&limit=50").json()["items"]
    assert 3 not in {number for item in items for number, _ in item["likely"]}
    act(client, 5, op="undo", changeset=merged["changeset"])
    assert 3 in shown(client)["offered"]
