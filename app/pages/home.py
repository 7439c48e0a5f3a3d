"""The bare address: every page has a name of its own, so this one only leads on."""

import streamlit as st

from app.components.identity import may_open

st.switch_page("pages/datasets.py" if may_open("datasets") else "pages/review.py")
