"""Frame of every page: logo, spacing, readable colours, browser history, named toasts, state of the connection."""

from html import escape
from pathlib import Path

import streamlit as st

from app.components.connection import watch_connection
from app.components.identity import ACCOUNT, current_name, current_role
from app.components.inline_scripts import ADDRESS, TOASTS, draw_html_with

ASSETS = Path(__file__).parents[1] / "assets"

# Streamlit's own captions are too pale. `light-dark` follows a theme that is switched while the page is open. What is
# drawn anew fades after half a second there, so pages that poll would flicker on a busy machine; here after three.
COMPACT = """
<style>
  .stMainBlockContainer { padding: 4.2rem 1.6rem 2rem; max-width: none; }
  [data-testid="stHeader"] { height: 3.2rem; }
  .st-key-connection, .st-key-address { position: absolute; height: 0; }
  #outfold-connection {
    position: fixed; z-index: 1000001; top: 0; left: 0; right: 0; padding: .35rem 1rem; text-align: center;
    font: 500 .875rem var(--st-font, sans-serif); background: #8a3b00; color: #fff; pointer-events: none;
  }
  .stMainBlockContainer [data-testid="stHeading"] h1 { font-size: 1.6rem; line-height: 1.3; padding: .2rem 0; }
  [data-testid="stColumn"] [data-testid="stHeading"] [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
  .of-account {
    position: fixed; z-index: 1000000; top: 0; right: 3.4rem; max-width: 9rem; overflow: hidden;
    text-overflow: ellipsis; white-space: nowrap; font-size: .875rem; line-height: 3.2rem;
    color: inherit !important; text-decoration: none;
  }
  .of-account:is(:hover, :focus-visible) { text-decoration: underline; }
  [data-testid="stCaptionContainer"] { opacity: 1; }
  .stToast button[aria-label="Close"] { min-width: 24px; min-height: 24px; }
  [data-stale="true"] { transition: opacity 1s ease-in 3s !important; }
  [data-testid="stCaptionContainer"] :is(p, code) { color: light-dark(#5b6270, #aab1be); opacity: 1; }
  [data-variant="segmented_control"][data-selected="true"] p { color: light-dark(#1452b3, #8fbcff); }
  [data-testid^="stBaseButton-primary"] { background-color: #1f6feb; border-color: #1f6feb; color: #fff; }
</style>
"""


def draw_chrome() -> None:
    """Draw logo and user in the header, tighten the page, complete its address, name toasts, watch the connection."""
    st.logo(str(ASSETS / "logo.svg"), size="large")
    st.html(COMPACT)
    with st.container(key="address"):
        draw_html_with(ADDRESS, TOASTS)
    if current_role() is not None:
        name = escape(current_name() or "")
        st.html(f'<a class="of-account" href="{ACCOUNT}" target="_self" title="Account and sign-out">{name}</a>')
    watch_connection()
