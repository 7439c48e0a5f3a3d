"""Page in place of one that the user's role may not open: the missing right, and who can give it."""

from functools import partial

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from app.components.complaints import plain
from app.components.identity import ACCOUNT, PAGES, current_name, current_role
from core.types import LEAST_ROLES, Role


def forbidden_page(name: str, page: StreamlitPage) -> StreamlitPage:
    """Return a page at the address of `page`, which the user may not open; no menu lists it."""
    return st.Page(partial(_explain, name, page.title), title=page.title, url_path=page.url_path, visibility="hidden")


def _explain(name: str, title: str) -> None:
    role, least = current_role(), LEAST_ROLES[PAGES[name]]
    st.title(f"{title} needs the role {least}", anchor=False)
    who = f"You are signed in as {plain(current_name() or '')} with the role {role}."
    st.write(f"{who} An {Role.ADMIN} can change your role. [Account and sign-out]({ACCOUNT})")
    if st.button("Review", icon=":material/rule:", key="forbidden_review", type="primary"):
        st.switch_page("pages/review.py")
