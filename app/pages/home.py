"""The bare address: every page has a name of its own, so this one only leads on."""

import streamlit as st

st.switch_page("pages/datasets.py")
