from pathlib import Path

import pytest

from core.data.formats.paths import PathFinder, is_url, plain_path
from tests.core.data.formats.drawn import draw_all


def test_what_lies_beside_the_table_is_found_as_written_and_with_blanks_slashes_and_endings(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a/1.png", " b.png", "c.jpg"])
    finder = PathFinder(tmp_path)
    found = {text: finder.find(text) for text in ("a/1.png", "a\\1.png", " a/1.png ", "a/1", " b.png", "c")}
    assert found == {
        "a/1.png": f"{tmp_path}/a/1.png",
        "a\\1.png": f"{tmp_path}/a/1.png",
        " a/1.png ": f"{tmp_path}/a/1.png",
        "a/1": f"{tmp_path}/a/1.png",
        " b.png": f"{tmp_path}/ b.png",
        "c": f"{tmp_path}/c.jpg",
    }


@pytest.mark.parametrize(
    "written",
    [
        "/home/ann/data/cat/1.png",
        "C:\\data\\cat\\1.png",
        "https://a.org/x/cat/1.png?size=2",
        "s3://b/cat/1.png",
        "cat/1",
    ],
)
def test_paths_of_another_machine_are_found_below_the_image_root(written: str, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "images", ["cat/1.png"])
    (tmp_path / "table").mkdir()
    assert PathFinder(tmp_path / "table", str(root)).find(written) == f"{root}/cat/1.png"
    assert not Path(PathFinder(tmp_path / "table").find(written)).exists()


def test_names_too_long_for_a_disk_are_no_files_and_no_error(tmp_path: Path) -> None:
    name = "a" * 300 + ".png"
    assert PathFinder(tmp_path, str(tmp_path)).find(name) == f"{tmp_path}/{name}"


def test_urls_are_told_from_paths() -> None:
    assert [is_url(text) for text in ("https://a/b", "gs://a/b", "C:\\a", "a/b", "http_images/1.png")] == [
        True,
        True,
    ] + [False] * 3
    assert plain_path("https://a.org/x%20y/1.png?z=1") == "x y/1.png"
