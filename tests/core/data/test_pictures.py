import io
from pathlib import Path

import pytest
from PIL import Image

from core.data.pictures import find, keep


def drawn(colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).point(lambda value: (value + colour) % 256).save(buffer, format="WEBP")
    return buffer.getvalue()


def test_what_is_kept_is_found_again_and_any_program_opens_the_file(tmp_path: Path) -> None:
    path, picture = tmp_path / "a" / "picture.webp", drawn(1)
    assert find(path) is None
    keep(path, picture)
    assert find(path) == picture
    with Image.open(path) as opened:
        opened.load()
        assert opened.size == (64, 64)


@pytest.mark.parametrize("left", [0, 3, 4, 5, 600])
def test_a_shortened_file_is_none(tmp_path: Path, left: int) -> None:
    path = tmp_path / "picture.webp"
    keep(path, drawn(2))
    path.write_bytes(path.read_bytes()[:left])
    assert find(path) is None


def test_a_file_of_zeros_or_with_zeros_in_it_is_none(tmp_path: Path) -> None:
    path = tmp_path / "picture.webp"
    keep(path, drawn(3))
    data = path.read_bytes()
    path.write_bytes(bytes(len(data)))
    assert find(path) is None
    path.write_bytes(data[:300] + bytes(len(data) - 300))
    assert find(path) is None
