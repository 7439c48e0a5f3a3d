"""The images whose masks a round trusts least, each a link to its regions in the review, and one to paint it."""

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

import streamlit as st

from app.services.insight import WorstImage

_STYLE = (
    "<style>.worst{display:grid;grid-template-columns:repeat(auto-fill,minmax(130px,1fr));gap:10px}"
    ".worst a{display:block;text-decoration:none;color:inherit}"
    ".worst img{width:100%;aspect-ratio:4/3;object-fit:cover;border-radius:8px;display:block}"
    ".worst a:is(:hover,:focus-visible) img{outline:3px solid var(--st-primary-color,#1f6feb)}"
    ".worst span{display:flex;gap:8px;font-size:.8rem;opacity:.75;margin-top:2px}"
    ".worst figure{margin:0;position:relative}.worst a.paint{position:absolute;top:6px;right:6px;padding:1px 9px;"
    "border-radius:99px;font-size:.75rem;background:rgb(0 0 0/.6);color:#fff}.worst a.paint:hover{background:#000}"
    ".worst i{flex:1;font-style:normal;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}</style>"
)


def worst_images(images: Sequence[WorstImage], round_id: int) -> None:
    """Draw them as thumbnails, the worst first."""
    if not images:
        return
    st.markdown("**Worst images**")
    st.caption(
        "By the softmin of what the network gives the given class of each pixel. Click one to review its regions, "
        "or paint it."
    )
    st.html(f'{_STYLE}<div class="worst">{"".join(_thumbnail(image, round_id) for image in images)}</div>')


def review_address(image: WorstImage, round_id: int) -> str:
    """Return the review of one image's regions, beside this page's own address."""
    return f"review?{urlencode({'round': round_id, 'status': 'any', 'sample': image.sample_id})}"


def paint_address(image: WorstImage, round_id: int) -> str:
    """Return where the image's mask is painted, beside this page's own address."""
    return f"masks?{urlencode({'round': round_id, 'sample': image.sample_id})}"


def _thumbnail(image: WorstImage, round_id: int) -> str:
    address, name = escape(review_address(image, round_id)), escape(image.name.rsplit("/", 1)[-1])
    return (
        f'<figure><a href="{address}" target="_self" title="{escape(image.name)}"><img src="/outfold/image/'
        f'{escape(image.content_hash)}/384.webp" alt="" loading="lazy"><span><i>{name}</i>{image.score:.2f}</span></a>'
        f'<a class="paint" href="{escape(paint_address(image, round_id))}" target="_self" aria-label="Paint {name}">'
        "paint</a></figure>"
    )
