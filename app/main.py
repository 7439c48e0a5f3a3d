"""Page configuration and navigation; run by Streamlit on every rerun."""

from pathlib import Path

import streamlit as st

from app.components.chrome import ASSETS, draw_chrome
from app.components.complaints import complaints
from app.components.forbidden import forbidden_page
from app.components.identity import current_viewer, may_open
from app.components.turns import page_turns
from db.visibility import set_viewer_source

PAGES = Path(__file__).parent / "pages"
NAME = "Outfold"

set_viewer_source(current_viewer)
st.set_page_config(page_icon=str(ASSETS / "icon.png"), layout="wide", initial_sidebar_state="collapsed")
pages = {
    "home": st.Page(PAGES / "home.py", title=NAME, default=True, visibility="hidden"),
    "datasets": st.Page(PAGES / "datasets.py", title="Datasets", icon=":material/photo_library:", url_path="datasets"),
    "rounds": st.Page(PAGES / "rounds.py", title="Rounds", icon=":material/cycle:", url_path="rounds"),
    "review": st.Page(PAGES / "review.py", title="Review", icon=":material/rule:", url_path="review"),
    "images": st.Page(PAGES / "images.py", title="Images", icon=":material/image_search:", url_path="images"),
    "tags": st.Page(PAGES / "tags.py", title="Tags", icon=":material/sell:", url_path="tags"),
    "classes": st.Page(PAGES / "classes.py", title="Classes", icon=":material/category:", url_path="classes"),
    "masks": st.Page(PAGES / "masks.py", title="Masks", url_path="masks", visibility="hidden"),
    "insight": st.Page(PAGES / "insight.py", title="Insight", icon=":material/insights:", url_path="insight"),
    "impact": st.Page(PAGES / "impact.py", title="Impact", icon=":material/balance:", url_path="impact"),
    "exports": st.Page(PAGES / "exports.py", title="Export", icon=":material/output:", url_path="exports"),
}
shown = [one if may_open(name) else forbidden_page(name, one) for name, one in pages.items()]
page = st.navigation(shown, position="top")
st.set_page_config(page_title=page.title if page.title == NAME else f"{page.title} - {NAME}")
draw_chrome()
with complaints(), page_turns.take():
    page.run()
