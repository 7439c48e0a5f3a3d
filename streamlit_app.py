"""The web app: Streamlit's pages, the app's own routes, and the worker that ends with it."""

from pathlib import Path

import streamlit as st

from app.lifespan import lifespan
from app.routes import routes

app = st.App(
    str(Path(__file__).parent / "app" / "main.py"), routes=routes(), lifespan=lifespan
)
