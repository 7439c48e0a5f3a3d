import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st

from core.data.formats.unpacking import FileStore, shown_name
from core.types import DatasetError

PNG = b"\x89PNG some pixels"


def test_an_equal_image_with_the_same_name_is_the_same_file(tmp_path: Path) -> None:
    first = FileStore(str(tmp_path)).put(PNG, "train/a.png")
    again = FileStore(str(tmp_path)).put(PNG, "train/a.png")
    assert first == again
    assert FileStore(str(tmp_path)).put(PNG, "test/a.png").parts[-2:] == ("test", "a.png")
    shutil.rmtree(first.parents[1] / "test")
    assert first.name == "a.png"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [first]


def test_a_damaged_or_different_file_is_kept_and_the_image_is_written_beside_it(tmp_path: Path) -> None:
    first = FileStore(str(tmp_path)).put(PNG, "a.png")
    first.write_bytes(b"something else")
    second = FileStore(str(tmp_path)).put(PNG, "a.png")
    assert second != first
    assert first.read_bytes() == b"something else"
    assert second.read_bytes() == PNG
    assert FileStore(str(tmp_path)).put(PNG, "a.png") == second


def test_names_without_an_extension_get_the_one_of_their_content(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    assert store.put(PNG, "7").name == "7.png"
    assert store.put(b"\xff\xd8\xff\xe0", "7").name == "7.jpg"
    assert store.put(b"RIFF\0\0\0\0WEBPVP8 ", "a.b").name == "a.b.webp"
    assert store.put(b"no image", "7").name == "7"


@given(st.text(max_size=300))
def test_any_name_stays_within_the_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("store")
    written = name.encode("utf-8", "replace").decode()
    path = FileStore(str(folder)).put(PNG, shown_name(written, "train", 3))
    assert path.resolve().is_relative_to(folder.resolve())
    assert path.read_bytes() == PNG


def test_foreign_paths_are_shown_by_their_last_part() -> None:
    assert shown_name("cat/1.png", "train", 0) == "train/cat/1.png"
    assert shown_name("train/1.png", "train", 0) == "train/1.png"
    assert shown_name("/root/.cache/1.png", "", 0) == "1.png"
    assert shown_name(r"C:\data\1.png", "val", 0) == "val/1.png"
    assert shown_name("../../1.png", "", 0) == "1.png"
    assert shown_name(None, "test", 12) == "test/000012"


def test_a_reserve_of_disk_space_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 29))
    with pytest.raises(DatasetError, match=r"536\.9 MB left, of which 1\.1 GB stay free"):
        FileStore(str(tmp_path / "store")).put(PNG, "a.png")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_a_folder_nothing_is_unpacked() -> None:
    with pytest.raises(DatasetError, match="no folder to unpack"):
        FileStore("").put(PNG, "a.png")
