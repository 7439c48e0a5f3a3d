import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import routes
from app.services.app_context import AppContext
from app.services.masks.request import TILE
from app.services.tags import current as tags
from core.data.masks.store import mask_hash
from core.types import IGNORE, ByteArray
from tools.fixtures.scenes import CAR, HOUSE, ROAD, SKY, TABLE, TREE, add_round, add_scenes, draw

WIDTH, HEIGHT = 160, 120


@pytest.fixture
def client(scenes: AppContext) -> TestClient:
    made = TestClient(Starlette(routes=routes(lambda: scenes)), cookies={"outfold_name": "ada"})
    made.headers.update({"X-Outfold": "1"})
    return made


def act(client: TestClient, seq: int, **body: Any) -> Any:
    return client.post("/outfold/acts", json={"client": "one", "seq": seq, "round": 1, **body}).json()


def verdict(finding: int, word: str = "accept", **rest: Any) -> dict[str, Any]:
    return {"op": "decide", "decisions": [{"finding": finding, "verdict": word, **rest}]}


def labels(client: TestClient, sample: int = 1) -> tuple[str, ByteArray]:
    answer = client.get(f"/outfold/masks/{sample}/labels")
    return answer.headers["x-outfold-version"], pixels(answer.content)


def pixels(png: bytes) -> Any:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def tile(mask: Any, number: int) -> bytes:
    """Return a tile as it travels, before it is deflated."""
    row, column = divmod(number, -(-WIDTH // TILE))
    part = mask[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
    return number.to_bytes(4, "little") + part.tobytes()


def save(client: TestClient, mask: Any, base: str, seq: int = 1, finding: int = 1, **headers: str) -> Any:
    body = mask if isinstance(mask, bytes) else zlib.compress(mask.tobytes())
    said = {
        "X-Outfold-Base": base, "X-Outfold-Finding": str(finding), "X-Outfold-Client": "editor",
        "X-Outfold-Seq": str(seq),
    }  # fmt: skip
    return client.post("/outfold/masks/1", content=body, headers=said | headers)


def test_a_round_of_masks_returns_task_colours_and_metrics(client: TestClient) -> None:
    answer = client.get("/outfold/rounds/1").json()
    assert (answer["task"], answer["colours"]) == ("segmentation", list(TABLE.colours))
    assert answer["boundary_differences"] == 9
    assert answer["mean_iou"] == 0.72


def test_only_annotators_of_this_dataset_are_offered_as_filters(
    scenes: AppContext, client: TestClient, tmp_path: Path
) -> None:
    other = add_round(scenes, add_scenes(scenes, tmp_path / "others", 1, name="others"))
    act(client, 1, **verdict(1))
    assert client.get("/outfold/rounds/1").json()["annotators"] == ["ada"]
    assert client.get(f"/outfold/rounds/{other}").json()["annotators"] == []


def test_a_card_of_a_region_contains_its_position(client: TestClient) -> None:
    items = client.get("/outfold/findings?round=1").json()["items"]
    region = items[0]["region"]
    assert (region["x"], region["y"], region["width"], region["height"], region["area"]) == (50, 84, 32, 15, 480)
    x, y, width, height = region["crop"]
    assert x <= 50 and y <= 84 and x + width >= 82 and y + height >= 99  # noqa: PT018
    assert width / height == pytest.approx(4 / 3, abs=0.05)
    assert not items[0]["edited"]
    small = client.get("/outfold/findings?round=1&max_area=300").json()["items"]
    assert {item["region"]["area"] for item in small} == {260}
    assert len(client.get("/outfold/findings?round=1&sample=3").json()["items"]) == 2
    assert client.get("/outfold/counts?round=1&min_area=300").json()["todo"] == 6


def test_the_editor_opens_an_image_with_its_regions_and_neighbours(client: TestClient) -> None:
    opened = client.get("/outfold/masks/2?round=1").json()
    assert (opened["width"], opened["height"], opened["dtype"], opened["ignore"]) == (WIDTH, HEIGHT, "uint8", IGNORE)
    assert [(one["given"], one["pseudo"]) for one in opened["regions"]] == [(ROAD, CAR), (HOUSE, SKY)]
    assert (opened["previous"], opened["next"]) == (1, 3)
    runs = np.array(opened["regions"][0]["runs"]).reshape(-1, 3)
    assert runs[:, 2].sum() == opened["regions"][0]["area"]
    assert client.get("/outfold/masks/1?round=1").json()["previous"] is None
    assert client.get("/outfold/masks/6?round=1").json()["next"] is None


def test_labels_and_predictions_are_transferred_unchanged(client: TestClient) -> None:
    version, mask = labels(client)
    np.testing.assert_array_equal(mask, draw(0).given)
    assert version == client.get("/outfold/masks/1?round=1").json()["version"]
    named = client.get(f"/outfold/masks/1/labels?version={version}")
    assert "immutable" in named.headers["cache-control"]
    predicted = client.get("/outfold/masks/3/predicted?round=1")
    np.testing.assert_array_equal(pixels(predicted.content), draw(2).truth)


def test_an_edit_is_stored_returned_and_undone_like_any_act(client: TestClient) -> None:
    base, mask = labels(client)
    edited = mask.copy()
    region = next(one for one in client.get("/outfold/masks/1?round=1").json()["regions"] if one["id"] == 1)
    for y, x, length in np.reshape(region["runs"], (-1, 3)).tolist():
        edited[y, x : x + length] = CAR
    answer = save(client, edited, base).json()
    version, now = labels(client)
    assert version == answer["version"]
    assert {"id": 1, "status": "relabel"} in answer["regions"]
    np.testing.assert_array_equal(now, edited)
    assert save(client, edited, base).json() == answer  # the same edit again is the same act
    card = client.get("/outfold/findings/1").json()
    assert (card["status"], card["label"], card["edited"], len(card["decisions"])) == ("relabel", None, True, 1)
    undone = act(client, 1, op="undo")
    assert undone["undone"]["text"] == "edited a mask"
    assert [item["id"] for item in undone["items"]] == [1]
    assert labels(client)[0] == base
    act(client, 2, op="redo")
    assert labels(client)[0] == version


def test_changed_tiles_are_stored_like_a_whole_mask(client: TestClient) -> None:
    base, mask = labels(client)
    edited = mask.copy()
    edited[60:70, 60:70] = CAR  # four tiles
    edited[118:, 150:] = TREE  # the last one, smaller than the others
    tiles = {"X-Outfold-Tiles": str(TILE)}
    body = zlib.compress(b"".join(tile(edited, number) for number in (0, 1, 3, 4, 5)))
    answer = save(client, body, base, **tiles).json()
    version, now = labels(client)
    assert answer["version"] == version == mask_hash(edited)
    np.testing.assert_array_equal(now, edited)
    assert save(client, body, base, **tiles).json() == answer  # the same edit again is the same act
    assert save(client, zlib.compress(b""), version, 2, **tiles).json()["version"] == version
    assert save(client, body, base, 3, **tiles).status_code == 409
    assert save(client, body, "f" * 32, 4, **tiles).json()["version"] == version  # of a mask that is not there
    assert save(client, body, version, 5, **{"X-Outfold-Tiles": "63"}).status_code == 400
    back = zlib.compress(b"".join(tile(mask, number) for number in (0, 1, 3, 4, 5)))
    assert save(client, back, version, 6, **tiles).json()["version"] == base
    assert client.get("/outfold/findings/1").json()["status"] == "open"  # as after undo


def test_an_edit_without_a_finding_is_stored_with_or_without_a_round(client: TestClient) -> None:
    for seq, (round_id, x) in enumerate([("1", 10), ("", 30)], start=1):
        base, mask = labels(client)
        edited = mask.copy()
        edited[10:20, x : x + 10] = CAR
        answer = save(client, edited, base, seq, **{"X-Outfold-Finding": "", "X-Outfold-Round": round_id})
        assert answer.json()["version"] == labels(client)[0] != base
        np.testing.assert_array_equal(labels(client)[1], edited)
    assert client.get("/outfold/findings/1").json()["status"] == "open"
    assert client.get("/outfold/masks/1").json()["regions"] == []
    refused = save(client, mask, labels(client)[0], 3, **{"X-Outfold-Finding": "", "X-Outfold-Round": "99"})
    assert refused.status_code == 404


def test_images_are_found_by_part_of_their_name(client: TestClient) -> None:
    everything = client.get("/outfold/masks?dataset=1&round=1").json()
    assert [one["sample"] for one in everything["items"]] == [1, 2, 3, 4, 5, 6]
    assert everything["next"] is None
    act(client, 1, **verdict(3))
    (found,) = client.get("/outfold/masks?dataset=1&round=1&name=E_002").json()["items"]
    assert (found["name"], found["regions"], found["undecided"]) == ("scene_002.png", 2, 1)
    assert client.get("/outfold/masks?dataset=1&name=%25").json()["items"] == []
    after = client.get("/outfold/masks?dataset=1&after=4").json()["items"]
    assert [(one["sample"], one["regions"]) for one in after] == [(5, 0), (6, 0)]


def test_a_stale_edit_is_refused_with_the_current_version(client: TestClient) -> None:
    base, mask = labels(client)
    act(client, 1, **verdict(1))
    present, accepted = labels(client)
    assert (accepted != mask).sum() == 480
    refused = save(client, np.zeros_like(mask), base)
    assert (refused.status_code, refused.json()["version"]) == (409, present)
    assert set(refused.json()) == {"error", "cure", "version"}
    np.testing.assert_array_equal(labels(client)[1], accepted)


def test_saving_an_unchanged_mask_stores_no_decision(client: TestClient) -> None:
    base, mask = labels(client)
    assert save(client, mask, base).json()["version"] == base
    assert client.get("/outfold/findings/1").json()["status"] == "open"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"no zlib", zlib.compress(b""), zlib.compress(bytes(WIDTH * HEIGHT - 1)),
        zlib.compress(bytes(WIDTH * HEIGHT + 1)), zlib.compress(bytes(WIDTH * HEIGHT))[:-3],
        zlib.compress(bytes(WIDTH * HEIGHT)) + b"more", zlib.compress(bytes([5]) * (WIDTH * HEIGHT)),
        zlib.compress(bytes(1 << 28)),
    ],
    ids=["empty", "other", "none", "less", "more", "cut off", "trailing", "no class", "bomb"],
)  # fmt: skip
def test_a_body_that_is_not_a_mask_of_this_image_is_refused(client: TestClient, body: bytes) -> None:
    base, _ = labels(client)
    answer = save(client, body, base)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "cure"}
    assert labels(client)[0] == base


def test_an_oversized_body_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    base, _ = labels(client)
    assert save(client, bytes((64 << 20) + 1), base).status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Outfold": "0"}, 403), ({"X-Outfold-Finding": "x"}, 400), ({"X-Outfold-Finding": "4711"}, 404),
        ({"X-Outfold-Finding": "2"}, 400), ({"X-Outfold-Seq": "-1"}, 400), ({"X-Outfold-Client": "x" * 65}, 400),
        ({"X-Outfold-Base": ""}, 400), ({"X-Outfold-Base": "../../etc"}, 409),
    ],
)  # fmt: skip
def test_an_invalid_edit_is_refused(client: TestClient, headers: dict[str, str], status: int) -> None:
    base, mask = labels(client)
    answer = save(client, np.zeros_like(mask), base, **headers)
    assert answer.status_code == status
    assert {"error", "cure"} <= set(answer.json())


def test_editing_requires_a_name(client: TestClient) -> None:
    base, mask = labels(client)
    client.cookies.clear()
    assert save(client, mask, base).status_code == 401


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("masks", 400), ("masks?dataset=1&after=99", 404), ("masks/99?round=1", 404), ("masks/1?round=x", 400),
        ("masks/x?round=1", 404), ("masks/1/labels?version=..%2fx", 404),
        (f"masks/1/labels?version={'f' * 32}", 404), ("masks/1/predicted?round=99", 404), ("masks/1/predicted", 400),
        ("regions/1/image/100.webp", 400), ("regions/1/glow/192.webp", 400), ("regions/99/image/192.webp", 404),
        ("regions/1/all.png", 400), ("findings?round=1&min_area=x", 400), ("findings?round=1&sample=0", 400),
        ("findings?round=1&similar=3-x", 400), (f"findings?round=1&similar={'-'.join('1' * 300)}", 400),
    ],
)  # fmt: skip
def test_missing_objects_are_not_found(client: TestClient, address: str, status: int) -> None:
    answer = client.get(f"/outfold/{address}")
    assert answer.status_code == status
    if address != "masks/x?round=1":
        assert set(answer.json()) == {"error", "cure"}


@pytest.mark.parametrize("edge", [192, 384, 1024])
def test_the_layers_of_a_crop_are_aligned(client: TestClient, edge: int) -> None:
    fill, contour = (picture(client, f"regions/1/{layer}/{edge}.webp") for layer in ("fill", "contour"))
    image = picture(client, f"regions/1/image/{edge}.webp")
    assert fill.size == contour.size
    assert max(fill.size) == edge
    assert image.size[0] / image.size[1] == pytest.approx(fill.size[0] / fill.size[1], abs=0.05)
    inside = np.asarray(fill)[..., 3] > 0
    around = np.asarray(contour)[..., 3] > 0
    crop = client.get("/outfold/findings?ids=1").json()["items"][0]["region"]["crop"]
    assert inside.sum() / inside.size == pytest.approx(480 / (crop[2] * crop[3]), rel=0.1)
    assert tuple(np.asarray(contour)[around][0, :3]) == (232, 113, 10)


def test_a_picture_is_cached_forever_only_under_its_content_hash(client: TestClient) -> None:
    version = client.get("/outfold/findings?ids=1").json()["items"][0]["region"]["version"]
    named = client.get(f"/outfold/regions/1/image/192.webp?v={version}")
    assert "immutable" in named.headers["cache-control"]
    unnamed = client.get("/outfold/regions/1/image/192.webp")
    assert unnamed.headers["cache-control"] == "no-cache"
    again = client.get("/outfold/regions/1/image/192.webp", headers={"If-None-Match": unnamed.headers["etag"]})
    assert again.status_code == 304


def test_masks_are_drawn_over_the_image_in_their_colours(client: TestClient) -> None:
    given, suggested, difference = (
        np.asarray(picture(client, f"regions/1/{which}.png").convert("RGBA"))
        for which in ("given", "suggested", "difference")
    )
    colours = np.array([[*bytes.fromhex(colour[1:]), 255] for colour in TABLE.colours])
    scene = draw(0)
    known = scene.given != IGNORE
    np.testing.assert_array_equal(given[known], colours[scene.given[known]])
    assert not given[~known][:, 3].any()
    changed = (given != suggested).any(axis=2)
    assert changed.sum() == 480
    np.testing.assert_array_equal(suggested[changed], np.tile(colours[CAR], (480, 1)))
    np.testing.assert_array_equal(difference[..., 3] > 0, changed)
    act(client, 1, **verdict(1))
    np.testing.assert_array_equal(np.asarray(picture(client, "regions/1/given.png").convert("RGBA")), given)


def test_masks_of_many_classes_have_two_bytes_per_pixel(scenes: AppContext, client: TestClient, tmp_path: Path) -> None:
    from core.types import ClassTable

    many = ClassTable(tuple(f"class {k}" for k in range(300)), tuple(f"#{k:06x}" for k in range(300)))
    dataset = add_scenes(scenes, tmp_path / "many", 2, table=many, name="many")
    round_id = add_round(scenes, dataset)
    first = client.get(f"/outfold/findings?round={round_id}").json()["items"][0]
    sample = first["sample_id"]
    opened = client.get(f"/outfold/masks/{sample}?round={round_id}").json()
    assert (opened["dtype"], opened["ignore"]) == ("uint16", 65535)
    answer = client.get(f"/outfold/masks/{sample}/labels")
    mask = pixels(answer.content).astype(np.uint16)
    mask[5:9] = 299
    said = {
        "X-Outfold-Base": opened["version"], "X-Outfold-Finding": str(first["id"]), "X-Outfold-Client": "wide",
        "X-Outfold-Seq": "1",
    }  # fmt: skip
    saved = client.post(f"/outfold/masks/{sample}", content=zlib.compress(mask.tobytes()), headers=said).json()
    now = client.get(f"/outfold/masks/{sample}/labels?version={saved['version']}")
    np.testing.assert_array_equal(pixels(now.content), mask)
    mask[0] = 300
    said |= {"X-Outfold-Base": saved["version"], "X-Outfold-Seq": "2"}
    assert (
        client.post(f"/outfold/masks/{sample}", content=zlib.compress(mask.tobytes()), headers=said).status_code == 400
    )
    assert picture(client, f"regions/{first['id']}/given.png").size == (WIDTH, HEIGHT)


def picture(client: TestClient, path: str) -> Image.Image:
    answer = client.get(f"/outfold/{path}")
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def test_the_editor_receives_the_tags_of_the_image(scenes: AppContext, client: TestClient) -> None:
    assert client.get("/outfold/masks/1?round=1").json()["tags"] is None
    tags.tag(scenes, 1, [CAR, SKY], by="ada")
    assert client.get("/outfold/masks/1?round=1").json()["tags"] == [SKY, CAR]
    tags.tag(scenes, 1, None, by="ada")
    assert client.get("/outfold/masks/1").json()["tags"] is None
