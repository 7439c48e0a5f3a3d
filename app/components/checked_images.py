"""Findings of a dataset's image checks: groups of near-duplicates, and single images, each a link to its card."""

from collections.abc import Callable, Sequence
from html import escape

import streamlit as st

from app.components.links import review_address
from app.services.image_checks import CheckedImages, Removable, removable
from core.judge.image_checks import Duplicates
from core.types import counted

_MOST_GROUPS, _MOST_OF_GROUP, _MOST_IMAGES = 60, 8, 120
_STYLE = (
    "<style>.checked{display:flex;flex-wrap:wrap;gap:10px}.checked .group{border:1px solid rgb(128 128 128/.3);"
    "border-radius:8px;padding:8px 10px;max-width:100%}.checked .row{display:flex;flex-wrap:wrap;gap:8px}"
    ".checked .group>p{margin:0 0 6px;font-size:.8rem}"
    ".checked .group>p b{color:var(--st-red-color,#d0413c)}"
    ".checked figure{margin:0;width:112px}.checked a{display:block;color:inherit;text-decoration:none}"
    ".checked img{width:112px;height:112px;object-fit:contain;border-radius:8px;display:block;"
    "background:var(--st-secondary-background-color,#eee)}"
    ".checked a:is(:hover,:focus-visible) img{outline:3px solid var(--st-primary-color,#1f6feb)}"
    ".checked figcaption{font-size:.8rem;line-height:1.3}.checked figcaption *{display:block;overflow:hidden;"
    "text-overflow:ellipsis;white-space:nowrap}.checked figcaption span{opacity:.7}</style>"
)


def draw_checked_images(shown: CheckedImages, ask: Callable[[tuple[int, ...], str], None]) -> None:
    """Draw the findings in one tab for each check; `ask` opens the removal of images."""
    found = shown.found
    inside = [group for group in found.duplicates if not group.leaking]
    outlying, empty = found.outliers or (), found.empty
    titles = {
        "Near-duplicates": f"{len(inside):,}",
        "Leaks between splits": f"{len(found.leaks):,}",
        "Outliers": "unknown" if found.outliers is None else f"{len(outlying):,}",
        "Without content": f"{len(empty):,}",
    }
    tabs = st.tabs([f"{title} · {count}" for title, count in titles.items()])
    with tabs[0]:
        st.caption("Copies of a file, and images that look alike; those with different labels first.")
        copies = removable(shown, Removable.COPIES)
        what = "all but the first of each group of near-duplicates with one label"
        _offer(copies, f"Remove {counted(len(copies), 'copy', 'copies')}, keep the first of each…", what, ask)
        _groups(shown, inside, "No images are copies of a file or look alike.")
    with tabs[1]:
        st.caption("Near-duplicates in several splits: images for training leak into evaluation.")
        splits = {one.split for one in shown.images}
        nothing = "No image looks like an image of another split." if len(splits) > 1 else "There is only one split."
        _groups(shown, found.leaks, nothing)
    with tabs[2]:
        st.caption("Images far from their six nearest neighbours, the farthest first.")
        if found.outliers is None:
            st.info("Outliers appear here after a round that embeds the images: choose the method probe.")
        else:
            _offer(
                removable(shown, Removable.OUTLIERS), f"Remove {counted(len(outlying), 'outlier')}…", "outliers", ask
            )
            _images(shown, [(row, "") for row in outlying], "No image is far from its nearest neighbours.")
    with tabs[3]:
        st.caption("Images that are black, white or of one colour.")
        _offer(
            removable(shown, Removable.EMPTY), f"Remove {len(empty):,} without content…", "images without content", ask
        )
        _images(shown, [(row, kind.value) for row, kind in empty], "Every image has content.")
    if not found.complete:
        st.warning("The images are too plain to compare every pair: there may be more near-duplicates.")
    if shown.unknown:
        st.warning(
            f"Imported before pictures were compared: {counted(shown.unknown, 'image')}. Import the dataset again to "
            "compare them too."
        )


def _offer(ids: tuple[int, ...], label: str, what: str, ask: Callable[[tuple[int, ...], str], None]) -> None:
    if ids and st.button(label, icon=":material/delete:", key=f"remove {what}"):
        ask(ids, what)


def _groups(shown: CheckedImages, groups: Sequence[Duplicates], nothing: str) -> None:
    if not groups:
        st.info(nothing)
        return
    draw = _drawing(shown)
    st.html(f'{_STYLE}<div class="checked">{"".join(_group(group, draw) for group in groups[:_MOST_GROUPS])}</div>')
    _draw_rest(len(groups), _MOST_GROUPS, "groups")


def _group(group: Duplicates, draw: Callable[[int, str], str]) -> str:
    words = ["<b>different labels</b>"] if group.contradicting else []
    words.append("same file" if group.same_file else "look alike")
    if len(group.rows) > _MOST_OF_GROUP:
        words.append(f"{len(group.rows):,} images")
    images = "".join(draw(row, "") for row in group.rows[:_MOST_OF_GROUP])
    return f'<div class="group"><p>{" · ".join(words)}</p><div class="row">{images}</div></div>'


def _images(shown: CheckedImages, rows: Sequence[tuple[int, str]], nothing: str) -> None:
    if not rows:
        st.info(nothing)
        return
    draw = _drawing(shown)
    st.html(f'{_STYLE}<div class="checked">{"".join(draw(row, word) for row, word in rows[:_MOST_IMAGES])}</div>')
    _draw_rest(len(rows), _MOST_IMAGES, "images")


def _draw_rest(count: int, most: int, what: str) -> None:
    if count > most:
        st.caption(f"{count - most:,} more {what} are not drawn here.")


def _drawing(shown: CheckedImages) -> Callable[[int, str], str]:
    def draw(row: int, word: str) -> str:
        image = shown.images[row]
        address = f"/outfold/image/{escape(image.content_hash)}/192.webp"
        picture = f'<img src="{address}" alt="{escape(image.name)}" loading="lazy">'
        words = " · ".join(filter(None, (word, shown.label_of(row), image.split)))
        caption = f"<b>{escape(words)}</b><span>{escape(image.name.rsplit('/', 1)[-1])}</span>"
        inside = f"{picture}<figcaption>{caption}</figcaption>"
        if shown.round_id is not None:
            card = review_address(image.id, shown.round_id, every_kind=True)
            inside = f'<a href="{escape(card)}" target="_self">{inside}</a>'
        return f'<figure title="{escape(image.name)}">{inside}</figure>'

    return draw
