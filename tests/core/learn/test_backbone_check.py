"""A frozen network is compared with other scalings and the installed one: wrong scalings are named, hard labels not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from core.config import BACKBONE, SMALL_NETWORK, ProbabilityMethod, RoundConfig, Weights
from core.judge.hints import HintKey, hints
from core.learn.backbone_check import SCALING, BackboneTrial, check_backbone, check_trained, needs_check
from core.learn.batches import ImageBatches
from core.learn.crossfold import FoldCallbacks, FoldSplit
from core.learn.models.classifier import build_classifier, initial_scaling
from core.learn.models.weights import load_packaged
from core.learn.training import predict_batches
from core.types import ByteArray, IntArray, command_text

CLASSES, COUNT, SIZE = 5, 240, 64
RIGHT = (0.5, 0.5, 0.5)
HEALTHY: dict[str, Any] = {  # figures of a round of which nothing else is to be said
    "confusion": (np.eye(CLASSES, dtype=int) * 40).tolist(),
    "per_class": [{"name": str(number)} for number in range(CLASSES)],
}
BETTER_SCALED = {
    "held_out": 750, "agreement": 0.44, "better": SCALING, "better_agreement": 0.51, "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}  # fmt: skip
NEVER = FoldCallbacks(lambda _: None, lambda: False)


@pytest.fixture(scope="module")
def images() -> ByteArray:
    """Return gratings of five directions in changing colours, under noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    found = []
    for number in range(COUNT):
        angle = np.pi * (number % CLASSES) / CLASSES + rng.normal(0, 0.12)
        wave = np.sin(rng.uniform(0.25, 0.5) * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 2 * np.pi))
        colour = rng.uniform(10, 40, 3) * rng.choice([-1, 1], 3)
        noise = rng.normal(0, 40, (SIZE, SIZE, 3))
        found.append((rng.uniform(60, 200, 3) + wave[..., None] * colour + noise).clip(0, 255))
    return np.array(found).astype(np.uint8)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RoundConfig:
    """Return a probe on a file that says nothing of its scaling, which is .5 and .5."""
    network = timm.create_model(BACKBONE)
    load_packaged(network, BACKBONE, 3)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(network.state_dict(), path)
    return RoundConfig(
        method=ProbabilityMethod.PROBE,
        model=BACKBONE,
        weights=Weights.FILE,
        weights_file=str(path),
        weights_mean=RIGHT,
        weights_std=RIGHT,
        input_size=SIZE,
        batch_size=40,
    )


def checked(config: RoundConfig, images: ByteArray, labels: IntArray, path: Path) -> dict[str, Any]:
    """Return what is written of a round with this config."""
    shown = ImageBatches(images, initial_scaling(config, 3), torch.device("cpu"))

    def build(other: RoundConfig) -> torch.nn.Module:
        return build_classifier(other, 3, 0)

    torch.manual_seed(config.seed)
    parts = predict_batches(
        build(config), shown, torch.arange(COUNT), 40, on_progress=lambda *_: None, should_stop=lambda: False
    )
    embeddings = torch.cat([part for _, part in parts]).numpy()
    dealt = np.random.default_rng(1).permutation(COUNT)
    held = FoldSplit(0, dealt[: COUNT // 2], dealt[COUNT // 2 :], labels)
    trial = BackboneTrial(shown, CLASSES, build, NEVER)
    check_backbone(config, embeddings, held, np.ones(COUNT, np.bool_), trial, path=path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def keys_of(check: dict[str, Any]) -> set[HintKey]:
    found = hints(HEALTHY | {"backbone_check": check})
    return {hint.key for hint in found}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow
def test_a_harmful_scaling_is_named_with_a_better_one(images: ByteArray, config: RoundConfig, tmp_path: Path) -> None:
    labels = np.arange(COUNT) % CLASSES
    blind = replace(config, weights_mean=(0.0,) * 3, weights_std=(1 / 255,) * 3)
    check = checked(blind, images, labels, tmp_path / "blind.json")
    assert check["better"] == SCALING
    assert check["better_agreement"] > check["agreement"] + 0.1
    assert keys_of(check) == {HintKey.WRONG_SCALING}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("wrong", [0.0, 0.4, 1.0])
@pytest.mark.slow
def test_hard_images_and_wrong_labels_give_no_warning(
    images: ByteArray, config: RoundConfig, tmp_path: Path, wrong: float
) -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(COUNT) % CLASSES
    changed = rng.random(COUNT) < wrong
    labels[changed] = rng.integers(CLASSES, size=int(changed.sum()))
    check = checked(config, images, labels, tmp_path / "right.json")
    assert check["better"] == ""
    assert keys_of(check) == set()


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow
def test_a_network_without_weights_is_warned_of_with_the_installed_one(
    images: ByteArray, config: RoundConfig, tmp_path: Path
) -> None:
    drawn = replace(config, weights=Weights.NONE, weights_file="", weights_mean=(), weights_std=())
    check = checked(drawn, images, np.arange(COUNT) % CLASSES, tmp_path / "none.json")
    assert check["better"] == BACKBONE
    assert keys_of(check) == {HintKey.WEAK_NETWORK}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("right", "better"), [(0.2, BACKBONE), (1.0, "")])
def test_a_trained_network_worse_than_the_installed_one_is_warned_of(
    images: ByteArray, config: RoundConfig, tmp_path: Path, right: float, better: str
) -> None:
    rng, labels = np.random.default_rng(2), np.arange(COUNT) % CLASSES
    held_rows = np.sort(rng.permutation(COUNT)[: COUNT // 2])
    held = FoldSplit(0, np.setdiff1d(np.arange(COUNT), held_rows), held_rows, labels)
    said = np.where(rng.random(COUNT) < right, labels, rng.integers(CLASSES, size=COUNT))
    logits = 9 * np.eye(CLASSES, dtype=np.float32)[said][held_rows]
    shown = ImageBatches(images, initial_scaling(config, 3), torch.device("cpu"))
    trial = BackboneTrial(shown, CLASSES, lambda other: build_classifier(other, 3, 0), NEVER)
    trained = RoundConfig(model="resnet18", input_size=SIZE, batch_size=40)
    check_trained(trained, logits, held, np.ones(COUNT, np.bool_), trial, path=tmp_path / "trained.json")
    check = json.loads((tmp_path / "trained.json").read_text())
    assert (check["better"], check["trained"]) == (better, True)
    assert check["agreement"] == pytest.approx(float((said == labels)[held_rows].mean()))
    assert keys_of(check) == ({HintKey.WEAK_NETWORK} if better else set())


def test_the_installed_probe_and_the_small_network_are_not_compared(config: RoundConfig) -> None:
    assert needs_check(config)
    assert not needs_check(replace(config, weights=Weights.PACKAGED, weights_file=""))
    assert needs_check(replace(config, method=ProbabilityMethod.FINE_TUNE))
    assert not needs_check(RoundConfig(model=SMALL_NETWORK))


def test_the_hint_names_the_settings_of_a_better_round() -> None:
    check = BETTER_SCALED | {"padding": "same"}
    (hint,) = hints(HEALTHY | {"backbone_check": check})
    assert "44%" in hint.text
    assert "51%" in hint.text
    said = "with its file and --weights-mean 0.5,0.5,0.5, --weights-std 0.5,0.5,0.5, --weights-padding same"
    assert said in command_text(hint.advice)


def test_the_hint_on_a_further_network_names_it_and_its_own_options() -> None:
    check = BETTER_SCALED | {"padding": ""}
    networks = [
        {"model": BACKBONE, "backbone_check": None},
        {"model": "mobilenetv2_100", "backbone_check": check},
        {"model": "mix"},
    ]
    (hint,) = hints(HEALTHY | {"networks": networks})
    assert "network 2 (mobilenetv2_100) agrees with 44%" in hint.text
    assert "in which it is the first network and “Mean” 0.5,0.5,0.5, “Deviation” 0.5,0.5,0.5" in hint.advice
