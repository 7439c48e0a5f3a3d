"""Choice of a page's dataset and round: kept in the address (`?dataset=1&round=3`) and between pages."""

from collections.abc import Collection, Mapping, Sequence

import streamlit as st

from app.components.complaints import plain
from app.services.rounds.jobs import RoundInfo

LONGEST_ID = 18  # digits; more cannot be a row's number
_WARNING = ":material/warning:"
_LONGEST_SHOWN = 40  # characters of an address in a message


def pick(parameter: str, options: Mapping[int, str], label: str, elsewhere: Collection[int] = ()) -> int:
    """Draw a choice among named ids and return the chosen one; `options` must not be empty.

    The address wins when it changes, then the choice of another page, then the first option. An address with an id
    neither among the options nor among those that can be shown `elsewhere` gets a warning.
    """
    key, wanted, former = f"pick_{parameter}", address_id(parameter), last_shown(parameter)
    if wanted in options and former != wanted:
        st.session_state[key] = wanted
    else:  # never the former value of this field: another page may have shown another id since
        st.session_state[key] = former if former in options else next(iter(options))

    def keep() -> None:
        remember(parameter, st.session_state[key])
        st.query_params[parameter] = str(st.session_state[key])

    chosen = st.selectbox(
        label, list(options), format_func=options.__getitem__, key=key, label_visibility="collapsed", on_change=keep
    )
    remember(parameter, chosen)
    if (text := address_text(parameter)) and wanted not in options and wanted not in elsewhere:
        st.warning(plain(fallback_text(f"There is no {label.lower()} {text} to show", options[chosen])), icon=_WARNING)
    if st.query_params.get(parameter) != str(chosen):
        st.query_params[parameter] = str(chosen)
    return chosen


def address_id(parameter: str) -> int | None:
    """Return the id in the page's address, None without a valid one."""
    text = st.query_params.get(parameter, "")
    return int(text) if text.isdecimal() and len(text) <= LONGEST_ID else None


def address_text(parameter: str) -> str:
    """Return the parameter of the page's address as text for a message; "" without one."""
    return str(address_id(parameter) or st.query_params.get(parameter, "")[:_LONGEST_SHOWN])


def fallback_text(reason: str, shown: str) -> str:
    """Return the warning that something other than the address names is shown, with the reason."""
    return f"{reason}; {shown} is shown instead."


def warn_over(text: str) -> None:
    """Show a warning over a page that is one component, as large as the window; it stays until it is closed."""
    st.toast(plain(text), icon=_WARNING, duration="infinite")


def last_shown(parameter: str) -> int | None:
    """Return the id that was chosen last in this session, on any page."""
    return st.session_state.get(f"seen_{parameter}")


def remember(parameter: str, chosen: int) -> None:
    """Make an id the default of the other pages."""
    st.session_state[f"seen_{parameter}"] = chosen


def current_dataset(known: Collection[int]) -> int | None:
    """Return the dataset named in the address if it is known, else the one shown last, else None."""
    return next(
        (one for one in (address_id("dataset"), last_shown("dataset")) if one is not None and one in known), None
    )


def selected_round(known: Sequence[RoundInfo], datasets: Collection[int]) -> RoundInfo | None:
    """Return the round named in the address, else the newest finished one of the current dataset, else the newest.

    `known` are all rounds, newest first, `datasets` the ids of all datasets. A missing one gets a warning.
    """
    wanted = next((info for info in known if info.id == address_id("round")), None)
    dataset = address_id("dataset") or last_shown("dataset")
    at_hand = [info for info in known if info.dataset_id == dataset]
    if not at_hand and address_id("dataset") not in datasets:
        at_hand = list(known)
    finished = next((info for info in at_hand if info.is_reviewable), None)
    chosen = wanted or finished or next(iter(at_hand), None)
    found = {"round": wanted is not None, "dataset": wanted is not None or address_id("dataset") in datasets}
    missing = next((name for name, is_there in found.items() if address_text(name) and not is_there), None)
    if missing is not None and chosen is not None:
        reason = f"There is no {missing} {address_text(missing)} to show"
        warn_over(fallback_text(reason, f"{chosen.name} of {chosen.dataset}"))
    return chosen
