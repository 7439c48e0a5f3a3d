"""The form of a new round: what suits the dataset is filled in, with the reason; everything can be changed."""

from dataclasses import replace

import streamlit as st

from app.services.rounds import Proposal
from core.config import DEEPLAB, SMALL_MASK_NETWORK, SMALL_NETWORK, Method, RoundConfig, Weights
from core.types import ConfigError

_METHODS = {Method.FINE_TUNE: "Train", Method.PROBE: "Probe a frozen one"}
_WEIGHTS = {
    Weights.NONE: "none: from scratch",
    Weights.PRETRAINED: "pretrained (hub)",
    Weights.FILE: "a local file",
}
_DEVICES = ("auto", "cpu", "cuda", "mps")


def round_form(proposal: Proposal, key: str, *, number: int, waits_for: str | None = None) -> RoundConfig | None:
    """Draw the form and return the config when Start was pressed in this run; not while another round is at work."""
    begin = proposal.config
    with st.container(border=True, key=key):
        st.markdown(f"**Round {number}**")
        st.caption(f"Proposed for {proposal.reason}")
        method = st.segmented_control(
            "Method", list(Method), default=begin.method, format_func=_METHODS.__getitem__, key=f"{key}_method"
        )
        model = st.selectbox(
            "Network",
            proposal.models,
            index=proposal.models.index(begin.model),
            accept_new_options=True,
            key=f"{key}_model",
            help=f"{SMALL_NETWORK} is made for images up to 64 pixels, {SMALL_MASK_NETWORK} for small scenes; "
            f"{DEEPLAB}NAME takes any of timm's networks, every other name is one of them",
        )
        weights = st.selectbox(
            "First weights",
            list(Weights),
            index=list(Weights).index(begin.weights),
            format_func=_WEIGHTS.__getitem__,
            key=f"{key}_weights",
        )
        file = ""
        if weights is Weights.FILE:
            file = st.text_input("File", key=f"{key}_file", placeholder="/path/to/weights.safetensors")
        left, middle, right = st.columns(3)
        folds = left.number_input("Folds", 2, 50, begin.folds, key=f"{key}_folds")
        epochs = middle.number_input("Epochs", 1, 1000, begin.epochs, key=f"{key}_epochs")
        size = right.number_input("Pixels", 8, 1024, begin.input_size, key=f"{key}_size")
        with st.expander("More", key=f"{key}_more"):
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
        if not st.button(
            "Start round",
            type="primary",
            icon=":material/play_arrow:",
            key=f"{key}_start",
            width="stretch",
            disabled=waits_for is not None,
            help=f"{waits_for} is still at work" if waits_for else None,
        ):
            return None
        try:
            return replace(
                begin,
                folds=int(folds),
                method=method or begin.method,
                model=model or begin.model,
                weights=weights or begin.weights,
                weights_file=file.strip(),
                input_size=int(size),
                grey=grey,
                epochs=int(epochs),
                batch_size=int(batch),
                learning_rate=float(rate),
                seed=int(seed),
                device=device or begin.device,
            )
        except ConfigError as error:
            st.error(str(error), icon=":material/error:")
            return None
