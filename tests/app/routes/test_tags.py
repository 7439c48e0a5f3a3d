from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import routes
from app.services.app_context import AppContext
from app.services.tags import current as tags
from tools.fixtures.scenes import CAR, HOUSE, ROAD, SKY, TABLE, TREE, add_round, add_scenes


@pytest.fixture
def client(app_context: AppContext, tmp_path: Path) -> TestClient:
    """Return a browser on six scenes, the last three without a mask, and a round that saw them."""
    add_round(app_context, add_scenes(app_context, tmp_path / "scenes", 6, unlabelled=3))
    made = TestClient(Starlette(routes=routes(lambda: app_context)), cookies={"outfold_name": "ada"})
    made.headers.update({"X-Outfold": "1"})
    return made


def send(client: TestClient, *acts: dict[str, Any]) -> Any:
    return client.post("/outfold/tags", json={"client": "tab", "acts": list(acts)}).json()["results"]


def test_the_panel_returns_its_dataset_and_counts(client: TestClient) -> None:
    answer = client.get("/outfold/tags/1").json()
    assert answer["classes"] == list(TABLE.names)
    assert answer["colours"] == list(TABLE.colours)
    assert answer["counts"] == {"images": 6, "tagged": 0, "masked": 3, "left": 3}
    assert answer["round"] == {"id": 1, "number": 1}


def test_images_are_returned_with_suggested_tags(client: TestClient) -> None:
    items = client.get("/outfold/tags/1/images").json()["items"]
    assert [one["sample"] for one in items] == [4, 5, 6]
    assert {number for number, _ in items[0]["suggested"]} == {SKY, ROAD, HOUSE, TREE, CAR}
    assert (items[0]["tags"], items[0]["masked"], items[0]["by"]) == (None, False, None)
    later = client.get("/outfold/tags/1/images?show=all&after=2&limit=2").json()["items"]
    assert [one["sample"] for one in later] == [3, 4]
    assert client.get("/outfold/tags/image/4").json()["suggested"] == items[0]["suggested"]


def test_acts_are_stored_in_order_and_a_bad_act_blocks_nothing(client: TestClient, app_context: AppContext) -> None:
    first, bad, second, undone = send(
        client,
        {"seq": 1, "op": "tag", "sample": 4, "classes": [SKY, ROAD]},
        {"seq": 2, "op": "tag", "sample": 4, "classes": [77]},
        {"seq": 3, "op": "tag", "sample": 5, "classes": [CAR]},
        {"seq": 4, "op": "undo", "dataset": 1},
    )
    assert first["image"]["tags"] == [SKY, ROAD]
    assert first["image"]["by"] == "ada"
    assert first["saved_at"]
    assert (bad["seq"], bad["status"]) == (2, 400)
    assert "class 77 is none" in bad["error"]
    assert second["image"]["tags"] == [CAR]
    assert (undone["image"]["sample"], undone["image"]["tags"]) == (5, None)
    assert (
        send(client, {"seq": 1, "op": "tag", "sample": 4, "classes": [SKY, ROAD]})[0]["saved_at"] == first["saved_at"]
    )
    assert tags.panel(app_context, 1).counts.tagged == 1
    assert client.get("/outfold/tags/1/images?show=tagged").json()["items"][0]["tags"] == [SKY, ROAD]


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ({"seq": 1, "op": "tag", "sample": 4, "classes": []}, "no class is marked"),
        ({"seq": 1, "op": "tag", "sample": 4, "classes": "sky"}, "not a list of class numbers"),
        ({"seq": 1, "op": "tag", "sample": 4, "classes": [True]}, "not a list of class numbers"),
        ({"seq": 1, "op": "tag", "sample": 0, "classes": [1]}, "'sample' is 0"),
        ({"seq": 1, "op": "tag", "sample": 999, "classes": [1]}, "there is no image 999"),
        ({"seq": 1, "op": "burn", "sample": 4}, "'op' is 'burn'"),
        ({"op": "undo", "dataset": 1}, "'seq' is missing"),
        ({"seq": 1, "op": "undo"}, "'dataset' is missing"),
    ],
)
def test_an_invalid_request_is_refused_with_a_cure(client: TestClient, act: dict[str, Any], said: str) -> None:
    (result,) = send(client, act)
    assert said in result["error"]
    assert result["cure"]
    assert 400 <= result["status"] < 500


def test_missing_objects_are_not_found(client: TestClient) -> None:
    assert client.get("/outfold/tags/99").status_code == 404
    assert client.get("/outfold/tags/image/99").status_code == 404
    assert client.get("/outfold/tags/1/images?show=odd").status_code == 400
    assert client.post("/outfold/tags", json={"client": "tab"}).status_code == 400


@pytest.mark.parametrize(
    "address",
    ["tags/{}", "tags/{}/images", "tags/image/{}", "masks/{}", "masks/{}/labels", "masks/{}/predicted?round=1",
     "regions/{}/given.png", "regions/{}/image/128.webp", "exports/{}.zip"],
)  # fmt: skip
def test_an_id_out_of_range_is_not_found(client: TestClient, address: str) -> None:
    assert client.get(f"/outfold/{address.format(10**20)}").status_code == 400


def test_tagging_requires_a_name(client: TestClient) -> None:
    client.cookies.clear()
    assert client.post("/outfold/tags", json={"client": "tab", "acts": []}).status_code == 401
