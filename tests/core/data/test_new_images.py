from pathlib import Path

import pytest

from core.data.formats.source import Problems, ReadOptions
from core.data.images import ImageError
from core.data.new_images import decode_ahead, find_images
from core.types import DatasetError, SourceSample


def touched(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_walked_and_each_image_is_listed_once(tmp_path: Path) -> None:
    touched(tmp_path / "a" / "2.png", tmp_path / "a" / "below" / "1.jpg", tmp_path / "3.png", tmp_path / "a" / "t.txt")
    problems = Problems()
    found = find_images([tmp_path / "3.png", tmp_path / "a", tmp_path / "a" / "2.png"], ReadOptions(), problems)
    assert [one.name for one in found] == ["3.png", "2.png", "below/1.jpg"]
    assert all(Path(one.path).is_absolute() and Path(one.path).exists() for one in found)
    assert [one.path for one in problems.kept] == ["t.txt"]


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file or folder"):
        find_images([tmp_path / "nowhere"], ReadOptions(), Problems())
    touched(tmp_path / "a" / "t.txt")
    with pytest.raises(DatasetError, match="no image is there"):
        find_images([tmp_path / "a"], ReadOptions(), Problems())
    with pytest.raises(DatasetError, match="no image is there"):
        find_images([tmp_path / "a" / "t.txt"], ReadOptions(), Problems())


def test_unreadable_images_are_recorded_and_the_rest_is_read_in_order() -> None:
    images = [SourceSample(f"/{number}", str(number)) for number in range(100)]

    def read(path: Path) -> int:
        number = int(path.name)
        if number % 10 == 3:
            raise ImageError("corrupt image", "it is broken", "copy it again")
        return number

    problems = Problems()
    batches = list(decode_ahead(images, read, problems, 8))
    assert [number for batch in batches for _, number in batch] == [n for n in range(100) if n % 10 != 3]
    assert [one.path for one in problems.kept] == [str(n) for n in range(3, 100, 10)]
    assert {(one.kind, one.cure) for one in problems.kept} == {("corrupt image", "copy it again")}
