"""Which dataset and round a page is about: in the address (`?dataset=1&round=3`), and remembered between pages."""

from collections.abc import Mapping

import streamlit as st

LONGEST_ID = 18  # digits; more are no row's number


def pick(parameter: str, options: Mapping[int, str], label: str) -> int:
    """Draw a choice among named ids and return the chosen one; `options` must not be empty.

    The address wins when it changes, then what was chosen on another page, then the first option.
    """
    key, seen = f"pick_{parameter}", f"seen_{parameter}"
    wanted = asked(parameter)
    if wanted in options and st.session_state.get(seen) != wanted:
        st.session_state[key] = wanted
    elif st.session_state.get(key) not in options:
        former = remembered(parameter)
        st.session_state[key] = former if former in options else next(iter(options))
    chosen = st.selectbox(label, list(options), format_func=options.__getitem__, key=key, label_visibility="collapsed")
    remember(parameter, chosen)
    if st.query_params.get(parameter) != str(chosen):
        st.query_params[parameter] = str(chosen)
    return chosen


def asked(parameter: str) -> int | None:
    """Return the id in the page's address, None for anything that is none."""
    text = st.query_params.get(parameter, "")
    return int(text) if text.isdecimal() and len(text) <= LONGEST_ID else None


def remembered(parameter: str) -> int | None:
    """Return the id that was chosen last, on whatever page, in this visit."""
    return st.session_state.get(f"seen_{parameter}")


def remember(parameter: str, chosen: int) -> None:
    """Let the other pages begin with what this one shows."""
    st.session_state[f"seen_{parameter}"] = chosen
