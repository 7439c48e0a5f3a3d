"""The web app: Streamlit's pages, the app's own routes, and the worker that ends with it."""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

from app.access import AccessMiddleware
from app.lifespan import lifespan, served_address
from app.routes import routes

# A folder called pages beside the main script is taken for its navigation until that script has run once: whoever came
# first by a deep link would get a page without header, theme or navigation.
PagesManager.uses_pages_directory = False

app = st.App(
    str(Path(__file__).parent / "app" / "main.py"),
    routes=routes(),
    middleware=[Middleware(AccessMiddleware, served=served_address)],
    lifespan=lifespan,
)
