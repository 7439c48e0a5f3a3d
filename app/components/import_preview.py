"""Classes, sample images and problems, before and after an import.

Names are foreign and always escaped; they never reach the page as HTML or Markdown.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

from app.services.imports.jobs import ImportPreview
from core.data.formats.detect import FORMATS
from core.data.formats.source import Grounds
from core.types import ClassTable, Problem, Severity, counted

_CLASSES, _LEGEND = 24, 120  # drawn; the others are counted
_VALUES = 8  # values of one class shown
_WIDE = {" ": 80, "file": 200}  # pixels of a table's columns
_NARROW = {
    " ": 80,
    "file": 120,
    "problem": 120,
    "what": 230,
    "cure": 230,
}  # beside the form: the cure must not be cut off
_MEANINGS = {Severity.ERROR: "left out", Severity.WARNING: "look at it"}

STYLE = """<style>
.of-strip{display:flex;gap:4px;overflow:hidden;min-height:44px}
.of-strip img{flex:1 1 0;min-width:0;max-width:96px;aspect-ratio:1;object-fit:cover;border-radius:6px;
  background:color-mix(in srgb,currentColor 8%,transparent);image-rendering:auto}
.of-figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(72px,1fr));gap:8px}
.of-figures figure{margin:0;min-width:0}
.of-figures img,.of-figures .of-none{width:100%;aspect-ratio:1;object-fit:cover;border-radius:6px;display:block;
  background:color-mix(in srgb,currentColor 8%,transparent)}
.of-figures .of-none{display:grid;place-items:center;font-size:11px;opacity:.75}
.of-figures.scenes{grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}
.of-figures.scenes img,.of-figures.scenes .of-none{aspect-ratio:4/3}
.of-figures .of-over{position:relative}
.of-figures .of-over img+img{position:absolute;inset:0;opacity:.5;background:none;image-rendering:pixelated}
.of-legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:12.5px}
.of-legend span{display:inline-flex;align-items:center;gap:6px}
.of-legend i{width:11px;height:11px;border-radius:3px;flex:none;
  box-shadow:0 0 0 1px color-mix(in srgb,currentColor 25%,transparent)}
.of-figures figcaption{font-size:11.5px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;opacity:.75}
.of-bars{display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:2px 22px;font-size:12.5px}
.of-bars>div{display:grid;grid-template-columns:minmax(0,1fr) 76px 56px;gap:8px;align-items:center}
.of-bars span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.of-bars i{height:6px;border-radius:3px;display:block;background:color-mix(in srgb,currentColor 10%,transparent)}
.of-bars b{height:6px;border-radius:3px;display:block;background:color-mix(in srgb,currentColor 42%,transparent)}
.of-bars em{font-style:normal;text-align:right;font-variant-numeric:tabular-nums;opacity:.75}
.of-classes{width:100%;font-size:12.5px;border-collapse:collapse;font-variant-numeric:tabular-nums}
.of-classes th{font-weight:400;opacity:.75;text-align:left}
.of-classes td:first-child{width:20px}
.of-classes td{padding:1px 8px 1px 0;overflow-wrap:anywhere}
.of-classes i{display:block;width:11px;height:11px;border-radius:3px;
  box-shadow:0 0 0 1px color-mix(in srgb,currentColor 25%,transparent)}
.of-classes .of-share{position:relative;width:30%}
.of-classes .of-share b{position:absolute;left:0;top:2px;bottom:2px;border-radius:3px;
  background:color-mix(in srgb,currentColor 16%,transparent)}
.of-facts{font-size:13px;opacity:.8;margin:0}
.of-facts b{font-variant-numeric:tabular-nums}
</style>"""


def draw_preview(preview: ImportPreview, key: str, joins: str = "") -> None:
    """Draw the content of an import; `joins` is the dataset it is added to, "" for a new one."""
    title = FORMATS[preview.format].title
    with st.container(key=key):
        if preview.detection is None:
            st.html(f'<p class="of-facts">Read as <b>{escape(title)}</b>, as chosen.</p>')
        else:
            st.html(f'<p class="of-facts"><b>{escape(title)}</b>: {escape(preview.detection.why)}.</p>')
        st.html(f'<p class="of-facts">{facts(preview, joins)}</p>')
        if preview.table is None:
            _draw_classes(preview)
        else:
            _draw_masks(preview, preview.table)
        if preview.problems:
            found = "1 problem" if len(preview.problems) == 1 else f"{len(preview.problems):,} problems"
            st.caption(f"{found} so far; the others show when every image has been read.")
            problem_table(preview.problems, f"{key}_problems", height=180, widths=_NARROW)


def _draw_classes(preview: ImportPreview) -> None:
    """Draw the sample images with their labels, and the images of each class."""
    st.html(figures(preview, ["no label" if cover.label is None else cover.label for cover in preview.covers]))
    if _classes(preview):
        st.html(bars({"no label" if label is None else label: n for label, n in preview.class_counts.items()}))


def _draw_masks(preview: ImportPreview, table: ClassTable) -> None:
    """Draw the sample images with their masks over them, and the classes of the masks."""
    names = [cover.name if cover.mask else f"no mask: {cover.name}" for cover in preview.covers]
    st.html(figures(preview, names, kind="of-figures scenes"))
    st.html(mask_classes(preview, table))


def facts(preview: ImportPreview, joins: str = "") -> str:
    """Return images, classes and splits in one line of HTML; images that join `joins` have no own classes."""
    more = "" if preview.complete else "more than "
    images = f"{more}{bold_count(preview.images, 'image')}"
    if joins:
        return f"{images} · no labels: they join the classes of <b>{escape(joins)}</b>"
    classes, masks = _classes(preview), [] if preview.masks is None else [bold_count(preview.masks, "mask")]
    known = bold_count(classes, "class", "classes") if classes else "no labels: a round needs some labels to train on"
    parts = [images, *masks, known]
    if preview.annotators_differ:
        parts.append(
            f"<b>{preview.annotators_differ:,}</b> whose annotators disagree: they will await a second opinion"
        )
    alone = len(parts)
    parts += [f"{escape(name) or 'no split'} <b>{n:,}</b>" for name, n in preview.split_counts.items() if name or n]
    return " · ".join(parts if list(preview.split_counts) != [""] else parts[:alone])


def bold_count(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun, the number in bold."""
    number, _, noun = counted(count, one, several).partition(" ")
    return f"<b>{number}</b> {noun}"


def _classes(preview: ImportPreview) -> int:
    """Return the count of classes in the source."""
    return len(preview.table or [label for label in preview.class_counts if label is not None])


def figures(preview: ImportPreview, captions: Sequence[str], kind: str = "of-figures") -> str:
    """Return the sample images with these captions, masks over them; `kind` are classes of the style."""
    found = []
    for cover, caption in zip(preview.covers, captions, strict=True):
        image = '<div class="of-none" title="cannot be read">unreadable</div>'
        if cover.image:
            over = f'<img alt="its mask" src="{_data("png", cover.mask)}">' if cover.mask else ""
            image = f'<img alt="{escape(cover.name)}" src="{_data("webp", cover.image)}">{over}'
        found.append(
            f'<figure title="{escape(cover.name)}"><div class="of-over">{image}</div>'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )
    return f'<div class="{kind}">{"".join(found)}</div>'


def mask_classes(preview: ImportPreview, table: ClassTable) -> str:
    """Return a table of the classes of masks: colour, values, images and share of pixels."""
    shares = preview.shares
    if shares is None or not shares.read:
        return legend(table)
    values: dict[str | None, list[str]] = {}
    for decision in preview.meaning.decisions:
        ground = "" if decision.how is Grounds.STATED else f" ({decision.how})"
        values.setdefault(decision.name, []).append(f"{decision.value}{ground}")
    listed, colours = shares.listed(table.names, _LEGEND), dict(zip(table.names, table.colours, strict=True))
    rows = [
        _class_row(name, colours[name], values.get(name, []), f"{shares.images[name]:,}", shares.pixels[name])
        for name in listed
    ]
    if len(listed) < len(table):
        rows.append(f"<tr><td></td><td>and {len(table) - len(listed):,} more classes</td></tr>")
    if shares.unlabelled or "" in values:
        rows.append(_class_row("unlabelled", "", values.get("", []), "", shares.unlabelled))
    if values.get(None):
        rows.append(_class_row("no class", "", values[None], "", None))
    left = f", {shares.left_out:,} of them left out" if shares.left_out else ""
    return (
        '<table class="of-classes"><thead><tr><td></td><th>class</th><th>value</th><th>masks</th><th>pixels</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
        f'<p class="of-facts">Counted in {shares.read:,} of {preview.masks or 0:,} masks{left}.</p>'
    )


def _class_row(name: str, colour: str, values: Sequence[str], images: str, share: float | None) -> str:
    shown = ", ".join(values[:_VALUES]) + (f" and {len(values) - _VALUES} more" if len(values) > _VALUES else "")
    swatch = f'<i style="background:{escape(colour)}"></i>' if colour else ""
    bar = "" if share is None else f'<b style="width:{100 * share:.0f}%"></b>{share:.1%}'
    return (
        f"<tr><td>{swatch}</td><td>{escape(name)}</td><td>{escape(shown)}</td><td>{images}</td>"
        f'<td class="of-share">{bar}</td></tr>'
    )


def legend(table: ClassTable) -> str:
    """Return the classes with their colours, in the order of their ids."""
    shown = list(zip(table.names, table.colours, strict=True))[:_LEGEND]
    items = [f'<span><i style="background:{escape(colour)}"></i>{escape(name)}</span>' for name, colour in shown]
    if len(table) > _LEGEND:
        items.append(f"<span>and {len(table) - _LEGEND:,} more classes</span>")
    return f'<div class="of-legend">{"".join(items)}</div>'


def _data(form: str, image: bytes) -> str:
    return f"data:image/{form};base64,{b64encode(image).decode('ascii')}"


def bars(counts: Mapping[str, int]) -> str:
    """Return one bar per class, in their order."""
    most = max(counts.values(), default=1) or 1
    rows = [
        f'<div><span title="{escape(name)}">{escape(name)}</span>'
        f'<i><b style="width:{100 * count / most:.0f}%"></b></i><em>{count:,}</em></div>'
        for name, count in list(counts.items())[:_CLASSES]
    ]
    if len(counts) > _CLASSES:
        rows.append(f"<div><span>and {len(counts) - _CLASSES:,} more classes</span></div>")
    return f'<div class="of-bars">{"".join(rows)}</div>'


def problem_table(problems: Sequence[Problem], key: str, height: int = 320, widths: Mapping[str, int] = _WIDE) -> None:
    """Draw problems as a table; columns without a width fit their texts."""
    st.dataframe(
        {
            " ": [_MEANINGS[problem.severity] for problem in problems],
            "file": [problem.path for problem in problems],
            "problem": [problem.kind for problem in problems],
            "what": [problem.message for problem in problems],
            "cure": [problem.cure for problem in problems],
        },
        hide_index=True,
        height=min(height, 38 + 35 * len(problems)),
        column_config={name: st.column_config.TextColumn(width=width) for name, width in widths.items()},
        key=key,
    )
