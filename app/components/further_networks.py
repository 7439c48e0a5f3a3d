"""Form fields of further networks of a round of class labels, and the form that adds one to a finished round."""

from dataclasses import replace
from typing import Any

import streamlit as st

from app.components.round_fields import METHODS, MOST_PIXELS, download_note, weights_field
from app.services.rounds.jobs import RoundInfo, RoundProposal
from core.config import Member, ProbabilityMethod, RoundConfig, Weights, further_network
from core.types import ConfigError

_MOST = 3  # in the form; the command line takes more


def further_fields(begin: RoundConfig, proposal: RoundProposal, key: str) -> list[dict[str, Any]]:
    """Ask for further networks and return the settings of each."""
    count = st.number_input(
        "Further networks",
        0,
        _MOST,
        0,
        key=f"{key}_further",
        help="Each is trained on the same folds. Predictions are mixed with weights that make the given labels "
        "likeliest; each card shows how many of them contradict its label",
    )
    return [network_choice(begin, proposal, f"{key}_further_{number}", number + 2) for number in range(int(count))]


def network_choice(begin: RoundConfig, proposal: RoundProposal, key: str, number: int) -> dict[str, Any]:
    """Ask for one network: model, weights, method and input size."""
    models = list(dict.fromkeys((*proposal.models, begin.model)))
    model = st.selectbox(
        f"Network {number}",
        models,
        index=models.index(begin.model),
        accept_new_options=True,
        key=f"{key}_model",
    )
    left, middle, right = st.columns(3)
    with left:
        weights = weights_field(begin, key)
    method = middle.selectbox(
        "Method",
        list(METHODS),
        index=list(METHODS).index(begin.method),
        format_func=METHODS.__getitem__,
        key=f"{key}_method",
    )
    pixels = right.number_input(
        "Sees pixels", 8, max(MOST_PIXELS, begin.seen_size), begin.seen_size, key=f"{key}_pixels"
    )
    chosen: dict[str, Any] = {"model": model or begin.model, "weights": weights}
    if weights is Weights.PRETRAINED:
        download_note(chosen["model"], key)
    if weights is Weights.FILE:
        file = st.text_input("File", key=f"{key}_file", placeholder="/path/to/weights.safetensors")
        chosen |= {"weights_file": file.strip(), "weights_mean": (), "weights_std": (), "weights_padding": ""}
    if method is not ProbabilityMethod.PROBE:
        chosen |= {"all_stages": False, "flip": False}
    size = min(begin.input_size, int(pixels))
    return chosen | {
        "method": method or begin.method,
        "input_size": size,
        "upscale": int(pixels) if pixels > size else 0,
    }


def add_network_form(info: RoundInfo, proposal: RoundProposal, key: str, *, blocked: str | None) -> Member | None:
    """Ask for a network to add to a finished round, and return it when the button was pressed in this run."""
    begin = RoundConfig.from_json(info.config)
    with st.expander(f"Add a network to {info.name.lower()}", key=key, icon=":material/group_add:"):
        st.caption(
            f"A new round with the labels and the networks of {info.name.lower()}: only the added network is trained. "
            "Labels decided since are not in it; for these start a round of its own."
        )
        values = network_choice(begin, proposal, key, len(begin.networks) + 1)
        if not st.button("Add and judge anew", key=f"{key}_add", disabled=blocked is not None):
            return None
        try:
            return further_network(replace(begin, members=()), values)
        except ConfigError as error:
            st.error(str(error), icon=":material/error:")
            return None
