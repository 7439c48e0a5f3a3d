"""The root address: every page has its own name, so this one only redirects."""

import streamlit as st

from app.components.identity import may_open

st.switch_page("pages/datasets.py" if may_open("datasets") else "pages/review.py")
