"""Files and folders by descriptor: links that are there lead within; those put there after the check lead nowhere."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.data import confined
from core.data.confined import held_folder, open_within, real_path_of
from core.types import ConfigError

SECRET = b"secret"


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """Return an allowed folder with `sub/file`, and another with a secret at the same place."""
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    for folder, data in ((allowed, b"own"), (outside, SECRET)):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "file").write_bytes(data)
    return allowed, outside


def swap_after_check(monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]) -> None:
    """Exchange something after a path was resolved and found to be within, before it is opened."""
    check = confined.is_within

    def checked(real: str, root: str) -> bool:
        found = check(real, root)
        swap()
        return found

    monkeypatch.setattr(confined, "is_within", checked)


def test_files_within_the_folder_are_opened_also_through_links(roots: tuple[Path, Path]) -> None:
    allowed, _ = roots
    (allowed / "link").symlink_to("sub")
    for path in (allowed / "sub" / "file", allowed / "link" / "file", allowed / "sub" / ".." / "sub" / "file"):
        with open_within(path, [str(allowed)]) as file:
            assert file.read() == b"own"
    with open_within(roots[1] / "sub" / "file", ()) as file:
        assert file.read() == SECRET


def test_files_outside_the_folder_are_refused(roots: tuple[Path, Path]) -> None:
    allowed, outside = roots
    (allowed / "link").symlink_to(outside)
    for path in (
        outside / "sub" / "file",
        allowed / "link" / "sub" / "file",
        allowed / ".." / "outside" / "sub" / "file",
    ):
        with pytest.raises(ConfigError, match="outside the folders"):
            open_within(path, [str(allowed)])
    with pytest.raises(FileNotFoundError):
        open_within(allowed / "sub" / "missing", [str(allowed)])
    with pytest.raises(IsADirectoryError):
        open_within(allowed / "sub", [str(allowed)])
    os.mkfifo(allowed / "pipe")
    with pytest.raises(IsADirectoryError):
        open_within(allowed / "pipe", [str(allowed)])


@pytest.mark.parametrize("what", ["sub", "sub/file"])
def test_a_link_placed_between_check_and_use_is_refused(
    roots: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    allowed, outside = roots

    def swap() -> None:
        (allowed / what).rename(allowed / "away")
        (allowed / what).symlink_to(outside / what)

    swap_after_check(monkeypatch, swap)
    with pytest.raises(ConfigError, match="outside the folders"):
        open_within(allowed / "sub" / "file", [str(allowed)])


def test_repeated_swaps_of_links_never_expose_an_outside_file(roots: tuple[Path, Path]) -> None:
    allowed, outside = roots
    path, stop = allowed / "sub" / "file", threading.Event()

    def storm() -> None:
        while not stop.is_set():
            (allowed / "sub").rename(allowed / "away")
            (allowed / "sub").symlink_to(outside / "sub")
            (allowed / "sub").unlink()
            (allowed / "away").rename(allowed / "sub")

    thread = threading.Thread(target=storm)
    thread.start()
    seen = set()
    try:
        for _ in range(3000):
            try:
                with open_within(path, [str(allowed)]) as file:
                    seen.add(file.read())
            except (ConfigError, OSError):  # it was gone, or a link
                continue
    finally:
        stop.set()
        thread.join()
    assert seen <= {b"own"}


def test_an_open_folder_stays_the_same_when_its_path_is_replaced(roots: tuple[Path, Path]) -> None:
    allowed, outside = roots
    with held_folder(allowed / "sub" / "new" / "deep", [str(allowed)]) as held:
        assert real_path_of(held) == allowed / "sub" / "new" / "deep"
        (allowed / "sub").rename(allowed / "away")
        (allowed / "sub").symlink_to(outside / "sub")
        (held / "written").write_bytes(b"here")
        (held / "written").rename(held / "renamed")
    assert (allowed / "away" / "new" / "deep" / "renamed").read_bytes() == b"here"
    assert [path.name for path in (outside / "sub").iterdir()] == ["file"]


def test_no_folder_is_created_behind_a_link_placed_after_the_check(
    roots: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed, outside = roots

    def swap() -> None:
        (allowed / "sub").rename(allowed / "away")
        (allowed / "sub").symlink_to(outside / "sub")

    swap_after_check(monkeypatch, swap)
    with pytest.raises(ConfigError, match="outside the folders"), held_folder(allowed / "sub" / "new", [str(allowed)]):
        pass
    assert not (outside / "sub" / "new").exists()


def test_descriptors_are_closed(roots: tuple[Path, Path]) -> None:
    allowed, _ = roots
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        open_within(allowed / "sub" / "file", [str(allowed)]).close()
        with held_folder(allowed / "sub", [str(allowed)]):
            pass
        with pytest.raises(FileNotFoundError):
            open_within(allowed / "sub" / "a" / "b", [str(allowed)])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
