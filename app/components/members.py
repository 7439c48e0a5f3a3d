"""Members of a dataset: a dialog that restricts it to some users, or opens it to everybody."""

import streamlit as st

from app.components.complaints import complaints, plain
from app.components.identity import name_for_record, require
from app.services import datasets, members
from app.services.app_context import AppContext
from app.services.members import Membership
from core.types import Right

_DATASET_KEY = "members_asked"  # in the session: the id of the dataset
_DONE = "members_said"  # in the session: message of the finished act


def ask_members(dataset_id: int) -> None:
    """Open the dialog in the next run of the page."""
    st.session_state[_DATASET_KEY] = dataset_id
    st.rerun()


def dataset_members(app_context: AppContext) -> None:
    """Draw the dialog that `ask_members` opened."""
    with complaints():
        dataset_id = st.session_state.pop(_DATASET_KEY, None)
        if dataset_id is not None:
            name = datasets.get_dataset(app_context, dataset_id).name
            _dialog(app_context, dataset_id, name, members.membership(app_context, dataset_id))
        if message := st.session_state.pop(_DONE, ""):
            st.toast(plain(message), icon=":material/group:")


@st.dialog("Members")
def _dialog(app_context: AppContext, dataset_id: int, name: str, now: Membership) -> None:
    st.markdown(f"Who sees **{plain(name)}**, with its rounds, images and exports?")
    ways = ("All signed-in users", "Its members and admins")
    way = st.radio("Visible to", ways, index=int(now.members is not None), key="members_way")
    chosen: list[str] | None = None
    if way == ways[1]:
        chosen = st.multiselect("Members", now.users, default=list(now.members or ()), key="members_names")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="members_cancel"):
            st.rerun()
        if st.button("Save", type="primary", icon=":material/group:", key="members_save"):
            with complaints():
                require(Right.LEAD)
                saved = members.set_members(app_context, dataset_id, chosen, by=name_for_record())
                st.session_state[_DONE] = f"{name} is visible to {members_text(saved.members)}."
                st.rerun()


def members_text(names: tuple[str, ...] | list[str] | None) -> str:
    """Return the members of a dataset, None if it is visible to all."""
    if names is None:
        return "everybody"
    return f"{', '.join(names)} and admins" if names else "admins alone"
