"""Sizes of downloads: asked of a hub on loopback by a real process, in words, and nothing is downloaded."""

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.download_sizes import ask_size, is_asking, known_size
from tests.core.learn.models.test_hub import MODEL, Hub

LONGEST = 120.0


def answered(model: str) -> str:
    """Ask for a network's size and return the answer once it is there."""
    ask_size(model)
    began = time.monotonic()
    while is_asking(model):
        assert time.monotonic() - began < LONGEST
        time.sleep(0.1)
    return known_size(model)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve five million bytes of weights on loopback, with an empty cache."""
    handler = type("Served", (Hub,), {"data": bytes(5_000_000), "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("served")
def test_the_size_is_told_and_nothing_is_downloaded(tmp_path: Path) -> None:
    assert known_size(MODEL) == ""
    assert answered(MODEL) == "downloads 5 MB"
    assert not any(path.is_file() for path in (tmp_path / "cache").rglob("*"))


def test_offline_the_words_name_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    assert "choose a local file" in answered("test_vit")


def test_a_name_that_is_no_network_says_so() -> None:
    assert "none of timm's own networks" in answered("no_such_network")
