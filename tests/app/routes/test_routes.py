import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.components import assets
from app.routes import routes
from app.routes.handlers import explain
from app.services.app_context import AppContext, open_app
from app.settings import Settings
from core.types import DatasetError
from db.models import SampleRow
from tools.fixtures.reviews import add_round, fill

COUNT = 30
HEADERS = {"X-Outfold": "1"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppContext]:
    """Return one installation for all tests here; each uses findings and a client of its own."""
    opened = open_app(Settings(home=tmp_path_factory.mktemp("routes"), demo=False, embedded_worker=False))
    fill(opened, COUNT, suspicious=1)
    yield opened
    opened.database.close()


@pytest.fixture
def client(served: AppContext) -> TestClient:
    made = TestClient(Starlette(routes=routes(lambda: served)), cookies={"outfold_name": "ada"})
    made.headers.update(HEADERS)
    return made


def act(client: TestClient, name: str, seq: int, **body: Any) -> Any:
    return client.post("/outfold/acts", json={"client": name, "seq": seq, "round": 1, **body}).json()


def verdict(finding: int, word: str = "accept", **rest: Any) -> dict[str, Any]:
    return {"op": "decide", "decisions": [{"finding": finding, "verdict": word, **rest}]}


def test_a_verdict_returns_the_new_state_of_its_card(client: TestClient) -> None:
    answer = act(client, "one", 1, **verdict(1))
    assert answer["items"][0] | {"label": None} == {
        "id": 1, "status": "accept", "label": None, "by": "ada", "edited": False,
    }  # fmt: skip
    assert act(client, "one", 1, **verdict(1)) == answer
    shown = client.get("/outfold/findings/1").json()
    assert shown["status"] == "accept"
    assert [one["verdict"] for one in shown["decisions"]] == ["accept"]


def test_the_former_address_of_the_impact_page_redirects_with_its_parameters(client: TestClient) -> None:
    for address, target in (("/worth", "impact"), ("/worth?dataset=1&name=a%20b", "impact?dataset=1&name=a%20b")):
        answer = client.get(address, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (307, target)


def test_a_refused_act_does_not_block_the_acts_after_it(client: TestClient) -> None:
    acts = [
        {"seq": 1, **verdict(2)},
        {"seq": 2, **verdict(2, "relabel", label=99)},
        {"seq": 3, **verdict(4711)},
        {"seq": 4, "op": "undo"},
        {"seq": 5, "op": "redo"},
    ]
    answer = client.post("/outfold/acts", json={"client": "batch", "round": 1, "acts": acts})
    assert [one.get("status") for one in answer.json()["results"]] == [None, 400, 404, None, None]
    assert answer.json()["results"][4]["items"][0]["status"] == "accept"
    again = client.post("/outfold/acts", json={"client": "batch", "round": 1, "acts": acts[:1]})
    assert again.json()["results"][0]["changeset"] == answer.json()["results"][0]["changeset"]


def test_a_class_is_added_once_however_often_it_is_sent(tmp_path: Path) -> None:
    opened = open_app(Settings(home=tmp_path, demo=False, embedded_worker=False))
    fill(opened, 5)
    client = TestClient(Starlette(routes=routes(lambda: opened)), cookies={"outfold_name": "ada"}, headers=HEADERS)

    def add(seq: int, name: str) -> Any:
        body = {"client": "classes", "seq": seq, "round": 1, "op": "add_class", "name": name}
        return client.post("/outfold/acts", json=body).json()

    first = add(1, "smudge")
    assert (first["classes"][first["class"]], first["name"]) == ("smudge", "smudge")
    assert add(1, "smudge") == first
    assert add(2, "SMUDGE")["changeset"] is None
    assert "characters" in add(3, "  ")["error"]
    undone = act(client, "classes", 4, op="undo")
    assert (undone["undone"]["act"], first["class"] in undone["offered"]) == ("classes", False)
    assert "classes" not in act(client, "classes", 5, op="undo")
    shown = client.get("/outfold/rounds/1").json()
    assert (shown["classes"], shown["offered"]) == (first["classes"], first["offered"][:-1])
    opened.database.close()


def test_pages_follow_each_other_by_cursor(client: TestClient) -> None:
    path, seen = "/outfold/findings?round=1&status=any&limit=7", []
    page = client.get(path).json()
    while page["next"]:
        seen += [item["id"] for item in page["items"]]
        page = client.get(f"{path}&after={page['next']}").json()
    seen += [item["id"] for item in page["items"]]
    assert len(seen) == len(set(seen)) == COUNT
    some = client.get("/outfold/findings?ids=3,1,999").json()["items"]
    assert [item["id"] for item in some] == [3, 1]
    assert set(some[0]) == {
        "id", "sample_id", "name", "hash", "width", "height", "given", "pseudo", "confidence", "self_confidence",
        "likely", "split", "fold", "rank", "kind", "contradicting", "status", "label", "by", "region", "edited",
            "note",
    }  # fmt: skip


def test_accept_all_is_refused_with_the_new_count_if_another_number_was_shown(client: TestClient) -> None:
    shown = client.get("/outfold/accept_all?round=1&min=0.9").json()
    body = {"client": "bulk", "seq": 1, "filter": {"round": 1, "min": 0.9}, "expected": shown["count"] + 1}
    refused = client.post("/outfold/accept_all", json=body)
    assert (refused.status_code, refused.json()["count"]) == (409, shown["count"])
    done = client.post("/outfold/accept_all", json=body | {"expected": shown["count"]}).json()
    assert done["size"] == shown["count"] > 0
    assert client.get("/outfold/counts?round=1").json()["by_status"]["bulk"] == shown["count"]
    undone = act(client, "bulk", 2, op="undo", changeset=done["changeset"])["undone"]
    assert (undone["act"], undone["size"]) == ("accept_all", shown["count"])


def test_a_round_returns_the_available_filter_values(client: TestClient) -> None:
    answer = client.get("/outfold/rounds/1").json()
    assert answer["classes"] == [str(number) for number in range(10)]
    assert (answer["splits"], answer["folds"], answer["round"]["recipe"]) == (["test", "train"], 5, "cross-fold")


@pytest.mark.parametrize(
    "query",
    [
        "", "round=x", "round=0", "round=99999999999999999999", "round=1&given=x", "round=1&given=-2",
        "round=1&min=nan", "round=1&min=2", "round=1&max=-1", "round=1&show=nothing", "round=1&status=open,nothing",
        "round=1&order=random", "round=1&limit=0", "round=1&limit=100000", "round=1&after=nonsense",
        "round=1&fold=1.5", "round=1&path=%00",
        "round=1&path=" + "x" * 300, "ids=1,x", "round=²",
    ],
)  # fmt: skip
def test_an_invalid_query_is_refused_with_its_cure(client: TestClient, query: str) -> None:
    answer = client.get(f"/outfold/findings?{query}")
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "cure"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"client": "bad"},
        {"client": "", "seq": 1, "round": 1, **verdict(1)},
        {"client": "bad" * 50, "seq": 1, "round": 1, **verdict(1)},
        {"client": "bad", "seq": -1, "round": 1, **verdict(1)},
        {"client": "bad", "seq": True, "round": 1, **verdict(1)},
        {"client": "bad", "seq": 2**40, "round": 1, **verdict(1)},
        {"client": "bad\ud800", "seq": 1, "round": 1, **verdict(1)},
        {"client": "bad", "seq": 1, "round": 1, "op": "drop"},
        {"client": "bad", "seq": 1, "round": 1, "op": "decide"},
        {"client": "bad", "seq": 1, "round": 1, "op": "decide", "decisions": []},
        {"client": "bad", "seq": 1, "round": 1, "op": "decide", "decisions": [1]},
        {"client": "bad", "seq": 1, "round": 1, "op": "undo", "changeset": "x"},
        {"client": "bad", "seq": 1, "op": "redo"},
        {"client": "bad", "seq": 1, "round": 1, **verdict(1, "maybe")},
        {"client": "bad", "seq": 1, "round": 1, **verdict(1, "relabel")},
        {"client": "bad", "seq": 1, "round": 1, **verdict(1, "relabel", label=10)},
        {"client": "bad", "seq": 1, "round": 1, **verdict(1, "relabel", label=1.5)},
        {"client": "bad", "round": 1, "acts": {}},
        {"client": "bad", "round": 1, "acts": [3]},
    ],
)
def test_an_invalid_act_is_refused_with_its_cure(client: TestClient, body: object) -> None:
    answer = client.post("/outfold/acts", content=json.dumps(body))
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "cure"}


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000])
def test_a_body_that_is_not_json_is_refused(client: TestClient, raw: bytes) -> None:
    assert client.post("/outfold/acts", content=raw).status_code == 400


def test_unknown_rounds_findings_and_acts_are_not_found(client: TestClient) -> None:
    assert client.get("/outfold/rounds/99").status_code == 404
    assert client.get("/outfold/findings/99999").status_code == 404
    gone = client.post("/outfold/acts", json={"client": "gone", "seq": 1, "round": 1, "op": "undo", "changeset": 9999})
    assert gone.status_code == 404


def test_message_and_cure_of_an_error_are_separate_fields() -> None:
    parts = {"error": "the mask cannot be read", "cure": "import the dataset again"}
    assert explain(DatasetError("the mask cannot be read", "import the dataset again")) == (parts, 404)
    assert explain(DatasetError("the mask cannot be read")) == (parts, 404)


def test_foreign_pages_and_requests_without_a_name_cannot_act(client: TestClient) -> None:
    del client.headers["X-Outfold"]
    assert client.post("/outfold/acts", json={}).status_code == 403
    client.headers.update(HEADERS)
    client.cookies.clear()
    nameless = client.post("/outfold/acts", json={})
    assert (nameless.status_code, set(nameless.json())) == (401, {"error", "cure"})


def test_an_endless_body_is_cut_off(client: TestClient) -> None:
    assert client.post("/outfold/acts", content=b" " * (2 << 20)).status_code == 413


def test_a_name_is_cleaned_and_kept_for_a_year(client: TestClient) -> None:
    client.cookies.clear()
    assert client.get("/outfold/me").json() == {"name": None}
    answer = client.post("/outfold/me", json={"name": "  Ána\u202e\n; Löve "})
    assert answer.json() == {"name": "Ána ; Löve"}
    assert "Max-Age=31536000" in answer.headers["set-cookie"]
    assert client.get("/outfold/me").json() == {"name": "Ána ; Löve"}


@pytest.mark.parametrize("name", ["", "  ", "\u200b", "x" * 81, 5, None, "\ud800"])
def test_an_invalid_name_is_refused(client: TestClient, name: object) -> None:
    answer = client.post("/outfold/me", content=json.dumps({"name": name}))
    assert answer.status_code == 400


@pytest.mark.parametrize("cookie", ["%ff", "%00", "x" * 100, "%20"])
def test_a_cookie_with_an_invalid_name_counts_as_no_name(client: TestClient, cookie: str) -> None:
    client.cookies.clear()
    assert client.get("/outfold/me", headers={"Cookie": f"outfold_name={cookie}"}).json() == {"name": None}


def test_images_are_cached_forever_under_their_content_hash(
    client: TestClient, served: AppContext, digits_folder: Path
) -> None:
    source = digits_folder / "3" / "000.png"
    with served.database.write() as session:
        sample = session.get_one(SampleRow, 5)
        sample.path, sample.bytes = str(source), source.stat().st_size
    address = f"/outfold/image/{4:032x}"
    for edge in (96, 0):
        answer = client.get(f"{address}/{edge}.webp")
        assert (answer.status_code, answer.content[8:12]) == (200, b"WEBP")
        assert "immutable" in answer.headers["cache-control"]
    shown = client.get(f"{address}/96.webp").content
    assert client.get(f"{address}/96.webp").content == shown
    (kept,) = served.thumbnails.rglob("*-96.webp")
    kept.write_bytes(b"")  # as a power cut leaves it
    assert client.get(f"{address}/96.webp").content == shown
    assert kept.stat().st_size > len(shown)
    assert client.get(f"{address}/97.webp").status_code == 400
    assert client.get(f"/outfold/image/{5:032x}/96.webp").status_code == 404  # the file is not there
    assert client.get(f"/outfold/image/{'f' * 32}/96.webp").status_code == 404
    assert client.get("/outfold/image/..%2f..%2fx/96.webp").status_code in (400, 404)


def test_an_image_changed_since_its_import_is_not_served_under_its_old_hash(
    client: TestClient, served: AppContext, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.png"
    changed.write_bytes(b"longer than before")
    with served.database.write() as session:
        sample = session.get_one(SampleRow, 7)
        sample.path, sample.bytes = str(changed), 3
    assert client.get(f"/outfold/image/{6:032x}/96.webp").status_code == 404


def test_assets_are_served_only_from_the_components(client: TestClient) -> None:
    address = assets.url("review_grid/main.js")
    present = client.get(address)
    assert "immutable" in present.headers["cache-control"]
    assert present.headers["content-type"].startswith("text/javascript")
    assert "immutable" not in client.get("/outfold/assets/old/review_grid/main.js").headers["cache-control"]
    for path in ("__init__.py", "%2e%2e/__init__.py", "%2e%2e/%2e%2e/pyproject.toml", "review_grid", "/etc/passwd"):
        assert client.get(f"/outfold/assets/x/{path}").status_code == 404


def test_the_pulse_returns_the_version(client: TestClient) -> None:
    assert client.get("/outfold/health").json()["ok"] is True


def test_an_undo_returns_only_cards_of_the_round_on_screen(tmp_path: Path) -> None:
    opened = open_app(Settings(home=tmp_path, demo=False, embedded_worker=False))
    fill(opened, 5)
    newer = add_round(opened, 1, range(1, 6), number=2)
    client = TestClient(Starlette(routes=routes(lambda: opened)), cookies={"outfold_name": "ada"}, headers=HEADERS)
    card = client.get("/outfold/findings?round=1&status=any&show=any").json()["items"][0]["id"]
    act(client, "two", 1, **verdict(card))
    assert [one["id"] for one in act(client, "two", 2, op="undo")["items"]] == [card]
    elsewhere = act(client, "two", 3, op="redo") | act(client, "two", 4, op="undo", round=newer)
    assert len(elsewhere["items"]) == 1
    assert elsewhere["items"][0]["id"] != card
    opened.database.close()


def test_a_round_lists_the_other_reviewable_datasets(tmp_path: Path) -> None:
    opened = open_app(Settings(home=tmp_path, demo=False, embedded_worker=False))
    fill(opened, 3)
    newest = add_round(opened, 1, range(1, 4), number=2)
    client = TestClient(Starlette(routes=routes(lambda: opened)))
    answer = client.get("/outfold/rounds/1").json()
    assert answer["datasets"] == [{"id": 1, "name": "bench", "round": newest}]
    opened.database.close()


def test_only_acts_and_their_undo_increase_the_state_number(client: TestClient) -> None:
    def state() -> int:
        return int(client.get("/outfold/state").json()["state"])

    began = state()
    assert state() == began
    act(client, "state", 1, op="decide", decisions=[{"finding": 3, "verdict": "keep"}])
    said = state()
    assert said > began
    client.get("/outfold/findings?round=1")
    assert state() == said
    act(client, "state", 2, op="undo")
    assert state() > said


def test_differing_verdicts_of_others_are_reported_but_not_own_acts(client: TestClient) -> None:
    def since(after: int, name: str, by: str = "ada") -> dict[str, Any]:
        client.cookies.set("outfold_name", by)
        answer: dict[str, Any] = client.get(f"/outfold/state?round=1&after={after}&client={name}").json()
        return answer

    began = int(client.get("/outfold/state").json()["state"])
    act(client, "news-ada", 1, **verdict(21, "keep"))
    act(client, "news-ada", 2, **verdict(22, "keep"))
    act(client, "news-ada", 3, **verdict(23, "second_opinion"))
    own = since(began, "news-ada")
    assert (own["acted"], own["overruled"]) == (False, [])
    client.cookies.set("outfold_name", "grace")
    act(client, "news-grace", 1, **verdict(21, "exclude"))
    act(client, "news-grace", 2, **verdict(22, "keep"))  # the same again
    act(client, "news-grace", 3, **verdict(23, "keep"))  # the other look that was asked for
    told = since(own["state"], "news-ada")
    assert told["acted"]
    assert [(one["id"], one["by"], one["status"], one["own"]["status"]) for one in told["overruled"]] == [
        (21, "grace", "exclude", "keep")
    ]
    assert since(own["state"], "another", by="grace")["overruled"] == [], "to whoever decided last it is no news"
    client.cookies.set("outfold_name", "grace")
    act(client, "news-grace", 4, op="undo")
    act(client, "news-grace", 5, op="undo")
    act(client, "news-grace", 6, op="undo")
    assert since(own["state"], "news-ada")["overruled"] == []
    act(client, "news-ada", 4, **verdict(21, "accept"))
    assert since(began, "news-ada")["overruled"] == []


def test_a_dataset_page_receives_classes_changed_by_others(client: TestClient) -> None:
    began = int(client.get("/outfold/state").json()["state"])
    offered = client.get("/outfold/rounds/1").json()["offered"]
    act(client, "classes-ada", 1, op="reorder_classes", order=offered[::-1])
    own = client.get(f"/outfold/state?dataset=1&after={began}&client=classes-ada").json()
    assert (own["acted"], "offered" in own) == (False, False)
    told = client.get(f"/outfold/state?dataset=1&after={began}&client=another").json()
    assert (told["offered"], told["merged"]) == (offered[::-1], [])
    act(client, "classes-ada", 2, op="undo")


def test_the_state_since_an_act_requires_a_round_and_a_client(client: TestClient) -> None:
    assert client.get("/outfold/state?after=1").status_code == 400
    assert client.get("/outfold/state?after=1&round=1&client=").status_code == 400
