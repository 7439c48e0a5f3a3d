"""What every page wears: the logo, and less empty space than Streamlit leaves by default."""

from pathlib import Path

import streamlit as st

ASSETS = Path(__file__).parents[1] / "assets"

COMPACT = """
<style>
  .stMainBlockContainer { padding: 4.2rem 1.6rem 2rem; max-width: none; }
  [data-testid="stHeader"] { height: 3.2rem; }
</style>
"""


def draw_chrome() -> None:
    """Draw the logo in the header and tighten the page."""
    dark = st.context.theme.type == "dark"
    st.logo(str(ASSETS / ("logo_dark.svg" if dark else "logo.svg")), size="large")
    st.html(COMPACT)
