"""Published weights: downloaded from a hub, here a small server on loopback, when asked for, and never otherwise."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from core.config import Method, RoundConfig, Weights
from core.learn.models import hub
from core.learn.models.classifier import build_classifier
from core.learn.models.weights import origin_of
from core.timing import Trial, estimate_seconds
from core.types import ConfigError, RoundCancelledError

MODEL = "test_efficientnet"
FILE = "model.safetensors"
CONFIG = RoundConfig(method=Method.PROBE, model=MODEL, weights=Weights.PRETRAINED, input_size=160)


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as downloads a file: HEAD with its facts, GET with ranges."""

    data = b""
    cut = 0  # bytes after which the first download breaks off
    asked: list[tuple[str, str]] = []  # noqa: RUF012  of a server that lives as long as a test

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        span = self.headers.get("Range", "")
        self.asked.append((self.command, span))
        if not self.path.endswith(f"/{FILE}"):
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span.startswith("bytes=") else 0
        part = self.data[start:]
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(self.data).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        self.end_headers()
        if body and self.cut:
            self.wfile.write(part[: self.cut])
            type(self).cut = 0
            self.close_connection = True
        elif body:
            self.wfile.write(part)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return timm.create_model(MODEL).state_dict()


@pytest.fixture
def served(tmp_path: Path, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """Serve the weights on loopback, with an empty cache."""
    file = tmp_path / FILE
    save_file(weights, file)
    handler = type("Served", (Hub,), {"data": file.read_bytes(), "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", constants.ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield handler
    server.shutdown()
    server.server_close()


def test_weights_are_downloaded_once_and_the_network_has_them(
    served: type[Hub], weights: dict[str, torch.Tensor]
) -> None:
    assert hub.cached(MODEL) is None
    assert hub.download_size(MODEL) == len(served.data)
    told: list[str] = []
    file = hub.fetch(MODEL, told.append)
    assert file.read_bytes() == served.data
    assert told[-1].endswith("MB of weights")
    assert hub.download_size(MODEL) == 0
    before = len(served.asked)
    network = build_classifier(CONFIG, 3, 0)
    assert len(served.asked) == before, "what is here is asked of nobody"
    torch.testing.assert_close(network.state_dict()["conv_stem.weight"], weights["conv_stem.weight"])
    assert hashlib.sha256(served.data).hexdigest() in (origin_of(CONFIG) or "")


def test_a_download_that_was_stopped_leaves_no_weights_and_can_be_had_later(served: type[Hub]) -> None:
    with pytest.raises(RoundCancelledError):
        hub.fetch(MODEL, should_stop=lambda: True)
    assert hub.cached(MODEL) is None
    assert hub.fetch(MODEL).read_bytes() == served.data


def test_a_download_that_breaks_off_goes_on_where_it_was(served: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)  # what is written at once, and kept
    served.cut = len(served.data) // 2
    assert hub.fetch(MODEL).read_bytes() == served.data
    spans = [span for _, span in served.asked if span]
    assert spans
    assert not spans[0].startswith("bytes=0-")


def test_without_a_connection_the_error_names_the_file_to_bring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert hub.download_size(MODEL) is None
    with pytest.raises(ConfigError, match=r"cannot be downloaded .*test_efficientnet.*/model\.safetensors elsewhere"):
        hub.fetch(MODEL)


def test_a_trial_of_a_round_downloads_nothing_and_says_how_much_the_round_would(served: type[Hub]) -> None:
    trial = Trial(paths=["/nowhere.png"], content_hashes=["0"], count=1, classes=2)
    with pytest.raises(ConfigError, match="the round downloads 1 MB of weights first"):
        estimate_seconds(trial, CONFIG)
    assert all(command == "HEAD" for command, _ in served.asked)


def test_networks_without_published_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match="no weights of small_cnn are published"):
        hub.fetch("small_cnn")
