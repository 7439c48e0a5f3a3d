"""What became of classes whose images are all gone from a source: the answer that an import waits for."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app.services.imports import GoneClass

_RENAMED, _KEPT = "It was renamed", "It stays a class"


@dataclass(frozen=True, slots=True)
class Answer:
    """Classes that have another name now, each `old=new`, and those that stay without images in the source."""

    renamed: tuple[str, ...]
    kept: tuple[str, ...]


def gone_classes(asked: Sequence[GoneClass], key: str) -> Answer | None:
    """Draw one choice a class, with the likeliest answer chosen, and return the answers when they were confirmed."""
    with st.container(border=True, key=key):
        kept, renamed = [], []
        for number, one in enumerate(asked):
            st.text(one.message)
            choices = [_RENAMED, _KEPT] if one.renamed else [_KEPT]
            chosen = st.segmented_control(
                one.name,
                choices,
                default=choices[0],
                required=True,
                key=f"{key}_{number}",
                label_visibility="collapsed",
            )
            if chosen == _RENAMED:
                renamed.append(f"{one.name}={one.now}")
            else:
                kept.append(one.name)
        pressed = st.button("Import with this answer", type="primary", icon=":material/sync:", key=f"{key}_go")
    return Answer(tuple(renamed), tuple(kept)) if pressed else None
