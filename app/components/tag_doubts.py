"""What tags and masks contradict each other in, each a link to the image in the editor."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st

_STYLE = (
    "<style>.doubts{max-height:260px;overflow:auto;font-size:.85rem}.doubts a{display:flex;gap:10px;padding:2px 0;"
    "color:inherit;text-decoration:none}.doubts a:hover b{text-decoration:underline}.doubts b{flex:1;font-weight:500;"
    "overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.doubts span{opacity:.75}</style>"
)


def tag_doubts(tagged: Mapping[str, Any] | None, classes: Sequence[str], round_id: int) -> None:
    """Draw what a round's figures say of its tags; nothing where there were none."""
    if not tagged:
        return
    st.markdown("**Tags against masks**")
    missing, excluded, doubts = tagged["missing"], tagged["excluded"], tagged["doubts"]
    if not doubts:
        st.caption(f"{tagged['images']:,} images have tags, and their masks show just what these say.")
        return
    st.caption(
        f"Of {tagged['images']:,} images with tags: {missing:,} classes should be there and are not, {excluded:,} are "
        "there against the tags. Click one to see it."
    )
    st.html(f'{_STYLE}<div class="doubts">{"".join(_line(one, classes, round_id) for one in doubts)}</div>')


def editor_address(sample_id: int, round_id: int) -> str:
    """Return where an image's mask is painted, beside this page's own address."""
    return f"masks?{urlencode({'round': round_id, 'sample': sample_id})}"


def _line(doubt: Mapping[str, Any], classes: Sequence[str], round_id: int) -> str:
    address, label = escape(editor_address(doubt["sample_id"], round_id)), escape(classes[doubt["label"]])
    where = "prediction" if doubt["predicted"] else "mask"
    said = f"{label} missing in the {where}" if doubt["contradiction"] == "missing" else f"{label} against the tags"
    return f'<a href="{address}" target="_self"><b>{escape(doubt["name"])}</b><span>{said}</span></a>'
