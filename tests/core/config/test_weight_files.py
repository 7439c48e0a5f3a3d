from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.config import (
    RoundConfig,
    Weights,
    allow_weights_in,
    open_weights,
    published_facts,
    weights_path,
    with_file_facts,
)
from core.types import ConfigError

FACTS = {"mean": "[0.5, 0.5, 0.5]", "std": "[0.25, 0.25, 0.25]", "pad_type": "same"}


def config_of(path: Path, facts: dict[str, str] | None = None, **values: object) -> RoundConfig:
    save_file({"weight": np.zeros(1, np.float32)}, path, facts)
    return RoundConfig(model="mobilenetv2_100", weights=Weights.FILE, weights_file=str(path), **values)


def test_scaling_and_padding_are_read_from_the_header_of_the_file(tmp_path: Path) -> None:
    found = with_file_facts(config_of(tmp_path / "weights.safetensors", FACTS))
    assert (found.weights_mean, found.weights_std, found.weights_padding) == ((0.5,) * 3, (0.25,) * 3, "same")
    assert RoundConfig.from_json(found.to_json()) == found


def test_settings_override_the_file(tmp_path: Path) -> None:
    own = {"weights_mean": (0.4,), "weights_std": (0.2,)}
    found = with_file_facts(config_of(tmp_path / "weights.safetensors", FACTS, **own))
    assert (found.weights_mean, found.weights_std) == ((0.4,), (0.2,))


def test_a_file_without_a_header_leaves_the_settings_unchanged(tmp_path: Path) -> None:
    config = config_of(tmp_path / "weights.safetensors")
    assert with_file_facts(config) == config
    gone = RoundConfig(model="resnet18", weights=Weights.FILE, weights_file=str(tmp_path / "gone.safetensors"))
    assert with_file_facts(gone) == gone


@pytest.mark.parametrize("mean", ["[0.5", "[0.5]", '["a", 1, 2]', "7"])
def test_an_invalid_header_is_refused_with_its_contents(tmp_path: Path, mean: str) -> None:
    with pytest.raises(ConfigError, match=r"weights.safetensors holds mean .* name them in the round's settings"):
        with_file_facts(config_of(tmp_path / "weights.safetensors", FACTS | {"mean": mean}))


@pytest.mark.parametrize(
    "values", [{"weights_mean": (0.5,)}, {"weights_mean": (0.5,), "weights_std": (0.0,)}, {"weights_padding": "odd"}]
)
def test_impossible_settings_of_a_file_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="weights_"):
        RoundConfig(**values)


def test_scaling_is_read_from_a_folder_of_the_hub(tmp_path: Path) -> None:
    config_of(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(
        '{"architecture": "resnet18", "pretrained_cfg": {"mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2], '
        '"license": "apache-2.0"}}'
    )
    folder = RoundConfig(model="resnet18", weights=Weights.FILE, weights_file=str(tmp_path))
    found = with_file_facts(folder)
    assert (found.weights_mean, found.weights_std) == ((0.4,) * 3, (0.2,) * 3)
    assert weights_path(folder) == tmp_path / "model.safetensors"
    assert published_facts(folder)["license"] == "apache-2.0"


def test_a_folder_without_weights_or_with_another_config_is_refused(tmp_path: Path) -> None:
    folder = RoundConfig(model="resnet18", weights=Weights.FILE, weights_file=str(tmp_path))
    with pytest.raises(ConfigError, match="name the file itself"):
        with_file_facts(folder)
    config_of(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"is not a config\.json of a network"):
        with_file_facts(folder)


def test_weights_are_opened_only_within_the_allowed_folders(tmp_path: Path) -> None:
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    for folder in (allowed, outside):
        folder.mkdir()
        save_file({"weight": np.zeros(1, dtype=np.float32)}, folder / "w.safetensors", metadata={"mean": "[0.5]"})
    (allowed / "link.safetensors").symlink_to(outside / "w.safetensors")
    allow_weights_in([str(allowed)])
    try:
        config = RoundConfig(weights=Weights.FILE, weights_file=str(allowed / "w.safetensors"))
        with open_weights(allowed / "w.safetensors") as file:
            assert file.read(8)
        for path in (outside / "w.safetensors", allowed / "link.safetensors"):
            with pytest.raises(ConfigError, match="outside the folders"):
                open_weights(path)
            with pytest.raises(ConfigError, match="outside the folders"):
                with_file_facts(replace(config, weights_file=str(path)))
    finally:
        allow_weights_in([])
    open_weights(outside / "w.safetensors").close()
