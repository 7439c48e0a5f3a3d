"""Further networks of a round of class labels: chosen in the form, added to a finished round, drawn with weights."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from app.components.download_note import download_note
from app.components.round_fields import METHODS, MOST_PIXELS, weights_field
from app.services.rounds import Proposal, RoundInfo
from core.config import Member, Method, RoundConfig, Weights, further
from core.types import ConfigError

_MOST = 3  # that the form asks for; the command line takes more


def further_fields(begin: RoundConfig, proposal: Proposal, key: str) -> list[dict[str, Any]]:
    """Ask for further networks and return the settings of each."""
    count = st.number_input(
        "Further networks",
        0,
        _MOST,
        0,
        key=f"{key}_further",
        help="Each learns the same folds. Their opinions are mixed by the weights under which the given labels are "
        "likeliest; each card then shows how many of them contradict its label",
    )
    return [network_choice(begin, proposal, f"{key}_further_{number}", number + 2) for number in range(int(count))]


def network_choice(begin: RoundConfig, proposal: Proposal, key: str, number: int) -> dict[str, Any]:
    """Ask for one network: which, with what weights, how it is used, and at how many pixels it sees."""
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
    if method is not Method.PROBE:
        chosen |= {"all_stages": False, "flip": False}
    size = min(begin.input_size, int(pixels))
    return chosen | {
        "method": method or begin.method,
        "input_size": size,
        "upscale": int(pixels) if pixels > size else 0,
    }


def add_network_form(info: RoundInfo, proposal: Proposal, key: str, *, waits_for: str | None) -> Member | None:
    """Ask for a network to add to a finished round, and return it when the button was pressed in this run."""
    begin = RoundConfig.from_json(info.config)
    with st.expander(f"Add a network to {info.name.lower()}", key=key, icon=":material/group_add:"):
        st.caption(
            f"A new round with the labels that {info.name.lower()} opened with and what its networks learnt: only the "
            "added network is trained. Labels decided since are not in it; for these start a round of its own."
        )
        values = network_choice(begin, proposal, key, len(begin.networks) + 1)
        if not st.button("Add and judge anew", key=f"{key}_add", disabled=waits_for is not None):
            return None
        try:
            return further(replace(begin, members=()), values)
        except ConfigError as error:
            st.error(str(error), icon=":material/error:")
            return None


def network_table(measured: Mapping[str, Any], key: str) -> None:
    """Draw the networks of a finished round with their weights; nothing of a round with one network."""
    rows = measured.get("networks")
    if not rows:
        return
    st.markdown("**Networks and their mix**")
    st.caption("Weights are those under which the given labels are likeliest, out of fold.")
    shown = [
        {
            "Network": row["model"],
            "Method": row.get("method", ""),
            "Weight": row.get("weight"),
            "Agreement": row["agreement"],
            "Log likelihood": row["log_likelihood"],
        }
        for row in rows
    ]
    columns = {
        "Weight": st.column_config.NumberColumn(format="%.2f"),
        "Agreement": st.column_config.NumberColumn(format="percent", help="with the given labels, out of fold"),
        "Log likelihood": st.column_config.NumberColumn(format="%.3f", help="mean of the given labels, in nats"),
    }
    st.dataframe(pd.DataFrame(shown), column_config=columns, hide_index=True, key=key, alt="the networks of the round")
