"""Form fields of a new round's training: method, network and weights, sizes; each group returns values of a config."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from app.services.rounds.jobs import RoundProposal
from app.services.rounds.preview import ask_size, is_asking, known_size
from core.config import DEEPLAB, PADDINGS, SMALL_MASK_NETWORK, SMALL_NETWORK, ProbabilityMethod, RoundConfig, Weights
from core.types import ConfigError, Task

METHODS = {ProbabilityMethod.PROBE: "Probe", ProbabilityMethod.FINE_TUNE: "Fine-tune"}
WEIGHTS = {
    Weights.NONE: "none: from scratch",
    Weights.PACKAGED: "pretrained, installed with Outfold",
    Weights.PRETRAINED: "pretrained, downloaded from the hub",
    Weights.FILE: "a local file",
}
_DEVICES = ("auto", "cpu", "cuda", "mps")
_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
MOST_PIXELS = 2048
_FOLDS = "Models to train; each predicts the part of the images that it was not trained on"
_NETWORK_HELP: Mapping[Task, str] = {
    Task.CLASSIFICATION: f"{SMALL_NETWORK} is made for images up to 64 pixels; other names are those of timm",
    Task.SEGMENTATION: f"{SMALL_MASK_NETWORK} is made for small scenes; {DEEPLAB}NAME takes any network of timm",
}
_POLL_SECONDS = 1.0
Chosen = dict[str, Any]
Fields = Callable[[RoundConfig, str], Chosen]


def method_field(begin: RoundConfig, key: str) -> Chosen:
    """Ask for the method that estimates probabilities."""
    method = st.segmented_control(
        "Method",
        list(METHODS),
        default=begin.method,
        format_func=METHODS.__getitem__,
        key=f"{key}_method",
        help="Probe: a regression on the features of the frozen network. Fine-tune: all weights are trained",
    )
    return {"method": method or begin.method}


def network_fields(begin: RoundConfig, proposal: RoundProposal, key: str) -> Chosen:
    """Ask for the network and its initial weights."""
    model = st.selectbox(
        "Network",
        models := list(dict.fromkeys((*proposal.models, begin.model))),
        index=models.index(begin.model),
        accept_new_options=True,
        key=f"{key}_model",
        help=_NETWORK_HELP[proposal.task],
    )
    weights = weights_field(begin, key)
    chosen: Chosen = {"model": model or begin.model, "weights": weights}
    if weights is Weights.PRETRAINED:
        download_note(chosen["model"], key)
    return chosen | (_file_fields(begin, key) if weights is Weights.FILE else {"weights_file": ""})


def weights_field(begin: RoundConfig, key: str) -> Weights:
    """Ask for a network's initial weights."""
    weights = st.selectbox(
        "Initial weights",
        list(Weights),
        index=list(Weights).index(begin.weights),
        format_func=WEIGHTS.__getitem__,
        key=f"{key}_weights",
    )
    return weights or begin.weights


def _file_fields(begin: RoundConfig, key: str) -> Chosen:
    """Ask for a file of weights, and the normalisation of the images that it was trained with."""
    file = st.text_input(
        "File or folder",
        begin.weights_file,
        key=f"{key}_file",
        placeholder="/path/to/weights.safetensors",
        help="A .safetensors or .pth file, or a folder with such a file and config.json, as on the hub",
    )
    left, middle, right = st.columns(3)
    mean, std = (
        column.text_input(
            label,
            ", ".join(f"{value:g}" for value in values),
            key=f"{key}_weights_{name}",
            placeholder="0.5, 0.5, 0.5",
            help="Of the images that the file was trained with, one number per channel; empty: from the file or timm",
        )
        for column, label, name, values in (
            (left, "Mean", "mean", begin.weights_mean),
            (middle, "Deviation", "std", begin.weights_std),
        )
    )
    padding = right.selectbox(
        "Padding",
        PADDINGS,
        index=PADDINGS.index(begin.weights_padding),
        format_func=lambda name: name or "the network's own",
        key=f"{key}_weights_padding",
    )
    return {
        "weights_file": file.strip(),
        "weights_mean": _numbers("Mean", mean),
        "weights_std": _numbers("Deviation", std),
        "weights_padding": padding,
    }


def _numbers(label: str, text: str) -> tuple[float, ...]:
    """Return the numbers of a text such as `0.5, 0.5, 0.5`.

    Raises:
        ConfigError: it is not a list of numbers.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        raise ConfigError(f"{label} is {text!r}", "write one number per channel, for example 0.5, 0.5, 0.5") from None


def download_note(model: str, key: str) -> None:
    """Draw the button that asks for the size of a network's published weights, and the answer."""
    if st.button("How much is downloaded?", key=f"{key}_download", type="tertiary", icon=":material/download:"):
        ask_size(model)
    if is_asking(model):
        st.fragment(_poll_size, run_every=_POLL_SECONDS)(model)
    else:
        _draw_size(known_size(model))


def _poll_size(model: str) -> None:
    if not is_asking(model):
        st.rerun()  # draw the answer
    st.caption("asking the hub...")


def _draw_size(words: str) -> None:
    if words:
        st.caption(words)


def size_fields(begin: RoundConfig, key: str, *, folded: bool, probes: bool) -> Chosen:
    """Ask for image size, epochs (a probe has none) and, where the round is `folded`, the number of folds."""
    *first, middle, right = st.columns(3 if folded else 2)
    folds = begin.folds
    for left in first:
        folds = left.number_input("Folds", 2, 50, begin.folds, key=f"{key}_folds", help=_FOLDS)
    epochs = middle.number_input(
        "Epochs",
        1,
        1000,
        begin.epochs,
        key=f"{key}_epochs",
        disabled=probes,
        help="Only fine-tuning has epochs" if probes else None,
    )
    size = right.number_input("Pixels", 8, MOST_PIXELS, begin.input_size, key=f"{key}_size")
    return {"folds": int(folds), "epochs": int(epochs), "input_size": int(size)}


def region_fields(begin: RoundConfig, key: str) -> Chosen:
    """Ask for the crop of a scene, and for the least size of a region."""
    left, middle, right = st.columns(3)
    crop = left.number_input(
        "Crop", 0, MOST_PIXELS, begin.crop, step=32, key=f"{key}_crop", help="Pixels of a window; 0: the whole image"
    )
    least = middle.number_input(
        "Min area", 1, 1_000_000, begin.min_region, key=f"{key}_region", help="Pixels; smaller regions are not findings"
    )
    boundary = right.number_input(
        "Boundary", 0, 50, begin.boundary, key=f"{key}_boundary",
        help="Pixels; thinner differences are boundary differences, counted but not shown",
    )  # fmt: skip
    return {"crop": int(crop), "min_region": int(least), "boundary": int(boundary)}


def training_fields(begin: RoundConfig, key: str) -> Chosen:
    """Ask for batch size, seed, device, learning rate and grey images."""
    left, right = st.columns(2)
    batch = left.number_input("Batch", 1, 65536, begin.batch_size, key=f"{key}_batch")
    seed = right.number_input("Seed", 0, 2**31 - 1, begin.seed, key=f"{key}_seed")
    device = left.selectbox("Device", _DEVICES, key=f"{key}_device", accept_new_options=True)
    rate = right.number_input(
        "Learning rate",
        0.0,
        10.0,
        begin.learning_rate,
        step=1e-4,
        format="%.4f",
        key=f"{key}_rate",
        help="0: chosen for the network",
    )
    grey = st.checkbox("Grey images", begin.grey, key=f"{key}_grey")
    numbers = {"batch_size": int(batch), "seed": int(seed), "learning_rate": float(rate)}
    return {**numbers, "device": device or begin.device, "grey": grey}


def scene_fields(begin: RoundConfig, key: str) -> Chosen:
    """Ask for class weights, and the scales at which held-out images are predicted."""
    weighted = st.checkbox(
        "Rare classes weigh more", begin.class_weights, key=f"{key}_class_weights", help="by median frequency"
    )
    scales = st.pills(
        "Scales of held-out images",
        sorted({*_SCALES, *begin.scales}),
        selection_mode="multi",
        default=list(begin.scales),
        format_func="{:g} x".format,
        key=f"{key}_scales",
    )
    chosen = {"class_weights": weighted, "scales": tuple(sorted(scales)) or begin.scales}
    if begin.method is ProbabilityMethod.PROBE:  # feature maps are computed on unmirrored images
        return chosen | {"flip": False}
    return chosen | {"flip": st.checkbox("and mirrored", begin.flip, key=f"{key}_flip")}


def no_fields(_begin: RoundConfig, _key: str) -> Chosen:
    """Return no fields."""
    return {}


OWN_FIELDS: Mapping[Task, tuple[Fields, Fields, Fields]] = {  # before the network, after the sizes, under More
    Task.CLASSIFICATION: (method_field, no_fields, no_fields),
    Task.SEGMENTATION: (method_field, region_fields, scene_fields),
}
