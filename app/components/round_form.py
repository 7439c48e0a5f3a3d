"""The form of a new round: what suits the dataset is filled in, with the reason; everything can be changed."""

from dataclasses import replace

import streamlit as st

from app.components.round_fields import OWN_FIELDS, network_fields, size_fields, training_fields
from app.services.rounds import Proposal
from core.config import RoundConfig
from core.types import ConfigError


def round_form(proposal: Proposal, key: str, *, number: int, waits_for: str | None = None) -> RoundConfig | None:
    """Draw the form and return the config when Start was pressed in this run; not while another round is at work."""
    begin = proposal.config
    before, after, further = OWN_FIELDS[proposal.task]
    with st.container(border=True, key=key):
        st.markdown(f"**Round {number}**")
        st.caption(f"Proposed for {proposal.reason}")
        chosen = before(begin, key) | network_fields(proposal, key) | size_fields(begin, key) | after(begin, key)
        with st.expander("More", key=f"{key}_more"):
            chosen |= training_fields(begin, key) | further(begin, key)
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
            return replace(begin, **chosen)
        except ConfigError as error:
            st.error(str(error), icon=":material/error:")
            return None
