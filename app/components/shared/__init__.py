"""Modules and styles that several components of the browser share, and the declaration of a component."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from app.components import assets

API = "/outfold"
_SHARED = Path(__file__).parent


def declare(folder: Path, *styles: str) -> Callable[..., None]:
    """Declare the component of a folder with these styles, its own or shared ones, in their order.

    Returns:
        A function that draws it: keyword arguments are its data, `key` is Streamlit's. The component's `main.js` comes
        from the app's own route, where modules may import modules.
    """
    own = {path.name: path for path in (*_SHARED.glob("*.css"), *folder.glob("*.css"))}
    mount = st.components.v2.component(
        folder.name,
        css="\n".join(own[name].read_text(encoding="utf-8") for name in styles),
        js=(_SHARED / "bootstrap.js").read_text(encoding="utf-8"),
    )

    def draw(*, key: str, **data: object) -> None:
        mount(data={"api": API, "main": assets.url(f"{folder.name}/main.js"), **data}, key=key)

    return draw
