"""Which dataset and round a page is about: in the address (`?dataset=1&round=3`), and remembered between pages."""

from collections.abc import Mapping

import streamlit as st


def pick(parameter: str, options: Mapping[int, str], label: str) -> int:
    """Draw a choice among named ids and return the chosen one; `options` must not be empty.

    The address wins when it changes, then what was chosen on another page, then the first option.
    """
    key, seen = f"pick_{parameter}", f"seen_{parameter}"
    wanted = _number(st.query_params.get(parameter))
    if wanted in options and st.session_state.get(seen) != wanted:
        st.session_state[key] = wanted
    elif st.session_state.get(key) not in options:
        remembered = st.session_state.get(seen)
        st.session_state[key] = remembered if remembered in options else next(iter(options))
    chosen = st.selectbox(label, list(options), format_func=options.__getitem__, key=key, label_visibility="collapsed")
    st.session_state[seen] = chosen
    if st.query_params.get(parameter) != str(chosen):
        st.query_params[parameter] = str(chosen)
    return chosen


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
