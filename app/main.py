"""Page configuration and navigation; run by Streamlit on every rerun."""

from pathlib import Path

import streamlit as st

from app.components.chrome import ASSETS, draw_chrome
from app.components.complaints import complaints

PAGES = Path(__file__).parent / "pages"

st.set_page_config(
    page_title="Outfold", page_icon=str(ASSETS / "icon.png"), layout="wide", initial_sidebar_state="collapsed"
)
page = st.navigation(
    [
        st.Page(PAGES / "home.py", title="Outfold", default=True, visibility="hidden"),
        st.Page(PAGES / "datasets.py", title="Datasets", icon=":material/photo_library:", url_path="datasets"),
        st.Page(PAGES / "rounds.py", title="Rounds", icon=":material/cycle:", url_path="rounds"),
        st.Page(PAGES / "review.py", title="Review", icon=":material/rule:", url_path="review"),
        st.Page(PAGES / "images.py", title="Images", icon=":material/image_search:", url_path="images"),
        st.Page(PAGES / "tags.py", title="Tags", icon=":material/sell:", url_path="tags"),
        st.Page(PAGES / "masks.py", title="Masks", url_path="masks", visibility="hidden"),
        st.Page(PAGES / "insight.py", title="Insight", icon=":material/insights:", url_path="insight"),
        st.Page(PAGES / "worth.py", title="Worth", icon=":material/balance:", url_path="worth"),
        st.Page(PAGES / "exports.py", title="Export", icon=":material/output:", url_path="exports"),
    ],
    position="top",
)
draw_chrome()
with complaints():
    page.run()
