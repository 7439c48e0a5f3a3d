import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from core.data.formats.archive import unpack
from core.types import DatasetError

LIMITS = 10, 1_000  # files, bytes


def archive(members: dict[str, bytes], links: dict[str, str] | None = None) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in members.items():
            opened.writestr(name, data)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            opened.writestr(info, target)
    buffer.seek(0)
    return buffer


def test_members_are_unpacked_into_their_folders(tmp_path: Path) -> None:
    assert unpack(archive({"cat/1.png": b"1", "dog/": b"", "a\\b.png": b"2"}), tmp_path, *LIMITS) == 2
    assert (tmp_path / "cat" / "1.png").read_bytes() == b"1"
    assert (tmp_path / "a" / "b.png").read_bytes() == b"2"


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/../../x.png", "C:/x.png", "..\\x.png"])
def test_no_member_is_written_outside_the_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    with pytest.raises(DatasetError, match="leads out"):
        unpack(archive({name: b"1"}), folder, *LIMITS)
    assert list(tmp_path.rglob("*.png")) == []


def test_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is a link"):
        unpack(archive({}, {"a.png": "/etc/passwd"}), tmp_path, *LIMITS)


def test_archive_bombs_are_stopped(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="too much"):
        unpack(archive({"a.png": b"0" * 600, "b.png": b"0" * 600}), tmp_path, *LIMITS)
    with pytest.raises(DatasetError, match="at most 10"):
        unpack(archive({f"{number}.png": b"" for number in range(11)}), tmp_path, *LIMITS)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    good = archive({"a.png": bytes(range(256))}).getvalue()
    for bad in (b"", b"no zip", good[:-30], good[:40] + b"\xff" * 8 + good[48:]):
        with pytest.raises(DatasetError) as told:
            unpack(io.BytesIO(bad), tmp_path, *LIMITS)
        assert "\n" not in str(told.value)


def test_two_members_with_the_same_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds a.b\.png twice"):
        unpack(archive({"a/b.png": b"1", "a\\b.png": b"2"}), tmp_path, *LIMITS)


def test_a_damaged_lzma_member_is_named(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a.png", b"abc" * 2000)
    data = bytearray(packed.getvalue())
    data[45:70] = b"\xff" * 25
    with pytest.raises(DatasetError, match="damaged"):
        unpack(io.BytesIO(bytes(data)), tmp_path, *LIMITS)


def test_a_tar_with_a_link_or_a_path_to_the_outside_is_refused(tmp_path: Path) -> None:
    for number, (name, kind) in enumerate((("../out.png", tarfile.REGTYPE), ("in.png", tarfile.SYMTYPE))):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as file:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            file.addfile(member)
        packed.seek(0)
        (tmp_path / str(number)).mkdir()
        with pytest.raises(DatasetError, match=r"leads out|is a link"):
            unpack(packed, tmp_path / str(number), *LIMITS)


def test_a_tar_that_contains_a_zip_is_read_as_a_tar(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for name, data in (("cat/1.png", b"1"), ("inner.zip", archive({"dog/2.png": b"2"}).getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    buffer.seek(0)
    assert unpack(buffer, tmp_path, *LIMITS) == 2
    assert (tmp_path / "cat" / "1.png").read_bytes() == b"1"
