"""Which dataset and round a page is about: in the address (`?dataset=1&round=3`), and remembered between pages."""

from collections.abc import Collection, Mapping

import streamlit as st

from app.components.complaints import plain

LONGEST_ID = 18  # digits; more are no row's number
_WARNING = ":material/warning:"
_LONGEST_TOLD = 40  # characters of what an address names


def pick(parameter: str, options: Mapping[int, str], label: str, elsewhere: Collection[int] = ()) -> int:
    """Draw a choice among named ids and return the chosen one; `options` must not be empty.

    The address wins when it changes, then what was chosen on another page, then the first option. An address that names
    none of them, nor one of those that can be shown `elsewhere`, is told so.
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
    if (text := named(parameter)) and wanted not in options and wanted not in elsewhere:
        st.warning(plain(instead(f"There is no {label.lower()} {text} to show", options[chosen])), icon=_WARNING)
    if st.query_params.get(parameter) != str(chosen):
        st.query_params[parameter] = str(chosen)
    return chosen


def asked(parameter: str) -> int | None:
    """Return the id in the page's address, None for anything that is none."""
    text = st.query_params.get(parameter, "")
    return int(text) if text.isdecimal() and len(text) <= LONGEST_ID else None


def named(parameter: str) -> str:
    """Return what the page's address says, as people may read it; "" where it says nothing."""
    return str(asked(parameter) or st.query_params.get(parameter, "")[:_LONGEST_TOLD])


def instead(reason: str, shown: str) -> str:
    """Say why something else is shown than the address names, and what it is."""
    return f"{reason}; {shown} is shown instead."


def warn_over(text: str) -> None:
    """Show a warning over a page that is one component, as large as the window; it stays until it is closed."""
    st.toast(plain(text), icon=_WARNING, duration="infinite")


def remembered(parameter: str) -> int | None:
    """Return the id that was chosen last, on whatever page, in this visit."""
    return st.session_state.get(f"seen_{parameter}")


def remember(parameter: str, chosen: int) -> None:
    """Let the other pages begin with what this one shows."""
    st.session_state[f"seen_{parameter}"] = chosen
